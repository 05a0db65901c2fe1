import cv2

from ifmdm_jax.pipeline.prep import matte
from tests.pipeline import films


def test_the_face_is_the_person_and_the_corners_are_not():
  portrait = cv2.cvtColor(cv2.imread(str(films.PORTRAIT)), cv2.COLOR_BGR2RGB)
  found = matte.PersonMatte()(portrait)
  assert found.shape == (256, 256) and found.dtype.name == 'uint8'
  face, corner = found[50:70, 105:125], found[:30, :60]  # of the bundled portrait
  assert face.min() > 200 and corner.max() < 55
  assert 0.3 < (found > 127).mean() < 0.7


def test_the_picture_decides_and_not_its_size():
  portrait = cv2.cvtColor(cv2.imread(str(films.PORTRAIT)), cv2.COLOR_BGR2RGB)
  small = cv2.resize(portrait, (300, 300), interpolation=cv2.INTER_AREA)
  find = matte.PersonMatte()
  assert ((find(small) > 127) != (find(portrait) > 127)).mean() < 0.03  # edges only
