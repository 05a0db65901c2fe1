import cv2
import numpy as np

from ifmdm_jax.perception import person
from ifmdm_jax.pipeline.prep import matte
from tests.pipeline import films


def test_the_network_gives_opencv_s_matte():
  portrait = cv2.cvtColor(cv2.imread(str(films.PORTRAIT)), cv2.COLOR_BGR2RGB)
  picture = cv2.resize(portrait, (person.SIDE, person.SIDE), interpolation=cv2.INTER_AREA)
  theirs = matte.PersonMatte()(picture) / 255.0
  ours = person.matte(person.load(), picture[None].astype(np.float32) / 255)[0, ..., 0]
  np.testing.assert_allclose(ours, theirs, atol=0.5 / 255 + 1e-3)
