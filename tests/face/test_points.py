import pathlib

import numpy as np

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
