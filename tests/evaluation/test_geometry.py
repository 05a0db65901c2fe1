import numpy as np
import pytest

from ifmdm_jax.evaluation import geometry
from ifmdm_jax.face import align, points
from tests.evaluation import synthetic


@pytest.mark.parametrize('angles', [(20, 0, 0), (0, -15, 0), (0, 0, 25), (15, 10, -20)])
def test_the_angles_of_a_turned_head_are_found(angles):
  shape = np.zeros((1, 468, 3))
  shape[:, geometry.HEAD] = geometry.HEAD_SHAPE
  yaw, pitch, roll = np.radians(angles)
  seen = 25 * (shape @ synthetic.rotation(yaw, pitch, roll).T)[..., :2] + 200
  np.testing.assert_allclose(geometry.angles(seen)[0], angles, atol=0.01)


def test_a_frame_without_a_face_has_no_angles():
  assert np.isnan(geometry.angles(np.full((2, 468, 2), np.nan))).all()


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
