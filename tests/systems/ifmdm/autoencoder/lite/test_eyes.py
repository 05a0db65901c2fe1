"""Eyes look aside with round irises, and nothing but the eye goes along."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax.evaluation import warps
from ifmdm_jax.systems.ifmdm.autoencoder.lite import eyes, surface

SIDE = 1024
SIZE = 0.6  # of the side: height of the face
GAZES = -0.2, -0.12, 0.05, 0.2  # widths of the eye, to the picture's right
OFF = -0.15, 0.0, 0.15  # of the eye's width: where its iris is in the portrait

look = jax.jit(eyes.look)
identity = (np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), -1) + 0.5).astype('f4') / SIDE


@pytest.fixture(scope='module')
def face():
  return np.float32(SIZE * surface.MEAN[:, :2] + 0.5)


def eye_of(face, which):
  """Middle, width and half of the height of an eye of the face, fractions of the side."""
  upper, lower, _, lids = eyes.EYES[which]
  middle = (face[lids.outer] + face[lids.inner]) / 2
  middle[1] = (face[upper].mean(0) + face[lower].mean(0))[1] / 2
  width = np.linalg.norm(face[lids.outer] - face[lids.inner])
  return middle, width, np.linalg.norm(face[upper[3]] - face[lower[3]]) / 2


def grid_of(face, gaze, off):
  """Where each place of the frame looks, [SIDE, SIDE, 2]."""
  middles = [eye_of(face, which)[0] + [off * eye_of(face, which)[1], 0] for which in (0, 1)]
  gestures = jnp.array([[0.0, 0.0, gaze, 0.0]])
  irises = jnp.asarray(middles, jnp.float32)[None]
  return np.asarray(look(face[None], irises, identity[None], gestures)[0])


@pytest.mark.parametrize('gaze', GAZES)
@pytest.mark.parametrize('off', OFF)
def test_an_iris_goes_whole_wherever_the_portrait_has_it(face, gaze, off):
  moved = (identity - grid_of(face, gaze, off)) / eye_of(face, 0)[1]
  for which in (0, 1):
    middle, width, half = eye_of(face, which)
    place = (identity - middle) / width - [off + gaze, 0]
    iris = (np.linalg.norm(place, axis=-1) < 0.15) & (abs(place[..., 1]) * width < 0.5 * half)
    if (off + gaze) * np.sign(gaze) < 0.18:  # else it goes under the corner of the lids
      assert abs(np.linalg.norm(moved[iris], axis=-1) - abs(gaze)).max() < 0.03 * abs(gaze)


@pytest.mark.parametrize('gaze', GAZES)
@pytest.mark.parametrize('off', OFF)
def test_nothing_folds_and_corners_and_skin_stay(face, gaze, off):
  grid = grid_of(face, gaze, off)
  moved = np.linalg.norm(identity - grid, axis=-1) / eye_of(face, 0)[1]
  assert warps.mirrored(grid).mean() < 2e-5  # cells across a crease
  near = np.zeros((SIDE, SIDE), bool)
  for which in (0, 1):
    middle, wide, half = eye_of(face, which)
    away = np.abs(identity - middle)
    near |= (away[..., 0] < wide / 2) & (away[..., 1] < 1.5 * half)
  assert moved[~near].max() < 1e-4
  corners = [getattr(lids, end) for *_, lids in eyes.EYES for end in ('outer', 'inner')]
  column, row = np.floor(face[corners] * SIDE).astype(int).T
  assert moved[row, column].max() < 0.2 * abs(gaze)


def test_without_irises_of_older_weights_an_eye_looks_as_from_its_middle(face):
  gestures = jnp.array([[0.0, 0.0, 0.1, 0.05]])
  unknown = eyes.look(face[None], None, identity[None], gestures)
  middles = jnp.asarray([face[[lids.outer, lids.inner]].mean(0) for *_, lids in eyes.EYES])[None]
  known = look(face[None], middles, identity[None], gestures)
  np.testing.assert_allclose(known, unknown, atol=1e-6)


def test_an_eye_that_the_portrait_shows_shut_has_no_gaze(face):
  shut = face.copy()
  for upper, lower, *_ in eyes.EYES:
    shut[upper] = shut[lower] = (shut[upper] + shut[lower]) / 2
  grid = grid_of(shut, 0.1, 0.0)
  assert np.isfinite(grid).all()
  moved = np.linalg.norm(grid - identity, axis=-1) > 1e-6
  assert moved.sum() < SIDE  # the line where lids meet, of no height
