"""Training of stage 1: pictures <-> latents with a codebook, against a patch discriminator.

`params` are {'gen': of `vq`, 'dis': of `nn.patch_gan`}; `config` is config.model of
configs/difftalk_autoencoder.py, or the whole config where that is said. Beside the parameters runs
{'dis': statistics of the discriminator's batch norms, 'usage': how often each entry is chosen}.

The published training leaves entries of the codebook that nothing chooses where they are; with
`restart` they are moved to latents of the batch (Dhariwal et al. 2020, "Jukebox", section 3.1), as
a short training needs.
"""

import functools

import flax.traverse_util
import jax
import jax.numpy as jnp
import optax

from ifmdm_jax.nn.adversarial import hinge_discriminator
from ifmdm_jax.nn.patch_gan import PatchDiscriminator
from ifmdm_jax.nn.pixels import as_bytes, as_float
from ifmdm_jax.nn.vq import perplexity
from ifmdm_jax.perception import lpips
from ifmdm_jax.systems.difftalk import losses, vq
from ifmdm_jax.training import optim

USAGE = 0.98  # decay of the averages of how often an entry is chosen
STATISTICS = 'batch_stats'


def discriminator(config):
  """Builds the patch discriminator of config.dis."""
  return PatchDiscriminator(config.dis.layers, config.dis.width, config.dis.norm)


def init(rng, config):
  """Draws fresh parameters {'gen', 'dis'}."""
  keys = jax.random.split(rng)
  dis = discriminator(config).init(keys[1], _picture(config))['params']
  return {'gen': vq.init(keys[0], config), 'dis': dis}


def init_extra(rng, config):
  """Makes the statistics of the discriminator; no entry has been used."""
  dis = discriminator(config).init(jax.random.split(rng)[1], _picture(config))
  return {'dis': dis.get(STATISTICS, {}), 'usage': jnp.zeros(config.vq.entries)}


def _picture(config):
  return jnp.zeros((1, config.image, config.image, 3))


def optimizers(config):
  """Makes {'gen', 'dis'} of the whole config: Adam, its rate by config.optim.schedule."""
  settings = optim.settings(config)
  clip = [optax.clip_by_global_norm(settings.clip_norm)] if settings.clip_norm else []
  rate = optim.schedule(settings, config.train.steps)
  adam = functools.partial(optax.adam, rate, b1=settings.b1, b2=settings.b2)
  return {name: optax.chain(*clip, adam()) for name in ('gen', 'dis')}


def frozen(config):
  """Loads the weights of LPIPS that config.lpips names, 'alex' or 'vgg'; None for ''."""
  return lpips.load(config.lpips) if config.lpips else None


def score(dis, statistics, pictures, config, train=False):
  """Scores pictures [B, S, S, 3]: (scores [B, h, w, 1], statistics after)."""
  variables = {'params': dis, STATISTICS: statistics} if statistics else {'params': dis}
  mutable = [STATISTICS] if train and statistics else False
  result = discriminator(config).apply(variables, pictures, mutable=mutable)
  (scores, _), after = result if mutable else (result, {STATISTICS: statistics})
  return scores, after[STATISTICS]


def gen_loss(gen, batch, rng, *, dis, statistics, active, config, frozen):
  """Sums L1, LPIPS, commitment and the weighed adversary: (loss, (metrics, drawn, z, index)).

  Its gradient is that of the losses by the picture, pulled back through the networks once.
  """
  del rng
  target = as_float(batch['target'])
  network, flat = vq.network(config), flax.traverse_util.flatten_dict(gen)

  def draw(kernel):
    params = flax.traverse_util.unflatten_dict({**flat, vq.LAST: kernel})
    z = network.apply({'params': params}, target, method='encode')
    quantized = network.apply({'params': params}, z, method='quantize')
    return network.apply({'params': params}, quantized.z, method='draw'), (z, quantized)

  drawn, pull, (z, quantized) = jax.vjp(draw, flat[vq.LAST], has_aux=True)
  like = lambda tree: jax.tree.map(lambda x: jnp.asarray(x, drawn.dtype), tree)
  by_picture, total, metrics = losses.pull_on_picture(
    jax.lax.stop_gradient(drawn),
    lambda picture: losses.reconstruction(picture, target, frozen, config.lpips_weight),
    lambda picture: score(like(dis), statistics, picture, config, train=True),
    lambda cotangent: pull(cotangent)[0],
    gan_weight=config.gan_weight,
    active=active,
  )
  by_picture = jax.lax.stop_gradient(by_picture)
  through = (drawn * by_picture).sum(dtype=jnp.float32)  # its gradient is by_picture's
  commitment = config.commitment_weight * quantized.loss
  loss = jax.lax.stop_gradient(total - through) + through + commitment
  metrics |= {'commitment': quantized.loss, 'latent_std': z.std(dtype=jnp.float32)}
  metrics['perplexity'] = perplexity(quantized.index, config.vq.entries)
  return loss, (metrics, jax.lax.stop_gradient((drawn, z)), quantized.index)


def dis_loss(dis, batch, rng, *, extra, active, config):
  """Tells real from drawn by a hinge, halved: (loss, ({}, statistics))."""
  del rng
  real, extra = score(dis, extra, as_float(batch['target']), config, train=True)
  fake, extra = score(dis, extra, batch['drawn'], config, train=True)
  loss = 0.5 * hinge_discriminator(real.astype(jnp.float32), fake.astype(jnp.float32))
  return active * loss, ({}, extra)


def step(state, batch, rng, *, config, frozen, optimizers, gradient):
  """Updates the autoencoder, then the discriminator on the same reconstruction.

  Args:
    state: `params` and `opt_state`, each a dict of gen and dis; `extra`.
    batch: {'target': uint8 [B, S, S, 3]}, other keys are not read.
    rng: of the entries that move.
    config: config.model.
    gradient: see `training.contract.Adversarial`.

  Returns:
    (state, metrics).
  """
  params, opt_state, extra = dict(state.params), dict(state.opt_state), dict(state.extra)
  active = (state.step >= config.gan_start).astype(jnp.float32)
  batch = {'target': cropped(batch['target'], rng, config.crop)}

  def update(name, grads):
    given = optimizers[name], grads, params[name], opt_state[name]
    params[name], opt_state[name], norm = optim.updated(*given)
    return norm

  of_gen = functools.partial(gen_loss, config=config, frozen=frozen)
  rest = dict(dis=params['dis'], statistics=extra['dis'], active=active)
  (loss, (metrics, (drawn, z), index)), grads = gradient(of_gen)(params['gen'], batch, rng, **rest)
  norms = {'gen_grad_norm': update('gen', grads)}

  of_dis = functools.partial(dis_loss, config=config, active=active)
  batch['drawn'] = drawn
  (dis, (_, extra['dis'])), grads = gradient(of_dis)(params['dis'], batch, rng, extra=extra['dis'])
  norms['dis_grad_norm'] = update('dis', grads)

  counts = jnp.bincount(index.reshape(-1), length=config.vq.entries).astype(jnp.float32)
  extra['usage'] = USAGE * extra['usage'] + (1 - USAGE) * counts
  if config.restart:
    book, extra['usage'] = restarted(
      params['gen']['quantizer']['embedding'], extra['usage'], z, rng, config.restart
    )
    params['gen'] = {**params['gen'], 'quantizer': {'embedding': book}}
  metrics = {'gen': loss, 'dis': dis, **metrics, **norms}
  return state.replace(params=params, opt_state=opt_state, extra=extra), metrics


def cropped(pictures, rng, side):
  """Cuts a square at random out of each picture: [B, S, S, 3] -> [B, side, side, 3]; 0: whole."""
  if not side:
    return pictures
  corners = jax.random.randint(rng, (len(pictures), 2), 0, pictures.shape[1] - side + 1)
  cut = lambda picture, corner: jax.lax.dynamic_slice(picture, (*corner, 0), (side, side, 3))
  return jax.vmap(cut)(pictures, corners)


def restarted(codebook, usage, z, rng, least):
  """Moves entries that are chosen less than `least` times a batch to latents of the batch.

  Args:
    codebook: [K, D].
    usage: [K], average number of latents that chose each entry.
    z: [B, h, w, D], latents before quantisation.
    rng: random key.
    least: uses a batch.

  Returns:
    (codebook, usage), where moved entries have twice the least, which is time to be chosen.
  """
  z = z.reshape(-1, z.shape[-1]).astype(codebook.dtype)
  chosen = z[jax.random.randint(rng, (len(codebook),), 0, len(z))]
  idle = usage < least
  return jnp.where(idle[:, None], chosen, codebook), jnp.where(idle, 2 * least, usage)


def evaluate(params, batch, rng, *, config, frozen, extra):
  """Measures L1, LPIPS, PSNR and the use of the codebook, without an update."""
  del rng, extra
  target = as_float(batch['target'])
  drawn, quantized = vq.network(config).apply({'params': params['gen']}, target)
  _, metrics = losses.reconstruction(drawn, target, frozen, config.lpips_weight)
  error = ((jnp.clip(drawn, -1, 1) - target) ** 2).mean((1, 2, 3))
  psnr = (10 * jnp.log10(4 / error)).mean()
  return {**metrics, 'psnr': psnr, 'perplexity': perplexity(quantized.index, config.vq.entries)}


def pictures(params, batch, config, extra):
  """Draws a strip: targets above, their reconstructions below."""
  del extra
  target = as_float(batch['target'][:6])
  drawn, _ = vq.network(config).apply({'params': params['gen']}, target)
  rows = [jnp.concatenate(list(row), axis=1) for row in (target, drawn)]
  return {'reconstruction': jax.device_get(as_bytes(jnp.concatenate(rows)))}


def example(config, batch):
  """Shapes a batch, for plans without data."""
  return {'target': jax.ShapeDtypeStruct((batch, config.image, config.image, 3), jnp.uint8)}
