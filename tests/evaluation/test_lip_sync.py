import jax
import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.errors import InputError
from ifmdm_jax.evaluation import lip_sync
from ifmdm_jax.evaluation.types import Absent, Pair
from ifmdm_jax.face import crop
from ifmdm_jax.perception import sync_network


def vectors(count=80, noise=0.3, seed=0):
  """Lips and a voice that fits them."""
  rng = np.random.default_rng(seed)
  lips = rng.normal(size=(count, 16))
  return lips, lips + noise * rng.normal(size=lips.shape)


@pytest.mark.parametrize('outside', ['skip', 'zeros'])
def test_the_lag_is_the_shift_of_the_voice_and_positive_where_it_is_late(outside):
  lips, voices = vectors(100)
  for shift in (-7, 0, 3, 6):
    # At frame t stands the voice of frame t - shift: it comes too late by so many frames.
    late = np.roll(voices, shift, axis=0)[20:80]
    assert lip_sync.read(lip_sync.distances(lips[20:80], late, outside)).lag == shift


def test_a_worse_voice_is_further_away_and_less_sure():
  scores = [lip_sync.read(lip_sync.distances(*vectors(noise=n))) for n in (0.0, 0.5, 1.0)]
  same, near, far = scores
  assert 0 == same.distance < near.distance < far.distance
  assert same.confidence > near.confidence > far.confidence


def test_another_voice_is_hardly_surer_at_one_shift_than_at_any():
  lips, own = vectors()
  _, other = vectors(seed=1)
  sure = lambda voices: lip_sync.read(lip_sync.distances(lips, voices)).confidence
  assert sure(other) < 0.1 * sure(own)


def test_zeros_outside_are_counted_as_the_published_program_counts_them():
  """Its `calc_pdist`: the voice padded with zeros, every lip vector against all 31 shifts."""
  lips, voices = vectors(30)
  padded = np.pad(voices, ((15, 15), (0, 0)))
  expected = np.mean(
    [np.linalg.norm(lips[i] - padded[i : i + 31], axis=1) for i in range(30)], axis=0
  )
  np.testing.assert_allclose(lip_sync.distances(lips, voices, 'zeros'), expected, rtol=1e-9)


def test_too_few_vectors_are_refused():
  with pytest.raises(ValueError, match='more than 15'):
    lip_sync.distances(*vectors(15))


@pytest.fixture(scope='module')
def network():
  return lip_sync.Bundled(chunk=16)


def clip(frames=30, seed=0):
  rng = np.random.default_rng(seed)
  crops = rng.integers(0, 255, (frames, 48, 48)).astype(np.uint8)
  return crops, rng.normal(size=(2 * frames, 384)).astype(np.float32)


def test_one_unit_vector_per_window_of_five_frames(network):
  crops, speech = clip()
  for vectors in (network.lips(crops), network.voices(speech)):
    assert vectors.shape == (26, 128)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)


def test_a_window_does_not_depend_on_the_pieces_it_was_reckoned_in(network):
  crops, _ = clip()
  np.testing.assert_allclose(network.lips(crops)[14:], network.lips(crops[14:]), atol=1e-4)


def test_loudness_and_level_of_features_do_not_matter(network):
  _, speech = clip()
  np.testing.assert_allclose(network.voices(speech), network.voices(3 * speech + 1), atol=1e-3)


def test_a_lag_needs_a_second(network):
  crops, speech = clip()
  lag = network.lag(crops, speech)
  assert -15 <= lag.frames <= 15 and lag.r >= 0
  with pytest.raises(InputError, match='at least 25 frames'):
    network.lag(crops[:20], speech)


def pair(**changes):
  frames, landmarks, sound = testing.talking_face(30, 64)
  speech = np.random.default_rng(0).normal(size=(60, 384)).astype(np.float32)
  points = landmarks * 64
  given = dict(landmarks=points, reference_landmarks=points, waveform=sound, speech=speech)
  return Pair('a', 'a', frames, frames, **{**given, **changes})


@pytest.mark.parametrize(
  ('changes', 'reason'),
  [
    (dict(waveform=None), 'no sound'),
    (dict(landmarks=np.full((30, 468, 2), np.nan, np.float32)), 'no face'),
    (dict(predicted=np.zeros((8, 64, 64, 3), np.uint8)), '8 frames'),
  ],
)
def test_a_clip_that_cannot_be_scored_says_why(network, changes, reason):
  import dataclasses

  scores = lip_sync.Scorer(Absent('no weights'), network).score(
    dataclasses.replace(pair(), **changes)
  )
  assert set(scores) == set(lip_sync.METRICS)
  assert all(isinstance(v, Absent) and reason in v.reason for v in scores.values())


def test_own_scores_stand_beside_the_reason_why_the_published_are_absent(network):
  scores = lip_sync.Scorer(Absent('no weights'), network).score(pair())
  assert scores['lse_c'] == scores['lse_d'] == scores['lag'] == Absent('no weights')
  assert 0 <= scores['lse_d_own'] <= 2 and scores['lse_c_own'] >= 0


def test_without_weights_the_published_network_is_absent_with_the_reason(monkeypatch):
  monkeypatch.delenv('IFMDM_WEIGHTS', raising=False)
  assert 'syncnet' in lip_sync.load().published.reason


def test_published_scores_come_from_imported_weights():
  """Random weights: the path from video to figures, not the figures."""

  def tower(x):
    return np.asarray(x, np.float32).reshape(len(x), -1)[:, :8]

  published = lip_sync.Published.__new__(lip_sync.Published)
  published._batch, published._lip, published._audio = 8, tower, tower
  given = pair()
  scores = published.scores(given.predicted, given.landmarks, given.waveform)
  assert scores.confidence >= 0 and scores.distance > 0 and -15 <= scores.lag <= 15
  faces = crop.syncnet_faces(given.predicted, given.landmarks)
  assert faces.shape == (30, 224, 224, 3)


def test_bundled_weights_are_small_and_complete():
  assert sync_network.WEIGHTS.stat().st_size < 4e6
  import ml_collections

  config = ml_collections.ConfigDict(dict(audio='whisper_tiny'))
  shapes = jax.eval_shape(lambda key: sync_network.init(key, config), jax.random.key(0))
  bundled = sync_network.load()
  assert jax.tree.map(np.shape, bundled) == jax.tree.map(np.shape, shapes)
