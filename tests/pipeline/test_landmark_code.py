import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.face import points
from ifmdm_jax.pipeline import landmark_code


@pytest.fixture(scope='module')
def tracks():
  # Noise keeps all twenty directions alive on a face this simple.
  rng = np.random.default_rng(0)
  return [testing.talking_face(60, seed=s)[1] + rng.normal(0, 1e-3, (60, 468, 2)) for s in range(4)]


def test_one_unit_is_one_deviation_within_clips(tracks):
  code = landmark_code.fit(tracks)
  within = np.concatenate([code(t) - code(t).mean(0) for t in tracks])
  np.testing.assert_allclose(within.std(0), 1.0, rtol=1e-3)


def test_the_lips_block_sees_the_mouth_open_and_the_pose_block_the_head_turn(tracks):
  code, track = landmark_code.fit(tracks), tracks[0]
  opening = points.mouth_opening(track)
  codes = code(track)
  correlation = lambda block, series: max(
    abs(np.corrcoef(c, series)[0, 1]) for c in codes[:, landmark_code.BLOCK[block]].T
  )
  assert correlation('lips', opening) > 0.9
  assert correlation('pose', track[:, 168, 0]) > 0.9


def test_moving_the_head_as_a_whole_leaves_the_lips_alone(tracks):
  code = landmark_code.fit(tracks)
  face = tracks[0][:1]
  change = np.abs(code(face + 0.02) - code(face))[0]
  assert change[landmark_code.BLOCK['lips']].max() < 0.3 * change[landmark_code.BLOCK['pose']].max()


def test_values_by_block_stand_at_the_numbers_of_the_block():
  shares = np.array(landmark_code.per_number(0.5, lips=0.0, brows=1.0))
  assert (landmark_code.LIPS.start, landmark_code.LIPS.stop) == (6, 14)  # as in released weights
  brows = shares[landmark_code.BLOCK['brows']]
  assert (shares[landmark_code.LIPS] == 0).all() and (brows == 1).all()
  assert (shares == 0.5).sum() == 9 and len(shares) == 20
