import pathlib

import numpy as np
import pytest

from ifmdm_jax.face import points
from ifmdm_jax.face.mesh import FaceMesh
from ifmdm_jax.video import image

PORTRAIT = pathlib.Path(__file__).parents[2] / 'data' / 'fixtures' / 'portrait.jpg'


def test_a_mirrored_picture_has_the_same_points_under_mirrored_numbers():
  np.testing.assert_array_equal(points.MIRROR[points.MIRROR], np.arange(points.POINTS))
  picture, mesh = image.read_image(PORTRAIT), FaceMesh()
  seen, mirrored = (mesh.track([p])[0] for p in (picture, picture[:, ::-1]))
  expected = seen * [-1, 1] + [picture.shape[1], 0]
  away = np.linalg.norm(mirrored[points.MIRROR] - expected, axis=-1)
  # The mesh wavers; neighbours are no nearer than this.
  assert away.max() < 0.05 * np.linalg.norm(seen[10] - seen[152])


def test_smoothing_keeps_constants_and_length():
  np.testing.assert_allclose(points.smooth(np.full((5, 2), 3.0)), 3.0)


def test_the_parts_of_the_68_points_hold_each_once_and_lie_where_they_say():
  parts = [number for part in points.IBUG_PARTS.values() for number in part]
  assert parts == list(range(68)) and len(points.IBUG) == 68
  inside = lambda part, known: set(points.IBUG[list(points.IBUG_PARTS[part])]) <= {*known}
  assert inside('lips_outer', points.LIPS_OUTER) and inside('lips_inner', points.LIPS_INNER)
  assert inside('left_eye', points.LEFT_EYE) and inside('right_eye', points.RIGHT_EYE)


def test_lips_run_from_corner_to_corner_and_lists_cannot_be_written():
  for lip in (points.UPPER_LIP_OUTER, points.LOWER_LIP_OUTER):
    assert (lip[0], lip[-1]) == (points.LEFT_MOUTH_CORNER, points.RIGHT_MOUTH_CORNER)
    assert set(lip) <= set(points.LIPS_OUTER)
  with pytest.raises(ValueError, match='read-only'):
    points.RIGID[0] = 0
