"""The video model: a pixel U-Net, and a control copy of its way down with layers along time.

Corona et al., arXiv 2403.08764, section 3.2. The base knows pictures of people and nothing of
whom, or how they move. The copy reads the controls, and is joined to the base by layers of zeros;
within each of its residual blocks a convolution over time follows the first convolution. The base
stays frozen and sees frame by frame.

  x_t        [B * T, S, S, 3]   noised frames, T of a clip in a row
  controls   [B * T, S, S, K]   `controls.Controls` and the photo, see `joined`
  low        [B * T, S, S, 3]   of the stages of the cascade: the frame before, enlarged and noised

The base that was published is a text-to-image network that is not to be had: ours is trained on the
frames of the set itself, without text. Widths are our choice; what is published is how parts join.

Where `config.residual` says so, and v is predicted, the part of it that is the picture, -sigma x_0,
is counted from the warped reference laid over the photo: before training that is what is drawn. A
size that is trained for an hour need not learn to copy.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.diffusion import schedule as schedules
from ifmdm_jax.nn.control import Control, copy_of
from ifmdm_jax.nn.embed import timestep_features
from ifmdm_jax.nn.temporal import TemporalConv
from ifmdm_jax.nn.unet import Layout, UNet
from ifmdm_jax.systems.vlogger.controls import Controls

RGB = 3


def joined(drawn, reference):
  """Joins `controls.Controls` and the photo, [..., S, S, channels] each, to [..., S, S, K]."""
  return jnp.concatenate([*drawn, reference], axis=-1)


def channels(config):
  """Counts K, the channels of `joined`: dense map, masks, warped reference, validity, photo."""
  return 3 * RGB + 1 + config.masks


def layout(config, temporal=False):
  """Builds the layout of a config.model; `temporal`: with layers along time."""
  sizes = {key: tuple(v) if isinstance(v, list) else v for key, v in config.unet.items()}
  along = TemporalConv if temporal else None
  return Layout(**sizes, context=False, modulate=True, temporal=along)


def base(config):
  """Builds the U-Net; of a stage of the cascade it reads `low` beside x_t."""
  return UNet(layout(config), RGB)


def copy(config):
  """Builds the control copy."""
  return Control(layout(config, temporal=True))


def init(rng, config):
  """Draws fresh parameters {'base', 'control'}; the copy begins as the base's way down."""
  keys = jax.random.split(rng)
  side = config.image
  x = jnp.zeros((config.clip, side, side, RGB * (2 if config.low else 1)))
  t = jnp.zeros((config.clip,), jnp.int32)
  vector = jnp.zeros((config.clip, config.unet.width)) if config.low else None
  first = base(config).init(keys[0], x, t, vector=vector)['params']
  controls = jnp.zeros((config.clip, side, side, channels(config)))
  control = copy(config).init(keys[1], x, t, controls, vector=vector, frames=config.clip)['params']
  return {'base': first, 'control': copy_of(first, control)}


class Given(NamedTuple):
  """What is known of the frames that are drawn.

  Attributes:
    controls: [B * T, S, S, K]; None: the base alone.
    low: [B * T, S, S, 3], the frames of the stage before, enlarged and noised; None in the first.
    level: int [B * T], step of the schedule that `low` was noised to; None without it.
  """

  controls: jax.Array | None = None
  low: jax.Array | None = None
  level: jax.Array | None = None


def denoise(params, x_t, t, given, frames, config):
  """Evaluates the network at x_t [B * T, S, S, 3]: what `config.prediction` says.

  Args:
    params: of `init`.
    x_t: noised frames.
    t: int [B * T].
    given: `Given`.
    frames: T.
    config: config.model.
  """
  x, vector = x_t, None
  if config.low:
    x = jnp.concatenate([x_t, given.low], axis=-1)
    vector = timestep_features(given.level, config.unet.width)
  residuals = None
  if given.controls is not None:
    inputs = x, t, given.controls
    residuals = copy(config).apply(
      {'params': params['control']}, *inputs, vector=vector, frames=frames
    )
  made = base(config).apply({'params': params['base']}, x, t, vector=vector, residuals=residuals)
  if given.controls is None or not config.residual:
    return made
  sigma = np.sqrt(1 - schedules.cosine(config.timesteps).alpha_bar)
  return made - schedules.at(sigma, t, made) * guess(given.controls, config)


def parts(controls, config):
  """Splits `joined` controls: (`controls.Controls`, photo)."""
  ends = np.cumsum([RGB, config.masks, RGB, 1])
  *drawn, photo = jnp.split(controls, ends, axis=-1)
  return Controls(*drawn), photo


def guess(controls, config):
  """Lays the warped reference over the photo: [..., S, S, 3] from -1 to 1."""
  drawn, photo = parts(controls, config)
  return 2 * (drawn.warped + photo * (1 - drawn.valid)) - 1


def enlarged(frames, side):
  """Enlarges frames [N, s, s, C] of one stage for the next: [N, side, side, C]."""
  return jax.image.resize(frames, (len(frames), side, side, frames.shape[-1]), 'cubic')
