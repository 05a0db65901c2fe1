import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax.audio import logmel


def noise(seconds=1.0, seed=0):
  rng = np.random.default_rng(seed)
  return np.float32(0.1 * rng.standard_normal(int(16_000 * seconds)))


@pytest.mark.parametrize(
  'mel', [logmel.Mel(), logmel.Mel(n_mels=26), logmel.Mel(22_050, 1024, 256, 64, 50.0, 8_000.0)]
)
def test_equals_librosa(mel):
  librosa = pytest.importorskip('librosa')
  filters = librosa.filters.mel(
    sr=mel.sample_rate, n_fft=mel.n_fft, n_mels=mel.n_mels, fmin=mel.f_min, fmax=mel.f_max
  )
  np.testing.assert_allclose(mel.filters(), filters.T, atol=1e-7)
  stft = librosa.stft(noise(), n_fft=mel.n_fft, hop_length=mel.hop, pad_mode='reflect')
  theirs = np.log10(np.maximum(filters @ np.abs(stft) ** 2, 1e-10)).T
  np.testing.assert_allclose(mel.log10(jnp.asarray(noise())), theirs, atol=1e-4)


def test_a_batch_equals_its_members():
  both = jnp.stack([noise(seed=1), noise(seed=2)])
  batch = logmel.Mel().log10(both)
  for i in range(2):
    np.testing.assert_allclose(batch[i], logmel.Mel().log10(both[i]), atol=1e-5)


def test_whisper_scale_spans_two_below_the_peak():
  scaled = logmel.whisper_scale(jnp.array([[3.0, -1.0, -10.0]]))
  np.testing.assert_allclose(scaled, [[1.75, 0.75, -0.25]])
  np.testing.assert_allclose(logmel.whisper_scale(jnp.array([1.0]), peak=12.0), [2.0])
