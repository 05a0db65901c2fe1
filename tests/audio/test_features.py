import functools

import jax
import numpy as np
import pytest

from ifmdm_jax import errors
from ifmdm_jax.audio import features, wav2vec2, waveform
from ifmdm_jax.training import program


@functools.cache
def encoder(name):
  if name == 'wav2vec2':
    module = wav2vec2.Wav2Vec2(
      layer=1, depth=1, width=32, heads=2, mlp_width=48, channels=(16,) * 7
    )
    params = jax.jit(module.init)(program.fresh_key(0), np.zeros((1, 16_000), np.float32))['params']
    return features.Wav2Vec2(module, params)
  return features.load(name)


def babble(seconds, sample_rate=16_000, seed=0):
  """Noise in syllables: four bursts a second, so that features have something to say."""
  rng = np.random.default_rng(seed)
  time = np.arange(round(seconds * sample_rate)) / sample_rate
  loudness = np.maximum(0, np.sin(2 * np.pi * 4 * time)) * (1 + np.sin(2 * np.pi * 0.7 * time))
  return np.float32(0.1 * loudness * rng.standard_normal(len(time)))


@pytest.mark.parametrize('name', ['whisper_base', 'whisper_tiny', 'mel', 'wav2vec2'])
@pytest.mark.parametrize(
  'samples, sample_rate', [(640, 16_000), (16_000, 16_000), (11_111, 8_000), (66_151, 44_100)]
)
def test_two_features_for_every_video_frame(name, samples, sample_rate):
  sound = babble(samples / sample_rate, sample_rate)
  ours = encoder(name).features(sound, sample_rate)
  frames = waveform.num_frames(len(sound), sample_rate)
  assert ours.shape == (2 * frames, encoder(name).width) and ours.dtype == np.float32
  assert np.isfinite(ours).all()


def test_stereo_int16_at_48_khz_hears_the_same():
  sound = babble(2.0, 48_000)
  stereo = np.round(np.stack([sound, sound], axis=1) * 32768).astype(np.int16)
  ours, theirs = (encoder('mel').features(x, 48_000) for x in (stereo, sound))
  # The quietest bins are rounding noise of 16 bits: compare what is heard.
  loud = theirs > theirs.max() - 1.0
  np.testing.assert_allclose(ours[loud], theirs[loud], atol=0.02)


@pytest.mark.parametrize('seconds', [0.5, 1.0, 5.0, 11.0])
def test_a_click_is_heard_in_its_own_frame(seconds):
  sound = np.zeros((12 * 16_000,), np.float32)
  sound[round(seconds * 16_000)] = 1.0
  heard = encoder('mel').features(sound, 16_000)[:, :80].mean(axis=1)
  assert heard.argmax() == round(seconds * 50)


def test_silence_is_finite_and_constant():
  ours = encoder('mel').features(np.zeros((16_000,), np.float32), 16_000)
  np.testing.assert_array_equal(ours, ours[:1].repeat(50, axis=0))
  assert np.isfinite(encoder('whisper_tiny').features(np.zeros((8_000,)), 16_000)).all()


def test_mel_equals_whispers_own_transform():
  from ifmdm_jax.audio import logmel

  sound = babble(12.0)  # longer than one block
  padded = np.pad(sound, (0, 4_000))  # theirs: silence after the end, up to 30 s
  theirs = logmel.whisper_scale(logmel.Mel().log10(padded)[:1200])
  ours = encoder('mel').features(sound, 16_000).reshape(1200, 80)
  np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_long_sound_agrees_with_its_excerpt_and_is_deterministic():
  sound = babble(23.0)
  whole = encoder('whisper_tiny').features(sound, 16_000)
  np.testing.assert_array_equal(whole, encoder('whisper_tiny').features(sound, 16_000))
  assert whole.shape == (1150, 384)
  part = encoder('whisper_tiny').features(sound[8 * 16_000 : 17 * 16_000], 16_000)
  a, b = whole[8 * 50 + 100 : 17 * 50 - 100], part[100:-100]
  a, b = ((x - x.mean(0)) / x.std(0) for x in (a, b))
  # Not equal: attention has another 10 s to look at, and positions differ.
  assert (a * b).mean() > 0.8


@pytest.mark.parametrize('name', ['whisper_base', 'whisper_tiny', 'mel', 'wav2vec2'])
def test_bad_sound_is_an_input_error(name):
  with pytest.raises(errors.InputError):
    encoder(name).features(np.full((16_000,), np.nan), 16_000)


def test_an_unknown_encoder_lists_the_known():
  with pytest.raises(errors.InputError, match='whisper_tiny'):
    features.load('whisper_huge')


def test_an_encoder_without_bundled_weights_says_how_to_get_them():
  with pytest.raises(errors.InputError, match='import_weights'):
    features.load('wav2vec2')


def test_an_imported_encoder_is_known_by_its_name(tmp_path, monkeypatch):
  opened = []
  monkeypatch.setattr(features, 'imported', lambda folder, **options: opened.append(folder))
  monkeypatch.setenv('IFMDM_WEIGHTS', str(tmp_path))
  with pytest.raises(errors.InputError, match='import_weights'):
    features.load('wav2vec2')
  (tmp_path / 'wav2vec2').mkdir()
  features.load('wav2vec2')
  assert opened == [str(tmp_path / 'wav2vec2')]
