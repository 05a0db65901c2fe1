"""The paper's first stage: the whole autoencoder, its adversarial training step and optimisers.

As a trainable module it is adversarial, with two sets of parameters, `gen` and `dis`:
`init`, `frozen`, `optimizers`, `step`, `evaluate`, `pictures`.
"""

import functools
import importlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from ifmdm_jax.errors import InputError
from ifmdm_jax.nn.warp import base_grid
from ifmdm_jax.systems.ifmdm.autoencoder import losses
from ifmdm_jax.systems.ifmdm.autoencoder.decoder import Synthesis
from ifmdm_jax.systems.ifmdm.autoencoder.directions import Directions
from ifmdm_jax.systems.ifmdm.autoencoder.discriminator import Discriminator
from ifmdm_jax.systems.ifmdm.autoencoder.encoder import AppearanceEncoder, MotionHead, num_halvings
from ifmdm_jax.systems.ifmdm.autoencoder.pictures import flow_colours
from ifmdm_jax.systems.ifmdm.autoencoder.refine import RefineBlock, in_tiles
from ifmdm_jax.training import optim


class Autoencoder(nn.Module):
  """One frame <-> appearance + motion code.

  Pictures are [B, S, S, 3] in [-1, 1]; what comes out is not clamped.

  Attributes:
    size: S, a power of two >= 8.
    motion_dim: M, numbers in a motion code.
    style_dim: D, numbers in an appearance code.
    max_width: most channels of a feature map; 512 in the paper.
    refine: whether there is a refine block (61 times the rest of the decoder at 512).
    refine_width: its channels.
    refine_tile: run it in tiles of this many pixels, or None for the whole picture at once.
    clean: zero flow is the identity and the motion head's last bias counts; the published network
      has neither, and weights trained without expect neither.
    lia: the network this one descends from (LIA, Wang et al. 2022): motion codes end in a bias and
      not in tanh, and a level hands on its own features instead of generated ones.
    remat: parts whose activations are made again in the backward pass instead of kept, of PARTS.
  """

  size: int = 512
  motion_dim: int = 20
  style_dim: int = 512
  max_width: int = 512
  refine: bool = True
  refine_width: int = 512
  refine_tile: int | None = None
  clean: bool = False
  lia: bool = False
  remat: tuple = ()

  def setup(self):
    part = lambda name, kind: nn.remat(kind) if name in self.remat else kind
    encoder = part('appearance_net', AppearanceEncoder)
    self.appearance_net = encoder(self.size, self.style_dim, self.max_width)
    self.motion_head = MotionHead(
      self.motion_dim, use_bias=self.clean or self.lia, squash=not self.lia
    )
    self.directions = Directions(self.style_dim, self.motion_dim)
    synthesis = part('synthesis', Synthesis)
    self.synthesis = synthesis(self.max_width, generate=not self.lia, clean=self.clean)
    if self.refine:
      self.refine_block = part('refine_block', RefineBlock)(self.refine_width)

  def appearance(self, image):
    """Picture -> appearance code w_a [B, D] and features, a list of [B, r, r, C], coarse first."""
    return self.appearance_net(image)

  def motion(self, w_a):
    """Appearance code [B, D] -> motion code [B, M] in (-1, 1)."""
    return self.motion_head(w_a)

  def encode(self, image):
    """Picture -> motion code [B, M]."""
    return self.motion(self.appearance(image)[0])

  def latent(self, w_a, h=None):
    """w_a + delta(h), [B, D]; w_a alone without a motion code."""
    return w_a if h is None else w_a + self.directions(h)

  def decode(self, w_a, features, h=None, *, refine=None):
    """The source's appearance and features, moved by h [B, M] -> picture.

    refine=False leaves the refine block out; None does as the model was built.
    """
    rgb = self.synthesis(self.latent(w_a, h), features)
    return self.refined(rgb) if (self.refine if refine is None else refine) else rgb

  def refined(self, rgb):
    """The refine block, in tiles if the model was built so."""
    if self.refine_tile is None or self.is_initializing():
      return self.refine_block(rgb)
    block, variables = self.refine_block.unbind()  # a bound module cannot run inside a scan
    return in_tiles(lambda window: block.apply(variables, window), rgb, self.refine_tile)

  def __call__(self, source, drive=None, start=None):
    """Source picture with the motion of the driving picture.

    With start [B, M] the motion is relative, h_drive - start + h_source: as the directions are
    linear, w_a + delta(h_drive) - delta(start) + delta(h_source).
    """
    w_a, features = self.appearance(source)
    if drive is None:
      return self.decode(w_a, features)
    h = self.encode(drive)
    if start is not None:
      h = h - start + self.motion(w_a)
    return self.decode(w_a, features, h)


FIELDS = tuple(name for name in Autoencoder.__dataclass_fields__ if name not in ('parent', 'name'))
PARTS = ('appearance_net', 'synthesis', 'refine_block', 'discriminator', 'perceptual')


def build(config):
  """config.model -> (Autoencoder, Discriminator)."""
  model = Autoencoder(**{name: config[name] for name in FIELDS if name in config})
  if model.size < 8 or model.size & (model.size - 1):
    raise InputError(f'model.size is {model.size}, expected a power of two from 8: try 256 or 512')
  unknown = set(model.remat) - set(PARTS)
  if unknown:
    raise InputError(f'model.remat has {", ".join(unknown)}, expected some of {", ".join(PARTS)}')
  discriminator = nn.remat(Discriminator) if 'discriminator' in model.remat else Discriminator
  return model, discriminator(model.size, model.max_width)


def init(rng, config):
  """-> {'gen': params, 'dis': params}."""
  gen, dis = build(config)
  image = jnp.zeros((1, gen.size, gen.size, 3), jnp.float32)
  rng_gen, rng_dis = jax.random.split(rng)
  return {
    'gen': gen.init(rng_gen, image, image)['params'],
    'dis': dis.init(rng_dis, image)['params'],
  }


# ------------------------------------------------------------------------------ optimisers


def lazy_adam(lr, interval):
  """Adam with StyleGAN2's correction for a regulariser every `interval` steps, c = k / (k + 1).

  The paper has no regulariser and keeps the correction; its betas (0, 0.99) become (0^c, 0.99^c).
  """
  c = interval / (interval + 1)
  adam = optax.adam(lr * c, b1=0.0, b2=0.99**c, eps=1e-8)
  # optax raises a float to an integer step, which strict promotion refuses.
  return adam._replace(update=jax.numpy_dtype_promotion('standard')(adam.update))


def trainable(mode, size):
  """Patterns of the generator's parameters that the optimiser gets, by kind of training."""
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
  """Whole config -> {'gen', 'dis'}.

  Reads config.optim.peak_lr (the paper's is constant) and config.optim.trainable, a kind of
  training by name; the default is 'all'.
  """
  mode = config.optim.get('trainable', 'all')
  gen = lazy_adam(config.optim.peak_lr, interval=4)
  return {
    'gen': gen if mode == 'all' else optim.only(trainable(mode, config.model.size), gen),
    'dis': lazy_adam(config.optim.peak_lr, interval=16),  # trained in every mode
  }


# -------------------------------------------------------------------------------- sampling


class Portrait(NamedTuple):
  """A source, encoded once."""

  w_a: jax.Array  # [1, D]
  features: list  # [1, r, r, C] each; their type is the one that frames are drawn in
  code: jax.Array  # [1, M]
  directions: jax.Array  # [D, M], Q: a QR once, not once a frame


def _apply(params, config, *args, method, **kwargs):
  return build(config)[0].apply({'params': params['gen']}, *args, method=method, **kwargs)


def portrait(params, image, config):
  """uint8 [R, R, 3] -> Portrait. `config.draw_dtype`, if any, is what frames are drawn in."""
  w_a, features = _apply(params, config, as_float(image[None], config.size), method='appearance')
  code = _apply(params, config, w_a, method='motion')
  directions = _apply(params, config, method=lambda model: model.directions.basis())
  dtype = config.get('draw_dtype', 'float32')
  return Portrait(w_a, [feature.astype(dtype) for feature in features], code, directions)


def motion(params, frames, config):
  """uint8 [T, R, R, 3] -> codes [T, M]."""
  return _apply(params, config, as_float(frames, config.size), method='encode')


def draw(params, portrait, codes, config):
  """Portrait and codes [B, M] -> uint8 [B, S, S, 3]."""
  latent = portrait.w_a + codes @ portrait.directions.T
  features = [jnp.broadcast_to(x, (len(codes), *x.shape[1:])) for x in portrait.features]
  image = _apply(params, config, latent, features, method='decode', refine=False)
  if config.refine:
    block = RefineBlock(config.refine_width, features[0].dtype)
    refine = functools.partial(block.apply, {'params': params['gen']['refine_block']})
    tile = config.get('refine_tile')
    image = in_tiles(refine, image, tile) if tile else refine(image)
  return jnp.clip(jnp.round((image + 1) * 127.5), 0, 255).astype(jnp.uint8)


# -------------------------------------------------------------------------------- training


def perceptual_network(config):
  """The module that config.perceptual names, or None: `load()`, `features(weights, images)`."""
  name = config.get('perceptual')
  return importlib.import_module(name) if name else None


def frozen(config):
  """Weights of the perceptual network; None without one."""
  network = perceptual_network(config)
  return network.load() if network else None


def gen_loss(params, dis_params, source, target, *, config, frozen=None):
  """Perceptual + L1 + GAN -> (total, (reconstruction, metrics)); the discriminator is fixed."""
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
  """Non-saturating loss on a real and a generated batch, each with its own minibatch statistics."""
  _, dis = build(config)
  real, fake = (dis.apply({'params': params}, image) for image in (target, reconstruction))
  return losses.gan_discriminator(real.astype(jnp.float32), fake.astype(jnp.float32))


def like(params, constants):
  """Constants in the dtype of the parameters: half, where the trainer computes in half."""
  dtype = jax.tree.leaves(params)[0].dtype
  return jax.tree.map(lambda x: jnp.asarray(x, dtype), constants)


def step(state, batch, rng, *, config, frozen, optimizers, gradient):
  """One update of the generator, then one of the discriminator on the same reconstruction.

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
    return dis_loss(dis, images['target'], images['made'], config=config), {}

  def update(name, grads):
    changes, opt_state[name] = optimizers[name].update(grads, opt_state[name], params[name])
    params[name] = optax.apply_updates(params[name], changes)
    return optax.global_norm(grads)

  images = {'source': source, 'target': target}
  found, grads = gradient(of_gen)(params['gen'], images, rng, dis=params['dis'])
  total, (reconstruction, metrics) = found
  norms = {'gen_grad_norm': update('gen', grads)}
  images = {'target': target, 'made': jax.lax.stop_gradient(reconstruction)}
  (loss, _), grads = gradient(of_dis)(params['dis'], images, rng)
  norms['dis_grad_norm'] = update('dis', grads)

  metrics = {'gen': total, 'dis': loss, **metrics, **norms}
  return state.replace(step=state.step + 1, params=params, opt_state=opt_state), metrics


def evaluate(params, batch, rng, *, config, frozen):
  """The same numbers without an update."""
  del rng
  source, target = pair(batch, config.size)
  total, (reconstruction, metrics) = gen_loss(
    params['gen'], params['dis'], source, target, config=config, frozen=frozen
  )
  dis = dis_loss(params['dis'], target, reconstruction, config=config)
  return {'gen': total, 'dis': dis, **metrics}


def example(config, batch):
  """Shapes of a batch, for plans without data."""
  image = jax.ShapeDtypeStruct((batch, config.size, config.size, 3), jnp.uint8)
  return {'source': image, 'target': image}


def pair(batch, size):
  """`source` and `target`, two frames of one video, as float32 [B, S, S, 3] in [-1, 1].

  The batch holds uint8, or float that is in [-1, 1] already; of several targets [B, K, S, S, 3] the
  first is taken; other sizes are resized, bicubic and without antialiasing as published.
  """
  source, target = batch['source'], batch['target']
  target = target[:, 0] if target.ndim == 5 else target
  return as_float(source, size), as_float(target, size)


def as_float(image, size):
  if image.dtype == jnp.uint8:
    image = image.astype(jnp.float32) / 127.5 - 1
  if image.shape[1:3] == (size, size):
    return image
  return jax.image.resize(image, (len(image), size, size, 3), 'cubic', antialias=False)


def pictures(params, batch, config):
  """A row for each of at most four samples: source | target | made | flow | mask, uint8.

  The flow is the finest level's: hue is where a pixel is read from, white is nowhere else; the mask
  is black where features are generated instead.
  """
  gen, _ = build(config)
  source, target = (x[:4] for x in pair(batch, config.size))
  made, sown = gen.apply({'params': params['gen']}, source, target, mutable=['intermediates'])
  finest = sown['intermediates']['synthesis'][f'to_flows_{num_halvings(config.size) - 1}']
  grid, mask = (np.asarray(finest[name][0]) for name in ('grid', 'mask'))
  still = base_grid(*grid.shape[1:3], centred=gen.clean)
  columns = (source, target, made, flow_colours(grid - still), 2 * mask.repeat(3, -1) - 1)
  rows = np.concatenate([np.asarray(x) for x in columns], axis=2)  # [B, S, 5S, 3]
  rows = np.clip((rows + 1) * 127.5 + 0.5, 0, 255).astype(np.uint8)
  return {'source_target_made_flow_mask': rows.reshape(-1, *rows.shape[2:])}
