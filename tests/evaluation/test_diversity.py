import numpy as np
import pytest

from ifmdm_jax.evaluation import diversity
from ifmdm_jax.evaluation.types import Absent
from tests.evaluation import synthetic

SIDE = 128


@pytest.fixture
def samples():
  """Two samples of four instants, uint8 [2, 4, R, R, 3], landmarks, and those of the portrait."""
  clip = synthetic.pair(frames=4, side=SIDE)
  return np.stack([clip.predicted] * 2), np.stack([clip.landmarks] * 2), clip.landmarks[0]


def test_equal_samples_have_no_spread_anywhere(samples):
  assert diversity.score(*samples) == dict.fromkeys(diversity.METRICS, 0.0)


def test_what_differs_is_found_in_its_region(samples):
  videos, points, portrait = samples
  face, torso = diversity.regions(portrait, SIDE)
  videos = videos.copy()
  videos[:, :, face] = np.array([100, 120])[:, None, None, None]  # 10 from their mean
  scores = diversity.score(videos, points, portrait)
  assert scores['diversity_face'] == pytest.approx(10)
  assert scores['diversity_torso'] == scores['diversity_background'] == 0


def test_a_head_that_has_moved_is_no_other_expression(samples):
  videos, points, portrait = samples
  moved = points.copy()
  moved[1] += (5, 3)
  assert diversity.score(videos, moved, portrait)['diversity_expression'] < 1e-3
  lips = points.copy()
  lips[1, :, 14] += (0, 4)
  assert diversity.score(videos, lips, portrait)['diversity_expression'] > 0.1


def test_a_portrait_without_a_face_says_so(samples):
  videos, points, portrait = samples
  scores = diversity.score(videos, points, np.full_like(portrait, np.nan))
  assert all(isinstance(value, Absent) for value in scores.values())


def test_the_map_is_bright_where_samples_differ_and_when(samples):
  videos, _, _ = samples
  videos = videos.copy()
  videos[0, 2, : SIDE // 2], videos[1, 2, : SIDE // 2] = 0, 255
  picture = diversity.spread_map(videos, videos[0, 0])
  side = diversity.MAP_SIDE
  assert picture.shape == (side, 5 * side, 3)
  tiles = picture.reshape(side, 5, side, 3).astype(int).sum(-1).transpose(1, 0, 2)
  assert tiles[3, : side // 2 - 1].min() > 600  # the third instant, its upper half
  assert tiles[3, side // 2 + 1 :].max() < 30
  assert tiles[[1, 2, 4]].max() < 30
