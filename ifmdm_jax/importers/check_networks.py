"""What `check` compares: the arrays of the golden files, made by our networks, and their limits.

Each function takes the recipe, state dicts and the golden arrays (for batch sizes and modes), and
returns ({array: computed}, array -> Limit). Limits are those of the goldens' README; arrays that
it does not name have the limit of what they are made from.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import traverse_util

from ifmdm_jax.importers import autoencoder, engine
from ifmdm_jax.importers import discriminator as discriminators
from ifmdm_jax.importers import motion as motions
from ifmdm_jax.importers.comparison import Limit
from ifmdm_jax.nn import embed
from ifmdm_jax.nn.modulated import ModulatedConv
from ifmdm_jax.systems.ifmdm.autoencoder import step
from ifmdm_jax.systems.ifmdm.autoencoder.discriminator import minibatch_stddev
from ifmdm_jax.systems.ifmdm.motion import model as motion_model
from ifmdm_jax.systems.ifmdm.motion import sample
from ifmdm_jax.systems.ifmdm.motion.condition import Condition
from ifmdm_jax.testing import nchw, nhwc, stats

MODES = ('self', 'cross', 'relative', 'none')


# -- stage 1


def generator(recipe, state, golden):
  """Computes encoder and decoder, with and without the refine block, in every mode of the file."""
  model, params = autoencoder.convert(state)
  size, batch = model.size, golden['wa_source'].shape[0]
  modes = [mode for mode in MODES if any(array.startswith(f'{mode}/') for array in golden)]
  source, drive = (nhwc(recipe.image(f'input/{name}', batch, size)) for name in ('source', 'drive'))
  start = np.repeat(recipe.gen_inputs()['h_start'], batch, axis=0)
  computed = dict(h_start=start)

  @jax.jit
  def encode(params, image):
    w_a, features = model.apply({'params': params}, image, method='appearance')
    return w_a, features, model.apply({'params': params}, w_a, method='motion')

  # One call: source and driving picture do not meet before the decoder.
  w_a, features, h = encode(params, np.concatenate([source, drive]))
  for name, rows in (('source', slice(batch)), ('drive', slice(batch, None))):
    computed[f'wa_{name}'], computed[f'h_{name}'] = w_a[rows], h[rows]
  features = [feature[:batch] for feature in features]
  for feature in features:
    name = f'feat_{feature.shape[1]}'
    as_theirs = nchw(feature)
    computed |= {name: as_theirs, f'{name}_stats': stats(feature), f'{name}_shape': as_theirs.shape}
  directions = model.bind({'params': params}).directions
  computed |= dict(Q=directions.basis(), direction_h_drive=directions(h[batch:]))

  h_source, h_drive = h[:batch], h[batch:]
  codes = dict(
    self=h_source, cross=h_drive, relative=h_drive - start + h_source, none=jnp.zeros_like(h_drive)
  )
  repeat = lambda x: jnp.concatenate([x[:batch]] * len(modes))

  @jax.jit
  def decode(params, w_a, features, h):
    apply = functools.partial(model.apply, {'params': params})
    rgb, sown = apply(w_a, features, h, refine=False, method='decode', mutable=['intermediates'])
    return rgb, apply(w_a, h, method='latent'), sown['intermediates']['synthesis']

  rgb, latent, sown = decode(
    params, repeat(w_a), [repeat(f) for f in features], jnp.concatenate([codes[m] for m in modes])
  )
  _add_dead_features(sown, latent, state)
  refine = jax.jit(functools.partial(model.apply, method='refined'))
  for i, mode in enumerate(modes):
    rows = slice(i * batch, (i + 1) * batch)
    computed |= _levels(mode, rows, sown, len(features))
    computed |= _picture(f'{mode}/img_norefine', rgb[rows])
    if f'{mode}/img_mean' in golden:
      computed |= _picture(f'{mode}/img', refine({'params': params}, rgb[rows]))
  return computed, functools.partial(_generator_limit, size)


def _add_dead_features(sown, latent, state):
  """`out` of the finest level: the picture does not depend on it, so the decoder never makes it."""
  last = len(sown['in']) - 1
  if not any(f'to_flows.{last}.conv_gen.' in key for key in state):
    return
  state = {key: value for key, value in state.items() if f'to_flows.{last}.conv_gen.' in key}
  x, mask = sown['in'][last], sown[f'to_flows_{last}']['mask'][0]
  conv = ModulatedConv(x.shape[-1], 1, demodulate=False)
  target = jax.eval_shape(conv.init, jax.random.key(0), x, latent)['params']
  target = {'synthesis': {f'to_flows_{last}': {'conv_gen': target}}}
  params = engine.convert(state, autoencoder.RULES, [], target)
  params = params['synthesis'][f'to_flows_{last}']['conv_gen']
  made = jax.jit(conv.apply)({'params': params}, x, latent)
  sown['out'] = (*sown['out'][:last], sown['warp'][last] + made * (1 - mask))


def _levels(mode, rows, sown, levels):
  arrays = {}
  for level in range(levels):
    head = sown[f'to_flows_{level}']
    values = {name: sown[name][level] for name in ('in', 'flow_raw', 'warp', 'out', 'rgb')}
    values |= {name: head[name][0] for name in ('mask', 'grid')}
    for name, value in values.items():
      if value is None:
        continue
      array, value = f'{mode}/{name}_{values["in"].shape[1]}', value[rows]
      arrays[f'{array}_stats'] = stats(value)
      arrays[array] = value if name == 'grid' else nchw(value)
  return arrays


def _picture(array, image):
  edge = (image.shape[1] - 64) // 2
  centre = image[:, edge : edge + 64, edge : edge + 64]
  return {
    array: nchw(image),
    f'{array}_crop64': nchw(centre),
    f'{array}_mean': image.mean((1, 2)),
    f'{array}_std': image.std((1, 2)),
  }


def _generator_limit(size, array):
  # A flow error of one part in a million moves a sample further in a larger picture.
  pixel, mean, smooth = {0: (2e-3, 2e-5, 1e-4), 1: (1e-2, 1e-4, 1e-4), 2: (5e-2, 4e-4, 5e-4)}[
    (size > 64) + (size > 256)
  ]
  if array == 'Q':
    return Limit(2e-6)
  if '/' not in array:  # codes and features
    return Limit(5e-5)
  _, name = array.split('/')
  if name.endswith('_stats'):
    return Limit(pixel, moments=smooth)
  pixels = name.startswith(('img', 'rgb')) and not name.endswith(('_mean', '_std'))
  return Limit(pixel, mean) if pixels else Limit(smooth)


def discriminator(recipe, state, golden):
  """Computes logits, the minibatch statistic and every feature map."""
  model, params = discriminators.convert(state)
  computed = {}

  @jax.jit
  def score(params, image):
    blocks = lambda module, _: module.name and module.name.startswith(('conv_in', 'block_'))
    logits, captured = model.apply({'params': params}, image, capture_intermediates=blocks)
    maps = captured['intermediates']
    names = ['conv_in', *(f'block_{i}' for i in range(1, len(maps)))]
    return logits, [maps[name]['__call__'][0] for name in names]

  batches = sorted(int(a.removeprefix('logits_B')) for a in golden if a.startswith('logits_B'))
  mapped = 2 if 2 in batches else batches[0]  # the batch whose feature maps the file has
  for batch in batches:
    logits, maps = score(params, nhwc(recipe.image('input/dis', batch, model.size)))
    computed[f'logits_B{batch}'], computed[f'stddev_B{batch}'] = logits, minibatch_stddev(maps[-1])
    if batch == mapped:
      computed |= {f'conv{i}_stats': stats(value) for i, value in enumerate(maps)}
  return computed, lambda array: Limit(1e-5)


def training(recipe, gen_state, dis_state, golden):
  """Computes losses and gradients of stage 1, and the losses around a step of Adam."""
  model, gen = autoencoder.convert(gen_state)
  _, dis = discriminators.convert(dis_state)
  config = dict(autoencoder.config(model))
  source, target = (
    nhwc(recipe.image(f'input/{name}', 2, model.size)) for name in ('source', 'drive')
  )
  tx = step.lazy_adam(1e-4, interval=4)

  def terms(gen, dis):
    """Returns [l1, gan] and the reconstruction."""
    _, (made, metrics) = step.gen_loss(gen, dis, source, target, config=config)
    return jnp.stack([metrics['l1'], metrics['gan']]), made

  @jax.jit
  def gradients(gen, dis):
    values, pull_back, made = jax.vjp(lambda params: terms(params, dis), gen, has_aux=True)
    return values, made, [pull_back(one)[0] for one in jnp.eye(2)]

  @jax.jit
  def adam_step(gen, grads):
    updates, _ = tx.update(jax.tree.map(jnp.add, *grads), tx.init(gen))
    return optax.apply_updates(gen, updates)

  dis_loss = jax.jit(jax.value_and_grad(functools.partial(step.dis_loss, config=config)))
  values, made, grads = gradients(gen, dis)
  loss, dis_grads = dis_loss(dis, target, made)
  keys = [key for key in gen_state if not key.endswith('.kernel')]
  computed = dict(
    g_keys=keys,
    d_keys=[key for key in dis_state if not key.endswith('.kernel')],
    d_loss=[loss],
  )
  computed['d_grad_l2'] = _norms(dis_grads, computed['d_keys'], discriminators.RULES)
  for i, name in enumerate(('l1', 'gan')):
    norms = _norms(grads[i], keys, autoencoder.rules(model))
    computed[f'g_{name}'], computed[f'g_{name}_grad_l2'] = values[i : i + 1], norms
    # What we do not build is just what the original's output does not depend on.
    computed[f'g_{name}_grad_none'] = [key for key, norm in zip(keys, norms) if norm == 0]
    computed[f'g_{name}_grad_dec_direction_row0'] = grads[i]['directions']['kernel'][0]

  after, _ = jax.jit(terms)(adam_step(gen, grads), dis)
  computed['adam_l1_gan_per_step'] = np.stack([values, after])
  # Theirs has a second step too, which would double the time.
  golden['adam_l1_gan_per_step'] = golden['adam_l1_gan_per_step'][:2]

  def limit(array):
    if array.endswith('row0'):  # single entries: the sign of reconstruction - target flips at some
      return Limit(0.1 * np.abs(golden[array]).max())
    if array.startswith('adam'):
      return Limit(3e-2, relative=True)
    return Limit(2e-2 if '_grad_' in array else 1e-5, relative=True)

  return computed, limit


def _norms(grads, keys, rules):
  """2-norms of gradients in the order of their keys; 0 where we have no such parameter."""
  flat = traverse_util.flatten_dict(grads, sep='/')
  paths = [(engine.translate(key, rules) or (None,))[0] for key in keys]
  return [float(np.linalg.norm(flat[path])) if path in flat else 0.0 for path in paths]


# -- stage 2


def motion(recipe, state, golden):
  """Computes the transformer in all conditions, guidance, token streams, loss and gradients."""
  config, params = motions.convert(state)
  sizes = dict(frames=config.frames, motion=config.motion_dim, audio=config.audio_width)
  inputs = recipe.dit_inputs(batch=2, **sizes)
  inputs = {name.removeprefix('x_'): jnp.asarray(value) for name, value in inputs.items()}
  x_t = inputs.pop('x')
  no_statistics = {name: jnp.zeros_like(inputs[name]) for name in ('mean', 'std')}
  network = motion_model.network(config)
  mixed = jnp.asarray(golden['t_mixed'], jnp.int32)
  computed = dict(t_mixed=golden['t_mixed'])

  @jax.jit
  def run(params, t, inputs):
    t = jnp.broadcast_to(t, x_t.shape[:1])
    out, captured = network.apply({'params': params}, x_t, t, **inputs, capture_intermediates=True)
    return out, captured['intermediates']

  @jax.jit
  def guided(params, t):
    return sample.guided_denoiser(params, config, Condition(**inputs), 2.0)(x_t, t)

  steps = [int(a.removeprefix('cfg2_t')) for a in golden if a.startswith('cfg2_t')]
  for t in steps:
    out, captured = run(params, t, inputs)
    computed[f'out_stats_t{t}'] = out
    computed[f't_embed_{t}'] = embed.timestep_features(jnp.asarray([t]))
    computed[f't_cond_{t}'] = captured['tokens']['t_embedder']['__call__'][0][:1]
    computed[f'out_nostats_t{t}'] = run(params, t, {**inputs, **no_statistics})[0]
    computed[f'cfg2_t{t}'] = guided(params, t)
  computed['out_stats_tmixed'], captured = run(params, mixed, inputs)
  computed['out_uncond_tmixed'] = run(params, mixed, dict(inputs, y=jnp.zeros_like(inputs['y'])))[0]
  tokens, cond = captured['tokens']['__call__'][0]
  computed |= dict(tokens_in_first8=tokens[..., :8], cond_first8=cond[..., :8])
  for i in range(config.depth):
    computed[f'block{i}_out_first8'] = captured[f'block_{i}']['__call__'][0][:1, :, :8]
  if 'train/loss' in golden:
    computed |= _motion_training(recipe, config, params, inputs, mixed, list(state))

  def limit(array):
    if array.startswith('train/'):
      return Limit(1e-3 if 'grad' in array else 1e-5, relative=True)
    return Limit(2e-4 if array.startswith('cfg2') else 1e-5 if array.startswith('t_') else 1e-4)

  return computed, limit


def _motion_training(recipe, config, params, inputs, t, keys):
  shape = (4, config.frames, config.motion_dim)
  x_0 = np.clip(0.5 * recipe.draw('input/diff/x0', shape), -1, 1)[:2]
  noise = jnp.asarray(recipe.draw('input/diff/noise', shape)[:2])
  batch = dict(inputs, x=jnp.asarray(x_0))

  def objective(params):
    terms, _ = motion_model.loss_terms(params, batch, t, noise, config=config)
    return (terms['mse'] + terms['vb']).mean(), terms

  (loss, terms), grads = jax.jit(jax.value_and_grad(objective, has_aux=True))(params)
  keys = [key for key in keys if key != 'pos_embed']
  return {
    'train/loss': [loss],
    'train/mse': terms['mse'],
    'train/vb': terms['vb'],
    'train/grad_keys': keys,
    'train/grad_l2': _norms(grads, keys, motions.RULES),
  }
