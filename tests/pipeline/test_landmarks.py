import numpy as np

from ifmdm_jax.pipeline import landmarks


def test_landmarks_survive_storing():
  points = np.random.default_rng(0).uniform(-0.4, 1.4, (3, 468, 2)).astype(np.float32)
  assert np.abs(landmarks.unpack(landmarks.pack(points)) - points).max() < 0.02 / 512
