"""Training of stage 2: the noise in the latents of a frame, from all that is known of it.

`params` are those of `networks`, all of which are trained, and averaged, together; the published
program averages the U-Net alone and samples with encoders as they are. `config` is config.model of
configs/difftalk.py. Stage 1 is frozen, and latents are made as they are needed.

Voice-free context and guidance are not published and not trained.
"""

import json
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ifmdm_jax.diffusion import schedule
from ifmdm_jax.diffusion.gaussian import Gaussian
from ifmdm_jax.errors import InputError
from ifmdm_jax.systems.difftalk import conditions, masks, networks, vq
from ifmdm_jax.systems.difftalk.autoencoder import as_float
from ifmdm_jax.training import checkpoints


class Latents(NamedTuple):
  """Latents of one frame, [B, h, w, C] each."""

  z: jax.Array  # of the frame itself
  z_m: jax.Array  # of the frame, its lower part black
  z_r: jax.Array  # of the reference


def init(rng, config):
  """Draws fresh parameters of all that is trained: `audio`, `landmarks`, `unet`, ..."""
  return networks.init(rng, config)


def frozen(config):
  """Loads the autoencoder of the run `config.autoencoder`; '' draws one, for tests and plans.

  Raises:
    InputError: it is no run of this system's stage 1, or one of another size.
  """
  if not config.autoencoder:
    return vq.init(jax.random.key(0), config)
  trained, params = checkpoints.load(config.autoencoder)
  if 'vq' not in trained.model or 'gen' not in params:
    raise InputError(
      f'expected a run of configs/difftalk_autoencoder.py as model.autoencoder, got one of '
      f'{trained.model.module} in {config.autoencoder}'
    )
  wanted, found = ({'image': each.image, **each.vq} for each in (config, trained.model))
  if json.dumps(wanted, sort_keys=True) != json.dumps(found, sort_keys=True):  # lists are tuples
    raise InputError(
      f'{config.autoencoder} was trained with {found}, expected {wanted}: choose the size that it '
      'was trained in'
    )
  return params['gen']


def gaussian(config, steps=None):
  """Returns the `Gaussian` of training, or of sampling in some of its steps.

  Args:
    config: config.model.
    steps: which are kept, see `schedule.spaced`; None: all.
  """
  whole = schedule.sqrt_linear(config.timesteps, config.first_beta, config.last_beta)
  kept = whole if steps is None else whole.keep(schedule.spaced(len(whole), steps))
  return Gaussian(kept, 'eps', learn_sigma=False)


def encode(autoencoder, pictures, config):
  """Encodes pictures [B, S, S, 3] in [-1, 1] -> latents [B, h, w, C], before quantisation."""
  return vq.network(config).apply({'params': autoencoder}, pictures, method='encode')


def decode(autoencoder, z, config):
  """Quantises latents [B, h, w, C] and decodes them -> pictures [B, S, S, 3], clipped."""
  drawn = vq.network(config).apply({'params': autoencoder}, z, method='decode')
  return jnp.clip(drawn, -1, 1)


def latents(autoencoder, target, reference, points, config, landmark=masks.TRAINING):
  """Encodes a frame, the frame with its lower part black, and the reference -> `Latents`.

  Args:
    autoencoder: parameters of stage 1.
    target, reference: [B, S, S, 3] in [-1, 1].
    points: [B, N, 2] of the target, fractions of the side.
    config: config.model.
    landmark: where the black begins, see `masks`.
  """
  masked = masks.black_out(target, points, landmark)
  every = encode(autoencoder, jnp.concatenate([target, masked, reference]), config)
  return Latents(*jnp.split(every, 3))


def loss(params, batch, rng, *, config, step, frozen):
  """Computes the mean squared error of the noise over the whole latent map, mask or not.

  Args:
    params: of `networks`.
    batch: see `pipeline.sources.dub_frames.make_loader`.
    rng: of noise and steps.
    config: config.model.
    step: unused.
    frozen: parameters of the autoencoder.

  Returns:
    (loss, {'mse', 'mse_lower': below the nose alone}).
  """
  del step
  key_t, key_noise = jax.random.split(rng)
  target, reference = as_float(batch['target']), as_float(batch['reference'])
  given = jax.lax.stop_gradient(latents(frozen, target, reference, batch['points'], config))
  process, network = gaussian(config), networks.network(config)
  inputs = batch['speech'], conditions.landmarks(batch['points'])
  context = network.apply({'params': params}, *inputs, method='context')
  lower = ~masks.visible(batch['points'], given.z.shape[1], masks.TRAINING)
  # Latents are made once, and noised several times.
  repeated = lambda x: jnp.repeat(x, config.get('draws', 1), axis=0)
  given, context, lower = jax.tree.map(repeated, (given, context, lower))
  t = jax.random.randint(key_t, (len(given.z),), 0, config.timesteps)
  noise = jax.random.normal(key_noise, given.z.shape)
  z_t = process.q_sample(given.z, noise, t)
  output = network.apply(
    {'params': params}, z_t, t, given.z_m, given.z_r, context, method='denoise'
  )
  error = ((output - noise) ** 2).astype(jnp.float32)
  lower = jnp.broadcast_to(lower.astype(jnp.float32), error.shape)
  metrics = {'mse': error.mean(), 'mse_lower': (error * lower).sum() / jnp.maximum(lower.sum(), 1)}
  return metrics['mse'], metrics


def example(config, batch):
  """Shapes a batch, for plans without data."""
  shape = lambda *axes, dtype=jnp.float32: jax.ShapeDtypeStruct((batch, *axes), dtype)
  picture = shape(config.image, config.image, 3, dtype=jnp.uint8)
  speech = shape(networks.FRAMES, networks.STEPS, config.speech_width)
  return {'target': picture, 'reference': picture, 'points': shape(468, 2), 'speech': speech}
