"""Whisper's audio encoder (Radford et al., 2022, section 2.2): log-mel -> 50 vectors per second.

Only the blocks that `layers` names are built. Lips follow the middle of the network better than its
end, so the bundled file holds the stem and the first blocks alone, and no final norm.
"""

import pathlib

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax import files

BUNDLED = pathlib.Path(__file__).parents[1] / 'weights'
WEIGHTS = BUNDLED / 'whisper_tiny.safetensors'  # English alone, three blocks
MULTILINGUAL = BUNDLED / 'whisper_base.safetensors'  # 99 languages, two blocks


def positions(count, width):
  """Makes sinusoids [count, width]: sines, then cosines, of wavelengths 2 pi .. 10000 * 2 pi."""
  rates = np.exp(-np.log(10_000) / (width // 2 - 1) * np.arange(width // 2))
  angles = np.arange(count)[:, None] * rates
  return np.float32(np.concatenate([np.sin(angles), np.cos(angles)], axis=1))


class Block(nn.Module):
  """Pre-norm attention over the whole recording, then an MLP four times as wide."""

  width: int
  heads: int

  @nn.compact
  def __call__(self, x, mask):  # x: [B, S, D]; mask: bool [B, 1, 1, S], true where there is sound
    batch, length, _ = x.shape
    y = nn.LayerNorm(epsilon=1e-5, name='norm_attention')(x)
    q, k, v = jnp.split(nn.Dense(3 * self.width, name='qkv')(y), 3, axis=-1)
    q, k, v = (a.reshape(batch, length, self.heads, -1) for a in (q, k, v))
    y = jax.nn.dot_product_attention(q, k, v, mask=mask).reshape(batch, length, self.width)
    x = x + nn.Dense(self.width, name='out')(y)
    y = nn.LayerNorm(epsilon=1e-5, name='norm_mlp')(x)
    y = nn.gelu(nn.Dense(4 * self.width, name='up')(y), approximate=False)
    return x + nn.Dense(self.width, name='down')(y)


class WhisperEncoder(nn.Module):
  """Log-mel [B, 2S, 80] -> outputs of the named blocks, concatenated: [B, S, D * len(layers)].

  Feature k is centred on mel frame 2k, i.e. on k / 50 seconds. S <= 1500, the 30 s Whisper knows.
  """

  layers: tuple[int, ...] = (2,)  # 0 is the stem, n the output of the n-th block
  width: int = 384
  heads: int = 6

  @nn.compact
  def __call__(self, mel, valid=None):
    """valid: [B] features that are sound; what follows is padding that nothing attends to."""
    x = nn.gelu(nn.Conv(self.width, (3,), padding=1, name='conv1')(mel), approximate=False)
    x = nn.gelu(nn.Conv(self.width, (3,), 2, padding=1, name='conv2')(x), approximate=False)
    length = x.shape[1]
    x = x + positions(length, self.width)[None]
    mask = None
    if valid is not None:
      mask = jnp.arange(length)[None, None, None] < valid[:, None, None, None]
    outputs = [x]
    for i in range(1, max(self.layers) + 1):
      x = Block(self.width, self.heads, name=f'block_{i}')(x, mask)
      outputs.append(x)
    return jnp.concatenate([outputs[i] for i in self.layers], axis=-1)


def load(path=WEIGHTS, layers=(2,)):
  """Reads a file written by `ifmdm_jax.importers.whisper`.

  Returns:
    The module and its float32 parameters, for `module.apply({'params': params}, mel)`.

  Raises:
    ValueError: the file does not hold a block that `layers` names.
  """
  meta = files.read_metadata(path)
  held = int(meta['blocks'])
  if not layers or not all(0 <= i <= held for i in layers):
    raise ValueError(f'layers={tuple(layers)}: {path} holds the stem (0) and blocks 1 to {held}')
  wanted = {'conv1', 'conv2', *(f'block_{i}' for i in range(1, max(layers) + 1))}
  params = {name: part for name, part in files.read_arrays(path).items() if name in wanted}
  return WhisperEncoder(tuple(layers), int(meta['width']), int(meta['heads'])), params
