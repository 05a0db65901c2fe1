"""The paper's adversarial training of stage 1: optimisers, losses, one update, validation.

`params` are {'gen', 'dis'}; `config` is config.model of configs/autoencoder.py:paper, or the whole
config where that is said.
"""

import functools
import importlib

import jax
import jax.numpy as jnp
import optax

from ifmdm_jax.errors import InputError
from ifmdm_jax.systems.ifmdm.autoencoder import losses
from ifmdm_jax.systems.ifmdm.autoencoder.encoder import num_halvings
from ifmdm_jax.systems.ifmdm.autoencoder.model import as_float, build
from ifmdm_jax.training import optim


def lazy_adam(lr, interval):
  """Adam with StyleGAN2's correction for a regulariser every `interval` steps, c = k / (k + 1).

  The paper has no regulariser and keeps the correction; its betas (0, 0.99) become (0^c, 0.99^c).
  """
  c = interval / (interval + 1)
  adam = optax.adam(lr * c, b1=0.0, b2=0.99**c, eps=1e-8)
  # optax raises a float to an integer step, which strict promotion refuses.
  return adam._replace(update=jax.numpy_dtype_promotion('standard')(adam.update))


def trainable(mode, size):
  """Returns patterns of the generator's parameters that are trained, by kind of training."""
  top = num_halvings(size) - 1  # index of the finest level
  finest = rf'(convs_{2 * top}|convs_{2 * top + 1}|to_rgbs_{top}|to_flows_{top})'
  modes = {
    'all': ('.*',),
    'super_resolution': ('appearance_net/(conv_in|block_1)/.*', rf'synthesis/{finest}/.*'),
    'refine': ('refine_block/.*',),
    'decoder': ('(directions|synthesis|refine_block)/.*',),
  }
  if mode not in modes:
    raise InputError(f'optim.trainable is {mode!r}, expected one of {", ".join(modes)}')
  return modes[mode]


def optimizers(config):
  """Makes {'gen', 'dis'} of the whole config.

  Reads config.optim.peak_lr (the paper's is constant) and config.optim.trainable, a kind of
  training by name; the default is 'all'.
  """
  mode = config.optim.get('trainable', 'all')
  gen = lazy_adam(config.optim.peak_lr, interval=4)
  return {
    'gen': gen if mode == 'all' else optim.only(trainable(mode, config.model.size), gen),
    'dis': lazy_adam(config.optim.peak_lr, interval=16),  # trained in every mode
  }


# ---------------------------------------------------------------------------------- losses


def perceptual_network(config):
  """Imports what config.perceptual names, if anything: `load()`, `features(weights, images)`."""
  name = config.get('perceptual')
  return importlib.import_module(name) if name else None


def frozen(config):
  """Loads the weights of the perceptual network; None without one."""
  network = perceptual_network(config)
  return network.load() if network else None


def gen_loss(params, dis_params, source, target, *, config, frozen=None):
  """Sums perceptual, L1 and GAN: (total, (reconstruction, metrics)); the discriminator is fixed."""
  gen, dis = build(config)
  reconstruction = gen.apply({'params': params}, source, target)
  logits = dis.apply({'params': like(params, dis_params)}, reconstruction)
  metrics = {
    'l1': losses.l1(reconstruction, target),
    'gan': losses.gan_generator(logits.astype(jnp.float32)),
  }
  total = metrics['l1'] + config.get('gan_weight', 1.0) * metrics['gan']
  network = perceptual_network(config)
  if network:
    features = functools.partial(network.features, like(params, frozen))
    if 'perceptual' in config.get('remat', ()):
      features = jax.checkpoint(features)
    metrics['perceptual'] = losses.perceptual(features, reconstruction, target)
    total += config.get('perceptual_weight', 10.0) * metrics['perceptual']
  return total, (reconstruction, metrics)


def dis_loss(params, target, reconstruction, *, config):
  """Scores a real and a generated batch, each with its own minibatch statistics."""
  _, dis = build(config)
  real, fake = (dis.apply({'params': params}, image) for image in (target, reconstruction))
  return losses.gan_discriminator(real.astype(jnp.float32), fake.astype(jnp.float32))


def like(params, constants):
  """Casts constants to the dtype of the parameters: half, where the trainer computes in half."""
  dtype = jax.tree.leaves(params)[0].dtype
  return jax.tree.map(lambda x: jnp.asarray(x, dtype), constants)


def step(state, batch, rng, *, config, frozen, optimizers, gradient):
  """Updates the generator, then the discriminator on the same reconstruction.

  Args:
    state: `params` and `opt_state`, each a dict of gen and dis.
    batch: see `pair`.
    rng: unused: nothing here is random.
    config: config.model.
    gradient: loss(params, batch, rng, **rest) -> (scalar, aux) to its value and gradient; how
      (in pieces, in half precision) is the trainer's matter.

  Returns:
    (state, metrics).
  """
  source, target = pair(batch, config.size)
  params, opt_state = dict(state.params), dict(state.opt_state)

  def of_gen(gen, images, rng, dis):
    return gen_loss(gen, dis, images['source'], images['target'], config=config, frozen=frozen)

  def of_dis(dis, images, rng):
    return dis_loss(dis, images['target'], images['fake'], config=config), {}

  def update(name, grads):
    changes, opt_state[name] = optimizers[name].update(grads, opt_state[name], params[name])
    params[name] = optax.apply_updates(params[name], changes)
    return optax.global_norm(grads)

  images = {'source': source, 'target': target}
  value, grads = gradient(of_gen)(params['gen'], images, rng, dis=params['dis'])
  total, (reconstruction, metrics) = value
  norms = {'gen_grad_norm': update('gen', grads)}
  images = {'target': target, 'fake': jax.lax.stop_gradient(reconstruction)}
  (loss, _), grads = gradient(of_dis)(params['dis'], images, rng)
  norms['dis_grad_norm'] = update('dis', grads)

  metrics = {'gen': total, 'dis': loss, **metrics, **norms}
  return state.replace(step=state.step + 1, params=params, opt_state=opt_state), metrics


def evaluate(params, batch, rng, *, config, frozen):
  """Measures what `step` does, without an update."""
  del rng
  source, target = pair(batch, config.size)
  total, (reconstruction, metrics) = gen_loss(
    params['gen'], params['dis'], source, target, config=config, frozen=frozen
  )
  dis = dis_loss(params['dis'], target, reconstruction, config=config)
  return {'gen': total, 'dis': dis, **metrics}


def example(config, batch):
  """Shapes a batch, for plans without data."""
  image = jax.ShapeDtypeStruct((batch, config.size, config.size, 3), jnp.uint8)
  return {'source': image, 'target': image}


def pair(batch, size):
  """Picks `source` and `target`, two frames of one video, as float32 [B, S, S, 3] in [-1, 1].

  The batch holds uint8, or float that is in [-1, 1] already; of several targets [B, K, S, S, 3] the
  first is taken; other sizes are resized, bicubic and without antialiasing as published.
  """
  source, target = batch['source'], batch['target']
  target = target[:, 0] if target.ndim == 5 else target
  return as_float(source, size), as_float(target, size)
