import cv2
import numpy as np
import pytest

from ifmdm_jax.evaluation import seams
from ifmdm_jax.evaluation.types import Pair
from tests.evaluation import synthetic

SIDE = 128


@pytest.fixture(scope='module')
def film():
  """A photograph that stands still but for a little noise, and its points."""
  rng = np.random.default_rng(0)
  picture = cv2.resize(synthetic.portrait(), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
  frames = np.clip(picture + rng.integers(-2, 3, (12, SIDE, SIDE, 1)), 0, 255).astype(np.uint8)
  points = synthetic.pair(12, SIDE).landmarks
  return Pair('a', 'p', frames, frames, points, points)


def scores(film, predicted):
  return seams.Scorer().score(synthetic.replace(film, predicted=predicted))


def patch(amount, soft):
  """A brighter disc in the middle, with an edge that is soft by so many pixels."""
  mask = np.zeros((SIDE, SIDE), np.float32)
  cv2.circle(mask, (SIDE // 2, SIDE // 2), 30, 1.0, -1)
  return (amount * (cv2.GaussianBlur(mask, (0, 0), soft) if soft else mask))[..., None]


def test_the_film_itself_has_no_seam(film):
  assert scores(film, film.reference) == {'changed': 0, 'seam': 0, 'flicker_ratio': 1}
  assert scores(film, film.reference.copy())['seam'] == 0  # nothing was changed


def test_a_hard_edge_is_seen_and_a_soft_one_hardly(film):
  hard, soft = (
    scores(film, np.clip(film.reference + patch(30, width) + 0.5, 0, 255).astype(np.uint8))
    for width in (0, 8)
  )
  assert hard['seam'] > 5 * soft['seam'] and soft['seam'] < 0.15
  assert hard['changed'] == pytest.approx(100 * np.pi * 30**2 / SIDE**2, rel=0.1)


def test_skin_that_flickers_is_unsteady_and_skin_that_is_frozen_is_too_steady(film):
  flickers = film.reference.astype(np.int16)
  flickers[::2] += 6
  assert scores(film, np.clip(flickers, 0, 255).astype(np.uint8))['flicker_ratio'] > 1.3
  assert scores(film, np.repeat(film.reference[:1], 12, 0))['flicker_ratio'] < 0.1


def test_a_film_of_two_frames_has_no_flicker(film):
  short = Pair('a', 'p', *[film.reference[:2]] * 2, *[film.landmarks[:2]] * 2)
  assert 'three frames' in scores(short, film.reference[:2].copy())['flicker_ratio'].reason
