"""The network of the 52 unit scores in JAX is the one that OpenCV runs."""

import numpy as np

from ifmdm_jax.face import tflite, unit_scores, units


def faces(count=6):
  """Makes points [count, 478, 2] of faces that differ: a real face, its points moved at random."""
  with np.load(tflite.WEIGHTS / 'face_surface.npz') as file:
    mean = next(file[name] for name in file.files if file[name].shape[:1] == (468,))
  irises = np.repeat([mean[[33, 133]].mean(0), mean[[263, 362]].mean(0)], 5, 0)
  one = np.concatenate([mean, irises])[:, :2] * 200 + 256
  return np.float32(one + np.random.default_rng(0).normal(0, 3, (count, 478, 2)))


def test_scores_are_those_of_the_published_file():
  places = faces()
  reader = object.__new__(units.FaceUnits)
  reader._units = tflite.network(units.UNITS)
  published = np.stack([reader.units(each) for each in places])
  assert published.std(0).max() > 0.01  # the faces differ
  np.testing.assert_allclose(unit_scores.scores(places), published, atol=1e-3)


def test_scores_do_not_see_where_a_face_is_and_how_large():
  places = faces(2)
  np.testing.assert_allclose(
    unit_scores.scores(places * 0.5 + 40), unit_scores.scores(places), atol=1e-3
  )
