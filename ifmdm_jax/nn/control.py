"""A trainable copy of a U-Net's way down, joined to the frozen U-Net by layers of zeros.

Source: Zhang et al. 2023, "Adding Conditional Control to Text-to-Image Diffusion Models", section
3.1. Before training the copy adds zeros: the frozen network gives what it gave.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifmdm_jax.errors import InputError
from ifmdm_jax.nn.unet import Conditions, Down, Layout, Middle, Skips, Time


class ZeroConv(nn.Module):
  """1x1 convolution of zeros: [B, H, W, C] -> [B, H, W, C]."""

  @nn.compact
  def __call__(self, x):
    zeros = nn.initializers.zeros
    return nn.Conv(x.shape[-1], (1, 1), kernel_init=zeros, bias_init=zeros, name='conv')(x)


class Control(nn.Module):
  """The way down and the middle of a U-Net, that reads controls as well: -> Skips to be added.

  Its `time`, `down` and `middle` have the paths of a `UNet` of the same layout, less any layer
  along time, which the frozen network need not have.
  """

  layout: Layout

  @nn.compact
  def __call__(self, x, t, controls, context=None, *, vector=None, frames=1, train=False):
    """x, t, context, vector: as the U-Net's; controls: [B, H, W, K], joined to x after it."""
    conditions = Conditions(Time(self.layout.width, name='time')(t, vector), context, frames, train)
    maps = Down(self.layout, name='down')(jnp.concatenate([x, controls], axis=-1), conditions)
    middle = Middle(self.layout, name='middle')(maps[-1], conditions)
    down = tuple(ZeroConv(name=f'zero_{i}')(h) for i, h in enumerate(maps))
    return Skips(down, ZeroConv(name='zero_middle')(middle))


def copy_of(base, control):
  """Fills a Control's parameters with those of the U-Net that it copies.

  The input convolution reads more channels than the U-Net's: theirs are copied, those of the
  controls begin as zeros, so that the copy starts with the maps of the original.

  Args:
    base: parameters of the UNet.
    control: parameters of the Control, whose zero layers and layers along time stay as they are.

  Raises:
    InputError: another layout: a parameter of the U-Net's way down has no place, or no fit.
  """
  copied = {part: _fill(base[part], control[part], part) for part in ('time', 'down', 'middle')}
  return {**control, **copied}


def _fill(base, control, path):
  if not isinstance(base, dict):
    if path == 'down/conv_in/kernel':
      more = control.shape[2] - base.shape[2]
      if more >= 0 and control.shape[3] == base.shape[3]:
        return jnp.pad(base, ((0, 0), (0, 0), (0, more), (0, 0)))
    if jnp.shape(base) == jnp.shape(control):
      return jnp.copy(base)
    raise InputError(
      f'{path} is {jnp.shape(base)} in the U-Net and {jnp.shape(control)} in its control copy: '
      'build both with one layout'
    )
  lost = [name for name in base if name not in control]
  if lost:
    raise InputError(f'the control copy has no {path}/{lost[0]}: build both with one layout')
  filled = {name: _fill(base[name], control[name], f'{path}/{name}') for name in base}
  return {**jax.tree.map(jnp.copy, dict(control)), **filled}
