import numpy as np
import pytest

from ifmdm_jax.evaluation import lower_face
from ifmdm_jax.face import crop, points
from tests.evaluation import synthetic


class Distance:
  """Stands for LPIPS: the mean difference."""

  def distance(self, net, a, b):
    return np.abs(a.astype(np.float32) - b.astype(np.float32)).mean((1, 2, 3)) / 255


@pytest.fixture
def pair():
  return synthetic.pair(frames=10, side=128)


def scores(pair):
  return lower_face.Scorer(Distance()).score(pair)


def test_the_film_itself_is_at_no_distance(pair):
  assert scores(pair) == {'lower_psnr': 100.0, 'lower_ssim': pytest.approx(1), 'lower_lpips': 0.0}


def test_what_changes_above_the_nose_is_not_seen_and_what_changes_at_the_lips_is(pair):
  above, lips = pair.predicted.copy(), pair.predicted.copy()
  nose = int(pair.reference_landmarks[:, points.IBUG[33], 1].min())
  side = np.ptp(pair.reference_landmarks[0, points.LOWER_FACE], axis=0).max()
  middle = pair.reference_landmarks[0, points.LOWER_FACE]
  top = int((middle[:, 1].min() + middle[:, 1].max()) / 2 - side / 2) - 4
  above[:, : min(top, nose)] = 255 - above[:, : min(top, nose)]
  for t, frame in enumerate(lips):
    frame[crop.mouth_box(pair.reference_landmarks[t], 128)] = 0
  assert scores(synthetic.replace(pair, predicted=above))['lower_psnr'] == 100
  seen = scores(synthetic.replace(pair, predicted=lips))
  assert seen['lower_psnr'] < 30 and seen['lower_lpips'] > 0.01 and seen['lower_ssim'] < 0.95


def test_a_film_without_a_face_has_no_lower_one(pair):
  blind = synthetic.replace(pair, reference_landmarks=np.full_like(pair.landmarks, np.nan))
  assert all('no face' in value.reason for value in scores(blind).values())
