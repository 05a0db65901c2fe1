import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.face import steady
from ifmdm_jax.face.points import CHIN, LOWER_MIDDLE, OVAL, RIGID


@pytest.fixture(scope='module')
def face():
  return testing.talking_face(1, 64, seed=0)[1][0].astype(np.float64)


def moved(face, frames, seed=0):
  """A face that turns, comes nearer and goes about, without a change in itself."""
  rng = np.random.default_rng(seed)
  angle, size = rng.normal(0, 0.2, frames), np.exp(rng.normal(0, 0.15, frames))
  along, across = size * np.cos(angle), size * np.sin(angle)
  matrix = np.stack([along, -across, across, along], -1).reshape(-1, 1, 2, 2)
  return (matrix @ face[None, :, :, None])[..., 0] + rng.normal(0, 30, (frames, 1, 2))


def within(track):
  return steady.within(steady.squares(track), track)


def test_a_head_that_moves_is_still_in_its_squares(face):
  shown = within(moved(face, 9))
  np.testing.assert_allclose(shown, np.broadcast_to(shown[:1], shown.shape), atol=1e-9)


def test_a_jaw_that_falls_moves_nothing_else(face):
  track = np.stack([face, face, face])
  track[1, [*CHIN, LOWER_MIDDLE], 1] += 0.1
  shown = within(track)
  np.testing.assert_allclose(shown[1, RIGID], shown[0, RIGID], atol=1e-9)
  assert (shown[1, CHIN, 1] > shown[0, CHIN, 1] + 0.05).all() and shown[1, CHIN, 1].max() < 1


def test_the_face_fills_its_square_whatever_its_size(face):
  for scale in (0.1, 1.0, 40.0):
    shown = within(moved(scale * face, 5))
    np.testing.assert_allclose(shown, within(moved(face, 5)), atol=0.2)  # where it goes about
    assert shown[0, OVAL, 0].min() >= -1e-9 and shown[0, OVAL, 0].max() <= 1 + 1e-9
    assert 0.9 < shown[0, CHIN, 1].max() < 1
