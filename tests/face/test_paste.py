import numpy as np

from ifmdm_jax.face.crop import Paster, cut


def smooth(height=300, width=400):
  y, x = np.mgrid[:height, :width]
  return np.dstack([y * 0.5 + 40, x * 0.4 + 30, (x + y) * 0.2 + 20]).astype(np.uint8)


def test_the_crop_itself_pasted_back_changes_nothing():
  picture, square = smooth(), (90, 60, 200)
  pasted = Paster(picture, square)(cut(picture, square, 512))
  assert np.abs(pasted.astype(int) - picture).max() <= 2  # resized up and down again


def test_outside_stays_inside_is_new_and_the_edge_fades():
  picture, square = smooth(), (90, 60, 200)
  pasted = Paster(picture, square)(np.full((512, 512, 3), 255, np.uint8))
  outside = np.ones(picture.shape[:2], bool)
  outside[60:260, 90:290] = False
  assert (pasted[outside] == picture[outside]).all()
  assert (pasted[90:230, 120:260] == 255).all()
  steps = np.abs(np.diff(pasted[160, 88:120, 0].astype(int)))
  assert steps.max() < 60  # of 135: no hard seam


def test_no_fading_where_the_square_ends_at_the_border():
  picture = smooth(200, 200)
  pasted = Paster(picture, (0, 0, 200))(np.full((512, 512, 3), 255, np.uint8))
  assert (pasted == 255).all()


def test_a_square_that_sticks_out_is_cut_to_the_picture():
  picture, square = smooth(100, 120), (-20, -30, 160)
  pasted = Paster(picture, square)(cut(picture, square, 160))
  assert np.abs(pasted.astype(int) - picture).max() <= 1
