"""Meta-learning over episodes: embedder, projector and generator against the discriminator.

`params` are {'gen': of embedder, projector and generator, 'dis': of discriminator and table}, the
state that nothing trains has all five, see `networks`. `config` is config.model of
configs/fewshot.py, or the whole config where that is said.

One update moves the generator's side by its losses, the discriminator as it is, and then the
discriminator's by its own, once or twice, on the frames that were made meanwhile. Rows of the table
whose videos are not in the batch stay, and so does what the optimiser remembers of them.

`adapt` fits the networks to one person; what is trained from there on is in `person`.
"""

import functools

import jax
import jax.numpy as jnp
import optax

from ifmdm_jax.errors import InputError
from ifmdm_jax.nn.adversarial import hinge_discriminator
from ifmdm_jax.nn.pixels import as_bytes, as_float
from ifmdm_jax.systems.fewshot import inputs, losses, networks, person
from ifmdm_jax.systems.fewshot.networks import DIS, GEN
from ifmdm_jax.training import optim
from ifmdm_jax.training import state as states_of_training

adapt = person.adapt
ROWS = 'table/embedding'  # path of the table's rows

OPTIM = dict(
  name='adam',  # or 'radam'
  peak_lr=5e-5,  # of the generator's side
  dis_lr=2e-4,  # of the discriminator's
  b1=0.0,
  b2=0.999,
  eps=1e-5,
)


def init(rng, config):
  """Draws fresh parameters {'gen', 'dis'}."""
  params, _ = networks.init(rng, config)
  return {side: {name: params[name] for name in of} for side, of in (('gen', GEN), ('dis', DIS))}


def init_extra(rng, config):
  """Makes the states of the spectral norms, {network: tree}."""
  return networks.init(rng, config)[1]


def optimizers(config):
  """Makes {'gen', 'dis'} of the whole config, with constant rates."""
  given = optim.overlay('optim', OPTIM, config.get('optim', {}))
  adam = dict(b1=given.b1, b2=given.b2, eps=given.eps)
  rates = dict(gen=given.peak_lr, dis=given.dis_lr)
  make = {'adam': optax.adam, 'radam': optax.radam}
  if given.name not in make:
    raise InputError(f"config.optim.name is {given.name!r}, expected 'adam' or 'radam'")
  return {side: make[given.name](rate, **adam) for side, rate in rates.items()}


def frozen(config):
  """Loads the weights of the content network; None without one."""
  return losses.load_content(config)


def prepared(batch, config):
  """Brings an episode to [-1, 1] and draws its landmarks.

  Args:
    batch: see `pipeline.sources.episodes.make_loader`.
    config: config.model.

  Returns:
    {'shots': [B, K, S, S, 6], beside their drawings; 'target', 'drawing': [B, S, S, 3]; 'video'}.
  """
  shots, drawn = as_float(batch['shots']), inputs.drawing(batch['shot_points'], config)
  return dict(
    shots=inputs.beside(shots, drawn),
    target=as_float(batch['target']),
    drawing=inputs.drawing(batch['target_points'], config),
    video=batch['video'],
  )


def forward(of, gen, states, batch, train=False):
  """Makes the target's frame: (frame [B, S, S, 3], embeddings [B, K, D], states after)."""
  states = dict(states)

  def run(name, *given):
    module = getattr(of, name)
    result, states[name] = networks.run(module, gen[name], states[name], *given, train=train)
    return result

  each, states['embedder'] = networks.embed(of, gen, states, batch['shots'], train=train)
  made = run('generator', batch['drawing'], run('projector', each.mean(1)))
  return made, each, states


def gen_loss(gen, batch, rng, *, extra, dis, dis_states, step, config, frozen):
  """Sums the terms of the generator's side; the discriminator stays as it is.

  Args:
    gen: parameters.
    batch: of `prepared`.
    rng: random key.
    extra: states of the generator's side.
    dis, dis_states: of the discriminator's side.
    step: updates so far.
    config, frozen: see `step`.

  Returns:
    (loss, ((metrics, frame and embeddings), states after)).
  """
  of = networks.build(config)
  made, each, states = forward(of, gen, extra, batch, train=True)
  dis = losses.like(dis, made)
  rows, _ = networks.run(of.table, dis['table'], dis_states['table'], batch['video'])
  seen = [inputs.beside(frame, batch['drawing']) for frame in (made, batch['target'])]
  (scores, maps), _ = networks.run(
    of.discriminator, dis['discriminator'], dis_states['discriminator'],
    jnp.concatenate([x.astype(made.dtype) for x in seen]), jnp.concatenate([rows, rows]),
  )  # fmt: skip
  terms = losses.of_generator(made, batch['target'], scores, maps, frozen, config, rng)
  apart = losses.balance(terms, step, config)
  terms['match'] = losses.preset(config).match * losses.match(each, rows.astype(each.dtype))
  fixed = jax.lax.stop_gradient({'made': made, 'embeddings': each})
  return sum(terms.values()), (({**terms, 'balance': apart}, fixed), states)


def dis_loss(dis, batch, rng, *, extra, config):
  """Tells real frames from made ones by the hinge: (loss, (metrics, states after)).

  Args:
    dis: parameters.
    batch: of `prepared`, with `made` and `embeddings`.
    rng: unused.
    extra: states of the discriminator's side.
    config: config.model.
  """
  del rng
  of, states = networks.build(config), dict(extra)
  run = functools.partial(networks.run, train=True)
  rows, states['table'] = run(of.table, dis['table'], extra['table'], batch['video'])
  real, made = (inputs.beside(batch[name], batch['drawing']) for name in ('target', 'made'))
  (scores, _), states['discriminator'] = run(
    of.discriminator, dis['discriminator'], extra['discriminator'],
    jnp.concatenate([real, made]), jnp.concatenate([rows, rows]),
  )  # fmt: skip
  real, made = jnp.split(scores.astype(jnp.float32), 2)
  loss = hinge = hinge_discriminator(real, made)
  given = losses.preset(config)
  if given.rows:
    loss = loss + given.match * losses.match(batch['embeddings'], rows)
  return loss, ({'hinge': hinge, 'real': real.mean(), 'fake': made.mean()}, states)


def step(state, batch, rng, *, config, frozen, optimizers, gradient):
  """Updates the generator's side, then the discriminator's once or twice.

  Args:
    state: `params` and `opt_state`, each a dict of gen and dis; `extra`. Those that `adapt` made
      are updated by `person.step`.
    batch: see `pipeline.sources.episodes.make_loader`.
    rng: random key.
    config: config.model.
    frozen: weights of the content network.
    optimizers, gradient: see `training.contract.Adversarial`.

  Returns:
    (state, metrics).
  """
  if person.is_one(state.params):
    rest = dict(config=config, frozen=frozen, optimizers=optimizers, gradient=gradient)
    return person.step(state, batch, rng, **rest)
  params, opt_state, extra = dict(state.params), dict(state.opt_state), dict(state.extra)
  batch = prepared(batch, config)
  sides = {side: {name: extra[name] for name in of} for side, of in (('gen', GEN), ('dis', DIS))}

  of_gen = functools.partial(gen_loss, config=config, frozen=frozen, step=state.step)
  rest = dict(extra=sides['gen'], dis=params['dis'], dis_states=sides['dis'])
  (loss, ((metrics, made), after)), grads = gradient(of_gen)(params['gen'], batch, rng, **rest)
  side = optimizers['gen'], grads, params['gen'], opt_state['gen']
  params['gen'], opt_state['gen'], norm = optim.updated(*side)
  metrics = {'gen': loss, **metrics, 'gen_grad_norm': norm}

  batch |= made

  def update(carry, _):
    dis, memory, states = carry
    of_dis = functools.partial(dis_loss, config=config)
    (loss, (more, states)), grads = gradient(of_dis)(dis, batch, rng, extra=states)
    dis, memory, norm = of_table(optimizers['dis'], grads, dis, memory, batch['video'])
    return (dis, memory, states), {'dis': loss, **more, 'dis_grad_norm': norm}

  begun = params['dis'], opt_state['dis'], sides['dis']
  count = losses.preset(config).dis_steps
  # In a loop convolutions take eight times as long on a CPU.
  ended, more = jax.lax.scan(update, begun, length=count, unroll=count)
  params['dis'], opt_state['dis'], states = ended
  metrics |= {name: values[-1] for name, values in more.items()}
  return state.replace(params=params, opt_state=opt_state, extra={**after, **states}), metrics


def of_table(optimizer, grads, params, memory, videos):
  """Updates the discriminator's side: (parameters, optimiser's state, norm of the gradient).

  Args:
    optimizer, grads, params, memory: see `training.optim.updated`.
    videos: int [B], rows of the table that learn.
  """
  moved, after, norm = optim.updated(optimizer, grads, params, memory)
  seen = jnp.zeros((len(params['table']['embedding']), 1), bool).at[videos].set(True)
  keep = lambda path, new, old: jnp.where(seen, new, old) if path.endswith(ROWS) else new
  keep = functools.partial(states_of_training.map_with_path, keep)
  return keep(moved, params), keep(after, memory), norm


def evaluate(params, batch, rng, *, config, frozen, extra):
  """Measures frames of people by their shots alone, without an update.

  Returns:
    {'loss' (the content), 'l1', 'psnr'; 'l1_other': L1 of the frames that the next episode's shots
    give, which is larger where the shots are used}. Of a person's parameters: see
    `person.evaluate`.
  """
  if person.is_one(params):
    return person.evaluate(params, batch, rng, config=config, frozen=frozen, extra=extra)
  del rng
  of, batch = networks.build(config), prepared(batch, config)
  made, *_ = forward(of, params['gen'], extra, batch)
  other, *_ = forward(of, params['gen'], extra, {**batch, 'shots': jnp.roll(batch['shots'], 1, 0)})
  figures = losses.figures(made, batch['target'], frozen, config)
  return {**figures, 'l1_other': jnp.abs(other - batch['target']).mean(dtype=jnp.float32)}


def pictures(params, batch, config, extra):
  """Draws a strip: a shot of each episode, the landmarks, the target, what is made.

  Of a person's parameters: see `person.pictures`.
  """
  if person.is_one(params):
    return person.pictures(params, batch, config, extra)
  few = {name: values[:6] for name, values in batch.items()}
  seen = prepared(few, config)
  made, *_ = forward(networks.build(config), params['gen'], extra, seen)
  rows = seen['shots'][:, 0, ..., :3], seen['drawing'], seen['target'], made
  strip = jnp.concatenate([jnp.concatenate(list(row), axis=1) for row in rows])
  return {'episodes': jax.device_get(as_bytes(strip))}


def example(config, batch):
  """Shapes a batch, for plans without data."""
  shape = lambda dtype, *axes: jax.ShapeDtypeStruct((batch, *axes), dtype)
  picture, shots = (config.image, config.image, 3), config.shots
  return dict(
    shots=shape(jnp.uint8, shots, *picture),
    shot_points=shape(jnp.float32, shots, 468, 2),
    target=shape(jnp.uint8, *picture),
    target_points=shape(jnp.float32, 468, 2),
    video=shape(jnp.int32),
  )
