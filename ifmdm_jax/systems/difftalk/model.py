"""Training of stage 2: the noise in the latents of a frame, from all that is known of it.

`params` are those of `networks`, all of which are trained, and averaged, together; the published
program averages the U-Net alone and samples with encoders as they are. `config` is config.model of
configs/difftalk.py. Stage 1 is frozen, and latents are made as they are needed.

What the U-Net predicts is `config.predicts`:

  noise   as published
  change  what the clean latents have that the reference's have not; departs from the paper.
          Untrained, it gives the reference back: a short training starts from there

Voice-free context and guidance are not published and not trained.
"""

import json
import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ifmdm_jax import bundle
from ifmdm_jax.diffusion import schedule
from ifmdm_jax.diffusion.gaussian import Gaussian
from ifmdm_jax.errors import InputError
from ifmdm_jax.nn.pixels import as_float
from ifmdm_jax.perception import lpips
from ifmdm_jax.systems.difftalk import conditions, masks, networks, pictures, vq

NOISE, CHANGE = PREDICTIONS = 'noise', 'change'


class Latents(NamedTuple):
  """Latents of one frame, [B, h, w, C] each."""

  z: jax.Array  # of the frame itself
  z_m: jax.Array  # of the frame, its lower part black
  z_r: jax.Array  # of the reference


def init(rng, config):
  """Draws fresh parameters of all that is trained: `audio`, `landmarks`, `unet`, ..."""
  return networks.init(rng, config)


class Frozen(NamedTuple):
  """What is read and never trained."""

  autoencoder: Any  # parameters of stage 1
  lpips: Any = None  # of AlexNet, where pictures count


def frozen(config):
  """Loads what the loss reads."""
  pictured = config.get('picture_weight', 0.0) > 0
  return Frozen(load_autoencoder(config), lpips.load('alex') if pictured else None)


def load_autoencoder(config):
  """Loads the autoencoder of `config.autoencoder`, a run or a bundle; '' draws one, for tests.

  Raises:
    InputError: it is no run of this system's stage 1, no bundle with one, or of another size.
  """
  folder = config.autoencoder
  if not folder:
    return vq.init(jax.random.key(0), config)
  if (pathlib.Path(folder) / 'config.json').is_file():
    part = bundle.read(folder).parts.get('autoencoder')
    found, params = (part.settings, part.params) if part else ({}, {})
    whose = 'weights without a part autoencoder'
  else:
    from ifmdm_jax.training import checkpoints  # Orbax: sampling does without

    trained, params = checkpoints.load(folder)
    found, params = trained.model.to_dict(), params.get('gen', {})
    whose = f'one of {trained.model.module}'
  if 'vq' not in found or not params:
    raise InputError(
      'expected a run of configs/difftalk_autoencoder.py, or a bundle of difftalk, as '
      f'model.autoencoder, got {whose} in {folder}'
    )
  sizes = [{'image': each['image'], **each['vq']} for each in (config, found)]
  if len({json.dumps(each, sort_keys=True) for each in sizes}) > 1:  # lists are tuples
    raise InputError(
      f'{folder} was trained with {sizes[1]}, expected {sizes[0]}: choose the size that it was '
      'trained in'
    )
  return params


def gaussian(config, steps=None):
  """Returns the `Gaussian` of training, or of sampling in some of its steps.

  Args:
    config: config.model.
    steps: which are kept, see `schedule.spaced`; None: all.

  Raises:
    InputError: config.predicts is none of `PREDICTIONS`, or steps cannot be.
  """
  predicts = config.get('predicts', NOISE)
  if predicts not in PREDICTIONS:
    raise InputError(f'predicts is {predicts!r}, expected one of {", ".join(PREDICTIONS)}')
  whole = schedule.sqrt_linear(config.timesteps, config.first_beta, config.last_beta)
  kept = whole if steps is None else whole.keep(schedule.spaced(len(whole), steps))
  return Gaussian(kept, 'x_0' if predicts == CHANGE else 'eps', learn_sigma=False)


def denoise(params, z_t, t, given, context, config):
  """Evaluates the U-Net: what `gaussian` of the same config predicts, [B, h, w, C].

  Args:
    params: of `networks`.
    z_t: [B, h, w, C], noised latents.
    t: int [B], steps in the schedule of training.
    given: `Latents`, of which z is not read.
    context: [B, K, E], see `networks.Denoiser.context`.
    config: config.model.
  """
  rest = given.z_m, given.z_r, context
  output = networks.network(config).apply({'params': params}, z_t, t, *rest, method='denoise')
  return output + given.z_r if config.get('predicts', NOISE) == CHANGE else output


def encode(autoencoder, pictures, config):
  """Encodes pictures [B, S, S, 3] in [-1, 1] -> latents [B, h, w, C], before quantisation."""
  return vq.network(config).apply({'params': autoencoder}, pictures, method='encode')


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
  """Computes the mean squared error of the prediction over the whole latent map, mask or not.

  Departures, each at its published value in `paper`: what is shown anyway counts
  `config.weight_shown` times, 1; a step is the noisiest of `config.noisiest` draws, 1; and the
  clean frame as it is drawn counts `config.picture_weight` times, 0, see `pictures.error`.

  Args:
    params: of `networks`.
    batch: see `pipeline.sources.dub_frames.make_loader`.
    rng: of noise and steps.
    config: config.model.
    step: unused.
    frozen: `Frozen`.

  Returns:
    (loss, {'mse', 'mse_lower': below the nose alone}); with pictures also {'l1', 'lpips'}, and of
    predicted changes {'reference_lower'}, the error of the reference as it is.
  """
  del step
  key_t, key_noise = jax.random.split(rng)
  target, reference = as_float(batch['target']), as_float(batch['reference'])
  given = latents(frozen.autoencoder, target, reference, batch['points'], config)
  given = jax.lax.stop_gradient(given)
  process, network = gaussian(config), networks.network(config)
  inputs = batch['speech'], conditions.landmarks(batch['points'])
  context = network.apply({'params': params}, *inputs, method='context')
  lower = ~masks.visible(batch['points'], given.z.shape[1], masks.TRAINING)
  # Latents are made once, and noised several times.
  repeated = lambda x: jnp.repeat(x, config.get('draws', 1), axis=0)
  given, context, lower = jax.tree.map(repeated, (given, context, lower))
  t = jax.random.randint(key_t, (config.get('noisiest', 1), len(given.z)), 0, config.timesteps)
  t, noise = t.max(0), jax.random.normal(key_noise, given.z.shape)
  z_t = process.q_sample(given.z, noise, t)
  output = denoise(params, z_t, t, given, context, config)
  error = ((output - process.target(given.z, noise, t)) ** 2).astype(jnp.float32)
  lower = jnp.broadcast_to(lower.astype(jnp.float32), error.shape)
  weights = lower + config.get('weight_shown', 1.0) * (1 - lower)
  loss = (error * weights).mean()
  metrics = {
    'mse': error.mean(),
    'mse_lower': (error * lower).sum() / jnp.maximum(lower.sum(), 1),
  }
  if config.get('predicts', NOISE) == CHANGE:
    kept = ((given.z_r - given.z) ** 2 * lower).sum() / jnp.maximum(lower.sum(), 1)
    metrics['reference_lower'] = kept
  if frozen.lpips is not None:
    pictured = jax.tree.map(repeated, (target, reference, batch['points']))
    z_0 = process.x_0_of(output, z_t, t)
    metrics |= _seen(z_0, given, *pictured, frozen, config)
    loss = loss + config.picture_weight * (metrics['l1'] + metrics['lpips'])
  return loss, metrics


def _seen(z_0, given, target, reference, points, frozen, config):
  """Draws a clean frame as sampling does, around the film's own latents, and compares it."""
  inside = pictures.lower_faces(points, config.image, config.get('margin', masks.MARGIN))
  made = jnp.where(pictures.generated(inside, config.latent) > 0, z_0, given.z)
  drawn = pictures.detailed(frozen.autoencoder, made, given.z_r, reference, config)
  return pictures.error(drawn, target, inside, frozen.lpips)


def example(config, batch):
  """Shapes a batch, for plans without data."""
  shape = lambda *axes, dtype=jnp.float32: jax.ShapeDtypeStruct((batch, *axes), dtype)
  picture = shape(config.image, config.image, 3, dtype=jnp.uint8)
  speech = shape(networks.FRAMES, networks.STEPS, config.speech_width)
  return {'target': picture, 'reference': picture, 'points': shape(468, 2), 'speech': speech}
