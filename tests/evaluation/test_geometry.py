import numpy as np
import pytest

from ifmdm_jax.evaluation import geometry
from ifmdm_jax.face import align, points
from tests.evaluation import synthetic


def test_seen_from_the_head_a_nodding_face_is_still():
  first = synthetic.mesh(1)
  turns = [synthetic.rotation(0, 0, angle)[:2, :2] for angle in (0, 0.1, 0.2)]
  landmarks = np.concatenate([first @ turn.T + 5 * i for i, turn in enumerate(turns)])
  still = geometry.still(landmarks)
  np.testing.assert_allclose(still[1], still[0], atol=1e-6)
  stiff = geometry.head(landmarks)
  np.testing.assert_allclose(align.similarity(stiff[2], stiff[0])(stiff[2]), stiff[0], atol=1e-6)
  assert stiff.shape[1] == len(points.RIGID)


def test_millimetres_come_from_the_eyes_of_the_reference():
  landmarks = synthetic.mesh()
  eyes = points.eye_distance(geometry.to_mm(3 * landmarks, 3 * landmarks))
  assert np.median(eyes) == pytest.approx(geometry.EYES_MM, rel=1e-5)
