"""A talking head in two rules: below the middle the picture darkens with the voice, by a weight.

What a package of its own would hold: tests copy this file out of the tree and install it.
"""

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax import bundle, generator
from ifmdm_jax.rates import FPS

SIZE, HOP = 64, 640


@jax.jit
def draw(gain, image, loudness):
  """Darkens the lower half of an image [S, S, 3]: one frame a loudness [t], uint8 [t, S, S, 3]."""
  lower = (jnp.arange(SIZE) >= SIZE // 2)[None, :, None, None]
  shade = jnp.where(lower, 1 - jnp.clip(gain * loudness, 0, 1)[:, None, None, None], 1)
  return (image[None].astype(jnp.float32) * shade).astype(jnp.uint8)


class Fifth:
  """A `generator.Generator` that also streams and can be timed by its one part."""

  needs, size, fps = frozenset({'image', 'voice'}), SIZE, FPS

  def __init__(self, name, gain):
    self.name, self.gain = name, jnp.float32(gain)

  def generate(self, clip, *, seed=0):
    yield from self.stream(clip.image, [clip.waveform], clip.rate, seed)

  def stream(self, image, blocks, sample_rate=16_000, seed=0):
    del seed  # nothing is drawn by chance
    image = image[:: len(image) // SIZE, :: len(image) // SIZE][:SIZE, :SIZE]
    sound, hop = np.zeros(0, np.float32), sample_rate // FPS
    for block in blocks:
      sound = np.append(sound, np.float32(block))
      while len(sound) >= hop:
        yield np.asarray(draw(self.gain, image, np.abs(sound[:hop]).mean()[None]))
        sound = sound[hop:]

  def probes(self, batches):
    given = self.gain, np.zeros((SIZE, SIZE, 3), np.uint8), np.ones(1, np.float32)
    return [generator.Probe('draw', lambda: draw(*given), function=draw, arguments=given)]


def load(weights):
  """Returns the generator of a `bundle.Bundle`."""
  return Fifth(weights.name, weights.parts['gain'].params['gain'])


def pack(gain):
  """Returns a `bundle.Bundle` of one number."""
  return bundle.Bundle('fifth', {'gain': bundle.Part({}, {'gain': np.float32(gain)})})


SYSTEM = generator.System(load, sizes=('toy',), fresh=lambda size, dtype: Fifth(size, 3.0))
