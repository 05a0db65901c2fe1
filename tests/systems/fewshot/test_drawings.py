import numpy as np
import pytest

from ifmdm_jax.systems.fewshot import drawings
from tests.systems.fewshot import faces

COLOURS = {  # where, and what stands there: the published palette
  (0.2, 0.45): 'white',  # jaw
  (0.3, 0.32): 'red',  # the brow on the left of the picture
  (0.7, 0.32): 'green',
  (0.5, 0.45): 'blue',  # nose
  (0.47, 0.58): 'blue',
  (0.32, 0.4): 'magenta',
  (0.68, 0.4): 'cyan',
  (0.4, 0.7): 'yellow',  # corner of the lips
  (0.5, 0.1): 'black',
  (0.5, 0.7): 'black',  # within the lips
}
RGB = dict(
  white='111', red='100', green='010', blue='001', magenta='101', cyan='011', yellow='110',
  black='000',
)  # fmt: skip


@pytest.fixture(scope='module')
def drawn():
  return np.asarray(drawings.draw(faces.landmarks()[None], 256)[0])


@pytest.mark.parametrize('place', COLOURS)
def test_parts_have_their_published_colours(drawn, place):
  column, row = (int(256 * share) for share in place)
  expected = [2 * int(digit) - 1 for digit in RGB[COLOURS[place]]]
  np.testing.assert_allclose(drawn[row, column], expected, atol=0.01)


def test_lines_are_two_pixels_wide_at_256(drawn):
  ink = (drawn[:, 128, 2] + 1).sum() / 2  # down through the base of the nose, level there
  crossed = (drawn[140:156, 128, 2] + 1).sum() / 2
  assert ink > crossed and crossed == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize('side', [64, 128, 512])
def test_a_face_is_the_same_picture_at_every_side(drawn, side):
  other = np.asarray(drawings.draw(faces.landmarks()[None], side)[0])
  coarse = min(side, 256) // 4
  shrink = lambda x: x.reshape(coarse, len(x) // coarse, coarse, -1, 3).mean((1, 3))
  difference = np.abs(shrink(other) - shrink(drawn))
  assert difference.mean() < 0.02 and shrink(other).mean() == pytest.approx(drawn.mean(), abs=0.01)
  assert drawn.min() == other.min() == -1 and other.max() <= 1


def test_inner_lips_tell_a_shut_mouth_from_one_that_is_hardly_open():
  shut, open_ = (faces.landmarks(opening)[None] for opening in (0.0, 0.02))
  open_[:, 48:60] = shut[:, 48:60]  # the outer lips say nothing
  differ = lambda **flags: np.abs(
    drawings.draw(shut, 128, **flags) - drawings.draw(open_, 128, **flags)
  ).max()
  assert differ() == 0 and differ(inner_lips=True) > 0.5


def test_points_of_the_mesh_give_the_same_picture_and_any_axes_may_precede():
  points = np.stack([faces.mesh(), faces.mesh(0.1)])
  alone = np.asarray(drawings.draw(faces.landmarks(0.1)[None], 64)[0])
  found = np.asarray(drawings.draw(np.stack([points] * 3), 64))
  assert found.shape == (3, 2, 64, 64, 3)
  np.testing.assert_allclose(found[2, 1], alone, atol=1e-6)


def test_without_a_face_there_is_nothing_but_black():
  none = np.full((1, 68, 2), np.nan, np.float32)
  assert (np.asarray(drawings.draw(none, 64)) == -1).all()


def test_another_palette_is_only_data():
  white = [drawings.Line('jaw', (1.0, 1.0, 1.0))]
  found = np.asarray(drawings.draw(faces.landmarks()[None], 64, palette=white))
  assert (found[..., 0] == found[..., 1]).all() and found.max() > -1
