"""Log-mel spectrograms in JAX: Whisper's, and the same with other sizes."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np


@dataclasses.dataclass(frozen=True)
class Mel:
  """Sizes of a mel spectrogram; the defaults are Whisper's (25 ms windows, 10 ms hop, 80 bands)."""

  sample_rate: int = 16_000
  n_fft: int = 400
  hop: int = 160
  n_mels: int = 80
  f_min: float = 0.0
  f_max: float | None = None  # None: half the sample rate

  def power(self, samples):
    """Sums mel energies of whole windows: [..., L] -> [..., 1 + (L - n_fft) // hop, n_mels]."""
    count = 1 + (samples.shape[-1] - self.n_fft) // self.hop
    index = self.hop * np.arange(count)[:, None] + np.arange(self.n_fft)
    frames = samples[..., index] * jnp.asarray(self.window(), samples.dtype).reshape(
      (1,) * samples.ndim + (-1,)
    )
    spectrum = jnp.abs(jnp.fft.rfft(frames, axis=-1)) ** 2
    # Full precision: TF32 would round energies that the logarithm then magnifies.
    return jnp.matmul(spectrum, self.filters(), precision=jax.lax.Precision.HIGHEST)

  def log10(self, waveform):
    """Computes log10 mel energies, [..., L] -> [..., L // hop + 1, n_mels].

    Frame m is centred on sample m * hop. The ends are mirrored (not zero) padded; energies below
    1e-10 count as 1e-10.
    """
    half = [(0, 0)] * (waveform.ndim - 1) + [(self.n_fft // 2,) * 2]
    return jnp.log10(jnp.maximum(self.power(jnp.pad(waveform, half, mode='reflect')), 1e-10))

  def window(self):
    """Makes the periodic Hann window [n_fft]."""
    return np.float32(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.n_fft) / self.n_fft))

  def filters(self):
    """Makes triangles on Slaney's mel scale, each of unit area: [n_fft // 2 + 1, n_mels]."""
    return _filters(self)


def whisper_scale(log10_mel, peak=None):
  """Scales to Whisper's input range: at most 8 decades below the loudest bin, then (x + 4) / 4.

  Args:
    log10_mel: [..., F, n_mels].
    peak: the loudest log10 value of the whole recording; None takes it from `log10_mel`.

  Returns:
    An array of the same kind: NumPy's compile nothing, which matters where each length is new.
  """
  xp = np if isinstance(log10_mel, np.ndarray) else jnp
  peak = xp.max(log10_mel) if peak is None else peak
  return (xp.maximum(log10_mel, peak - 8.0) + 4.0) / 4.0


@functools.lru_cache(maxsize=8)
def _filters(mel):
  # Slaney: linear up to 1 kHz (3 mels per 200 Hz), logarithmic above (27 mels per factor 6.4).
  step = np.log(6.4) / 27

  def to_mel(hz):
    return np.where(hz < 1000, 3 * hz / 200, 15 + np.log(np.maximum(hz, 1000) / 1000) / step)

  def to_hz(mels):
    return np.where(mels < 15, 200 * mels / 3, 1000 * np.exp(step * (np.maximum(mels, 15) - 15)))

  f_max = mel.f_max or mel.sample_rate / 2
  low, high = to_mel(np.array(mel.f_min)), to_mel(np.array(f_max))
  edges = to_hz(np.linspace(low, high, mel.n_mels + 2))
  bins = np.linspace(0, mel.sample_rate / 2, mel.n_fft // 2 + 1)[:, None]
  left, centre, right = edges[:-2], edges[1:-1], edges[2:]
  rising, falling = (bins - left) / (centre - left), (right - bins) / (right - centre)
  return np.float32(np.maximum(0, np.minimum(rising, falling)) * 2 / (right - left))
