import cv2
import numpy as np

from ifmdm_jax.perception import mesh
from ifmdm_jax.pipeline.prep import faces


def test_the_network_gives_opencv_s_points():
  patch = np.random.default_rng(0).integers(0, 255, (192, 192, 3), np.uint8)
  theirs = faces.FaceMesh()
  theirs.net.setInput(cv2.dnn.blobFromImage(patch, 1 / 255))
  expected = theirs.net.forward(['conv2d_20'])[0].reshape(468, 3)[:, :2]
  picture = patch[None].astype(np.float32) / 255
  points = mesh.FaceMesh().apply({'params': mesh.load()}, picture)[0]
  np.testing.assert_allclose(points, expected, atol=0.01)  # pixels of 192


def test_the_square_turns_with_the_head():
  points = np.full((1, 468, 2), 0.5, np.float32)
  points[0, 0], points[0, 1] = (0.3, 0.4), (0.7, 0.6)  # corners of the box
  points[0, 33], points[0, 263] = (0.5, 0.45), (0.5, 0.55)  # eyes above one another
  centre, axis = mesh.square(points)
  np.testing.assert_allclose(centre[0], [0.5, 0.5], atol=1e-6)
  np.testing.assert_allclose(axis[0], [0.0, 0.6], atol=1e-6)
