"""The networks fitted to one person: where that begins, and what it trains.

`params` are {'gen': {'generator', 'style'}, 'dis': {'discriminator', 'row'}}. The style vector
psi = P e and the row e, with e the mean embedding of the person's frames, are parameters of their
own from here on; embedder, projector and table are left behind. So the first frame that is drawn is
the one that needed no fit, and the first score is <V, e> + <V, w_0> + b. The row is as it is, not
divided by its length, which alone would say nothing of e.

Losses are those of `losses` without the match: frames of the person are the real ones.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.nn.adversarial import hinge_discriminator
from ifmdm_jax.nn.pixels import as_bytes, as_float
from ifmdm_jax.systems.fewshot import inputs, losses, networks
from ifmdm_jax.training import optim

ADAPT = dict(  # of `training.adapt`; Burkov et al. 2020 give these for a network like this one
  steps=((1, 125), (30, 230)),  # (pictures, updates)
  batch=8,
  ema=0.972,
  metric='loss',  # the content term
  optim=dict(name='radam', peak_lr=5e-4, dis_lr=8e-4),
)
NAMES = {'gen': 'generator', 'dis': 'discriminator'}


def is_one(params):
  """Says whether parameters are a person's."""
  return 'style' in params['gen']


def style_of(params, extra, shots, points, config):
  """Embeds a person and makes the style vector: (e [D], psi).

  Args:
    params: {'embedder', 'projector'}, and others, which are not read.
    extra: their states.
    shots: uint8 [K, S, S, 3].
    points: [K, N, 2], landmarks of each, fractions of the side.
    config: config.model.
  """
  of = networks.build(config)
  seen = inputs.beside(as_float(shots), inputs.drawing(points, config))
  each, _ = networks.embed(of, params, extra, seen[None])
  e = each.mean(1)
  psi, _ = networks.run(of.projector, params['projector'], extra['projector'], e)
  return e[0], psi[0]


def draw(params, extra, style, points, config):
  """Draws frames of a person: points [T, N, 2], fractions of the side -> [T, S, S, 3].

  Args:
    params, extra: of the generator.
    style: of `style_of`.
    points: landmarks that drive.
    config: config.model.
  """
  module, drawn = networks.build(config).generator, inputs.drawing(points, config)
  styles = jnp.broadcast_to(style[None], (len(points), len(style)))
  return networks.run(module, params, extra, drawn, styles)[0]


def adapt(params, frames, config, *, extra):
  """Makes the start of a fit: (parameters of a person, their states).

  Args:
    params: trained {'gen', 'dis'}.
    frames: {'image': uint8 [K, S, S, 3], 'points': [K, N, 2] fractions of the side}.
    config: config.model.
    extra: states of all networks.
  """
  gen, dis = params['gen'], params['dis']
  run = jax.jit(functools.partial(style_of, config=config))  # as the sampler runs it, bit for bit
  e, psi = run(gen, extra, frames['image'], frames['points'])
  begun = {
    'gen': {'generator': gen['generator'], 'style': psi},
    'dis': {'discriminator': dis['discriminator'], 'row': e},
  }
  return begun, {name: extra[name] for name in NAMES.values()}


def gen_loss(gen, batch, rng, *, extra, dis, dis_state, config, frozen):
  """Sums the terms of the generator: (loss, ((metrics, frames), state after)).

  Args:
    gen: {'generator', 'style'}.
    batch: {'target', 'drawing'}, [B, S, S, 3] in [-1, 1].
    rng: random key.
    extra: state of the generator.
    dis, dis_state: {'discriminator', 'row'}, and the state of the first, which stay.
    config, frozen: see `model.step`.
  """
  of, target = networks.build(config), batch['target']
  styles = jnp.broadcast_to(gen['style'][None], (len(target), len(gen['style'])))
  made, after = networks.run(
    of.generator, gen['generator'], extra, batch['drawing'], styles, train=True
  )
  dis = losses.like(dis, made)
  seen = [inputs.beside(frame.astype(made.dtype), batch['drawing']) for frame in (made, target)]
  scores, maps = _scores(of, dis, dis_state, seen)[0]
  terms = losses.of_generator(made, target, scores, maps, frozen, config, rng)
  return sum(terms.values()), ((terms, jax.lax.stop_gradient(made)), after)


def dis_loss(dis, batch, rng, *, extra, config):
  """Tells the person's frames from made ones by the hinge: (loss, (metrics, state after))."""
  del rng
  seen = [inputs.beside(batch[name], batch['drawing']) for name in ('target', 'made')]
  (scores, _), after = _scores(networks.build(config), dis, extra, seen, train=True)
  real, made = jnp.split(scores.astype(jnp.float32), 2)
  return hinge_discriminator(real, made), ({'real': real.mean(), 'fake': made.mean()}, after)


def _scores(of, dis, state, seen, train=False):
  both = jnp.concatenate(seen)
  rows = jnp.broadcast_to(dis['row'][None], (len(both), len(dis['row'])))
  return networks.run(of.discriminator, dis['discriminator'], state, both, rows, train=train)


def step(state, batch, rng, *, config, frozen, optimizers, gradient):
  """Updates generator and style, then discriminator and row once or twice: (state, metrics).

  Args:
    state: of a fit, see above.
    batch: {'image': uint8 [B, S, S, 3], 'points': [B, N, 2] fractions of the side}.
    rng, config, frozen, optimizers, gradient: see `model.step`.
  """
  params, opt_state, extra = dict(state.params), dict(state.opt_state), dict(state.extra)
  batch = prepared(batch, config)

  of_gen = functools.partial(gen_loss, config=config, frozen=frozen)
  rest = dict(dis=params['dis'], dis_state=extra['discriminator'])
  (loss, ((metrics, batch['made']), extra['generator'])), grads = gradient(of_gen)(
    params['gen'], batch, rng, extra=extra['generator'], **rest
  )
  given = optimizers['gen'], grads, params['gen'], opt_state['gen']
  params['gen'], opt_state['gen'], norm = optim.updated(*given)
  metrics = {'gen': loss, **metrics, 'gen_grad_norm': norm}

  def update(carry, _):
    dis, memory, after = carry
    of_dis = functools.partial(dis_loss, config=config)
    (loss, (more, after)), grads = gradient(of_dis)(dis, batch, rng, extra=after)
    dis, memory, norm = optim.updated(optimizers['dis'], grads, dis, memory)
    return (dis, memory, after), {'dis': loss, **more, 'dis_grad_norm': norm}

  begun = params['dis'], opt_state['dis'], extra['discriminator']
  count = losses.preset(config).dis_steps
  # In a loop convolutions take eight times as long on a CPU.
  ended, more = jax.lax.scan(update, begun, length=count, unroll=count)
  params['dis'], opt_state['dis'], extra['discriminator'] = ended
  metrics |= {name: values[-1] for name, values in more.items()}
  return state.replace(params=params, opt_state=opt_state, extra=extra), metrics


def prepared(batch, config):
  """Brings frames to [-1, 1] and draws their landmarks: {'target', 'drawing'}."""
  drawing = inputs.drawing(batch['points'], config)
  return {'target': as_float(batch['image']), 'drawing': drawing}


def pictures(params, batch, config, extra):
  """Draws a row for each picture: it, before the fit if `batch` has that 'start', and after."""
  gen = params['gen']
  made = draw(gen['generator'], extra['generator'], gen['style'], batch['points'], config)
  rows = [batch['image'], *([batch['start']] if 'start' in batch else []), as_bytes(made)]
  rows = np.concatenate([np.asarray(each) for each in rows], axis=2)
  return {'shot_before_after': rows.reshape(-1, *rows.shape[2:])}


def evaluate(params, batch, rng, *, config, frozen, extra):
  """Measures frames that the fit has not seen: {'loss' (the content), 'l1', 'psnr'}."""
  del rng
  gen = params['gen']
  made = draw(gen['generator'], extra['generator'], gen['style'], batch['points'], config)
  return losses.figures(made, as_float(batch['image']), frozen, config)
