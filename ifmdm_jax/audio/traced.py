"""Whisper's features of a window of sound as one traced function, for exported programs."""

import jax.numpy as jnp

from ifmdm_jax.audio import logmel, whisper, windows
from ifmdm_jax.audio.features import WHISPER
from ifmdm_jax.errors import InputError


def features(name, length):
  """Returns a function and its parameters: what `audio.features` computes, on one fixed length.

  Args:
    name: of the encoder, one of `features.WHISPER`.
    length: most frames of sound, 25 per second.

  Returns:
    (params, sound float32 [640 * length], frames) -> float32 [2 * length, A], of which the first
    2 * frames are meant: so many frames of the sound are sound; and the parameters.
  """
  if name not in WHISPER:
    raise InputError(f'expected motion that listens through {" or ".join(WHISPER)}, got {name}')
  network, params = whisper.load(WHISPER[name], layers=(2,))
  mel = logmel.Mel()
  bucket = next(size for size in windows.BUCKETS if 2 * length < size)

  def encode(params, sound, frames):
    half = mel.n_fft // 2
    padded = jnp.concatenate([sound[half:0:-1], sound, jnp.zeros(half, sound.dtype)])
    power = mel.power(padded)[: len(sound) // mel.hop]
    log10 = jnp.log10(jnp.maximum(power, 1e-10))
    valid = jnp.arange(len(log10), dtype=jnp.int32)[:, None] < 4 * frames
    peak = jnp.max(jnp.where(valid, log10, -10.0))
    scaled = logmel.whisper_scale(log10, peak)
    fill = jnp.maximum(-1.5, (peak + 4.0) / 4.0 - 2.0)
    scaled = jnp.where(valid, scaled, fill)
    missing = 2 * bucket - len(scaled)
    scaled = jnp.concatenate([scaled, jnp.broadcast_to(fill, (missing, mel.n_mels))])
    return network.apply({'params': params}, scaled[None], 2 * frames[None])[0, : 2 * length]

  return encode, params
