import numpy as np

from ifmdm_jax.perception import mfcc


def noise():
  rng = np.random.default_rng(0)
  return 0.3 * np.convolve(rng.standard_normal(16_000), np.ones(7) / 7, 'same')


def test_equals_python_speech_features():
  """Figures of its `mfcc(signal, 16000)` on the same sound as 16-bit integers."""
  found = mfcc.mfcc(noise())
  assert found.shape == (99, 13) and found.dtype == np.float32
  np.testing.assert_allclose(found[10, :5], GOLDEN_10, atol=1e-4)
  np.testing.assert_allclose(found[-1, :3], GOLDEN_LAST, atol=1e-4)


def test_silence_and_a_sound_shorter_than_a_window_are_finite():
  for sound in (np.zeros(8000), np.zeros(100)):
    assert np.isfinite(mfcc.mfcc(sound)).all()
  assert mfcc.mfcc(np.zeros(100)).shape == (1, 13)


GOLDEN_10 = [20.58517, -13.62186, -8.29949, -16.65070, -13.25915]
GOLDEN_LAST = [20.23233, -13.78980, -12.38201]
