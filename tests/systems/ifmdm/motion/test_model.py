"""Training loss and sampling of the second stage."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ifmdm_jax import testing
from ifmdm_jax.configs import motion as motion_config
from ifmdm_jax.diffusion import schedule, steppers
from ifmdm_jax.errors import InputError
from ifmdm_jax.systems.ifmdm.motion import augment, model, sample
from ifmdm_jax.systems.ifmdm.motion import condition as conditions
from ifmdm_jax.systems.ifmdm.motion import normalizer as normalizers
from ifmdm_jax.training import optim


def config_of(size, **overrides):
  config = motion_config.get_config(size).model
  config.update(overrides)
  return config


# -- promises, on the tiny size

LITE = dict(prediction='x_0', learn_sigma=False, clean_drop=True, velocity_weight=1.0)
OBJECTIVES = pytest.mark.parametrize('objective', [{}, LITE], ids=['paper', 'lite'])
RNG = jax.random.key(1)


@functools.cache
def weights(objective):
  """Parameters without zero-initialised layers, from the names of what differs."""
  config = config_of('tiny', **dict(objective))
  draw = np.random.default_rng(0).standard_normal
  params = testing.fresh_params(model, config)
  return jax.tree.map(lambda p: np.asarray(p) + np.float32(0.1) * draw(p.shape, np.float32), params)


def standard_normal(rng, shape):
  return jnp.asarray(rng.standard_normal(shape), jnp.float32)


def tiny(objective, **overrides):
  """Config, parameters, and a batch of two windows."""
  rng = np.random.default_rng(0)
  shapes = dict(x=(2, 8, 20), y=(2, 16, 12), hint=(2, 1, 20), mean=(2, 1, 20), std=(2, 1, 20))
  batch = {name: standard_normal(rng, shape) for name, shape in shapes.items()}
  config = config_of('tiny', **{**objective, **overrides})
  return config, weights(tuple(objective.items())), batch


PROGRAMS = {}  # by function and what it was compiled for: many tests ask for the same


def compiled(function, config):
  key = function, config.to_json()
  return PROGRAMS.setdefault(key, jax.jit(functools.partial(function, config=config)))


compiled_loss = functools.partial(compiled, model.loss)
compiled_terms = functools.partial(compiled, model.loss_terms)


def sampled(config, params, rng, batch, normalizer=None, clip=None, step_rng=None, **options):
  """One jitted `sample.sample`, from noise or a key for it."""
  condition = conditions.of_batch({k: v for k, v in batch.items() if k != 'mask'})
  solver = sample.Solver(**options)
  rest = dict(solver=solver, normalizer=normalizer, clip=clip)

  def run(params, noise, step_rng, condition):
    return sample.sample(params, config, noise, condition, step_rng=step_rng, **rest)

  key = config.to_json(), solver, clip
  program = PROGRAMS.setdefault(key, jax.jit(run)) if normalizer is None else jax.jit(run)

  noise = rng
  if jnp.issubdtype(rng.dtype, jax.dtypes.prng_key):
    rng, step_rng = jax.random.split(rng)
    frames = condition.y.shape[1] // 2
    noise = jax.random.normal(rng, (len(condition.y), frames, config.motion_dim))
  return program(params, noise, step_rng, condition)


@OBJECTIVES
def test_masked_frames_do_not_change_the_loss(objective):
  config, params, batch = tiny(objective)
  loss = compiled_loss(config)
  batch['mask'] = jnp.asarray([[1.0] * 5 + [0.0] * 3, [1.0] * 8])
  other = dict(batch, x=batch['x'].at[0, 5:].add(3.0), y=batch['y'].at[0, 10:].add(3.0))
  value, metrics = loss(params, batch, RNG)
  changed, _ = loss(params, other, RNG)
  assert float(value) == float(changed)
  total = metrics['mse'] + metrics['vb'] + config.velocity_weight * metrics['velocity']
  np.testing.assert_allclose(value, total, rtol=1e-6)
  unmasked, _ = loss(params, {**other, 'mask': jnp.ones((2, 8))}, RNG)
  assert abs(float(unmasked) - float(value)) > 1e-3
  del other['mask']  # without one all frames are real
  np.testing.assert_allclose(loss(params, other, RNG)[0], unmasked, rtol=1e-6)


@OBJECTIVES
def test_gradients_are_finite_at_every_step_of_the_diffusion(objective):
  config, params, batch = tiny(objective)

  @jax.jit
  def gradient(params, t):
    def total(params):
      terms, _ = model.loss_terms(params, batch, t, batch['x'][::-1], config=config)
      return sum(term.sum() for term in terms.values())

    return jax.grad(total)(params)

  for t in (0, 1, 500, 999):
    leaves = jax.tree.leaves(gradient(params, jnp.full(2, t)))
    assert all(np.isfinite(leaf).all() for leaf in leaves)


def test_weights_per_direction_choose_what_counts():
  config, params, batch = tiny(LITE, dim_weights=(1.0,) * 10 + (0.0,) * 10)
  terms = compiled_terms(config)
  t, noise = jnp.asarray([3, 700]), 0 * batch['x']
  here, _ = terms(params, batch, t, noise)
  hidden = {**batch, 'x': batch['x'].at[..., 10:].set(0)}
  equal, _ = compiled_terms(tiny(LITE)[0])(params, batch, t, noise)
  assert np.abs(here['mse'] - equal['mse']).min() > 1e-3
  # a fresh network says zero whatever it sees, so only the weighted half is left
  fresh = jax.tree.map(jnp.zeros_like, params)
  np.testing.assert_array_equal(
    terms(fresh, hidden, t, noise)[0]['mse'], terms(fresh, batch, t, noise)[0]['mse']
  )


def test_constant_error_has_velocity_only_after_the_hint():
  config, params, batch = tiny(LITE)
  fresh = jax.tree.map(jnp.zeros_like, params)  # predicts zero
  batch['x'] = jnp.full((2, 8, 20), 2.0)
  terms, frames = compiled_terms(config)(fresh, batch, jnp.asarray([1, 900]), 0 * batch['x'])
  np.testing.assert_allclose(terms['mse'], 4.0, rtol=1e-6)
  np.testing.assert_allclose(terms['velocity'], 4.0 / 8, rtol=1e-6)
  np.testing.assert_array_equal(frames, 8)


def test_evaluation_drops_nothing():
  config, params, batch = tiny({}, drop_audio=1.0, drop_hint=1.0, drop_stats=1.0)
  metrics = compiled(model.evaluate, config)(params, batch, RNG)
  present = compiled_loss(tiny({}, drop_audio=0.0, drop_hint=0.0, drop_stats=0.0)[0])
  np.testing.assert_allclose(metrics['loss'], present(params, batch, RNG)[0], rtol=1e-6)


def some_normalizer():
  rng = np.random.default_rng(5)
  spread = lambda n: rng.uniform(0.5, 2, n).astype(np.float32)
  statistics = dict(
    code_mean=spread(20),
    code_std=spread(20),
    change_std=spread(20),
    window_std=spread(20),
    feature_mean=spread(12),
    feature_std=spread(12),
  )
  return normalizers.Normalizer(statistics, np.arange(20) < 6, np.ones(20, bool))


def test_loss_and_sample_normalise_by_themselves():
  config, params, inside = tiny(LITE)
  normalizer = some_normalizer()
  s = {name: value[None, None] for name, value in normalizer.statistics.items()}
  hint = inside['hint'] * s['code_std'] + s['code_mean']
  outside = dict(
    x=normalizer.codes(inside['x'], hint),
    y=inside['y'] * s['feature_std'] + s['feature_mean'],
    hint=hint,
    mean=normalizer.codes(inside['mean'], hint),
    std=inside['std'] * s['window_std'],
  )
  loss = compiled_loss(config)
  want, _ = loss(params, inside, RNG)
  np.testing.assert_allclose(loss(params, outside, RNG, frozen=normalizer)[0], want, rtol=1e-4)
  got = sampled(config, params, RNG, outside, normalizer, steps=2)
  want = normalizer.codes(sampled(config, params, RNG, inside, steps=2), hint)
  np.testing.assert_allclose(got, want, atol=1e-3)


@pytest.mark.parametrize('clean', [False, True])
def test_guidance_takes_the_sound_away_as_published_or_as_trained(clean):
  config, params, batch = tiny({}, clean_guidance=clean, drop_hint=0.0, drop_stats=0.0)
  given = {name: batch[name] for name in ('y', 'hint', 'mean', 'std')}
  condition = conditions.Condition(**given)
  t = jnp.asarray([37, 37])

  @jax.jit
  def run(params, x):
    silent = sample.guided_denoiser(params, config, condition, 0.0)(x, 37)
    mute = condition.replace(y=jnp.zeros_like(given['y']))
    zeros = sample.denoise(params, config, x, t, mute)
    network = model.network(config).clone(drop_audio=1.0)
    rngs = {'drop': RNG}
    trained = network.apply({'params': params}, x, t, **given, train=True, rngs=rngs)
    return [out[..., :20] for out in (silent, zeros, trained)]

  silent, zeros, trained = run(params, batch['x'])
  same, other = (trained, zeros) if clean else (zeros, trained)
  np.testing.assert_allclose(silent, same, atol=1e-5)
  assert np.abs(silent - other).max() > 1e-3


@OBJECTIVES
def test_guidance_one_is_the_conditional_pass(objective):
  config, params, batch = tiny(objective)
  condition = conditions.of_batch(batch)

  @jax.jit
  def passes(params, x, one):
    guided = functools.partial(sample.guided_denoiser, params, config, condition)
    return (
      sample.denoise(params, config, x, 37, condition),
      guided(guidance=1.0)(x, 37),
      guided(guidance=one)(x, 37),
    )

  want, spared, computed = passes(params, batch['x'], jnp.asarray(1.0))
  np.testing.assert_allclose(spared, want, atol=1e-5)
  np.testing.assert_allclose(computed, want, atol=1e-5)


@pytest.mark.parametrize('stepper', ['ddim', 'ddpm'])
def test_same_seed_same_sample(stepper):
  config, params, batch = tiny(LITE)
  draw = lambda seed: sampled(config, params, jax.random.key(seed), batch, steps=5, stepper=stepper)
  first = draw(0)
  np.testing.assert_array_equal(first, draw(0))
  assert first.shape == (2, 8, 20) and np.isfinite(first).all()
  assert np.abs(first - draw(1)).max() > 1e-3


def test_given_noise_needs_no_key_unless_steps_are_random():
  config, params, batch = tiny(LITE)
  draw = functools.partial(sampled, config, params, batch['x'], batch, steps=3)
  plain = draw()
  np.testing.assert_array_equal(plain, draw(stepper=steppers.DDIM()))
  with pytest.raises(InputError, match='pass noise'):
    draw(stepper='ddpm')
  noisy = draw(stepper=steppers.DDIM(eta=1.0), step_rng=jax.random.key(0))
  assert np.abs(noisy - plain).max() > 1e-4


def test_statistics_not_given_are_zeros():
  config, params, batch = tiny(LITE)
  bare = {name: batch[name] for name in ('y', 'hint')}
  zeros = {**bare, 'mean': 0 * batch['mean'], 'std': 0 * batch['std']}
  np.testing.assert_array_equal(
    sampled(config, params, RNG, bare, steps=2), sampled(config, params, RNG, zeros, steps=2)
  )


@pytest.mark.parametrize('steps', [1, 3, 'even3', 'ddim4', schedule.Trailing(2)])
def test_short_windows_and_few_steps_can_be_sampled(steps):
  config, params, batch = tiny({})
  got = sampled(config, params, RNG, {**batch, 'y': batch['y'][:, :6]}, steps=steps, clip=1.0)
  assert got.shape == (2, 3, 20)
  assert np.isfinite(got).all()


@pytest.mark.parametrize('what', ['odd', 'long', 'noise', 'stepper', 'steps'])
def test_input_that_does_not_fit_is_refused_in_one_line(what):
  config, params, batch = tiny({})
  y, noise, options = batch['y'], batch['x'], {}
  if what == 'odd':
    y = y[:, :7]
  elif what == 'long':
    y = jnp.concatenate([y, y], axis=1)
  elif what == 'noise':
    noise = noise[:, :3]
  else:
    options = {'stepper': {'stepper': 'euler'}, 'steps': {'steps': 1001}}[what]
  with pytest.raises(InputError) as error:
    condition = conditions.Condition(y, batch['hint'])
    sample.sample(params, config, noise, condition, sample.Solver(**options))
  assert '\n' not in str(error.value)


def test_lite_is_small():
  config = config_of('lite')
  params = jax.eval_shape(lambda: model.init(jax.random.key(0), config))
  assert sum(leaf.size for leaf in jax.tree.leaves(params)) < 6e6


def test_training_learns_one_batch():
  config, _, batch = tiny(LITE, depth=1)
  tx = optim.lenient(optax.adam(3e-3))

  @jax.jit
  def train(rng):
    params = model.init(rng, config)

    def update(carry, rng):
      params, state = carry
      gradient, metrics = jax.grad(model.loss, has_aux=True)(params, batch, rng, config=config)
      updates, state = tx.update(gradient, state)
      return (optax.apply_updates(params, updates), state), metrics['mse']

    return jax.lax.scan(update, (params, tx.init(params)), jax.random.split(rng, 100))[1]

  losses = train(jax.random.key(0))
  assert losses[-20:].mean() < 0.5 * losses[:20].mean()


def test_smoothing_calms_what_shakes_and_leaves_what_drifts():
  time = np.arange(40, dtype=np.float32)
  shake, drift = np.where(time % 2, 1.0, -1.0), 0.1 * time
  codes = np.stack([shake, drift, shake], axis=-1)[None].astype(np.float32)
  hint = np.array([[[1.0, -0.1, 1.0]]], np.float32)
  smoothed = np.asarray(sample.smooth(codes, hint, (0.5, 0.5, 0.0)))[0]
  np.testing.assert_allclose(smoothed[:-1, 0], 0.0, atol=1e-6)
  np.testing.assert_allclose(smoothed[:-1, 1], drift[:-1], atol=1e-6)
  np.testing.assert_array_equal(smoothed[:, 2], shake)  # a share of 0
  assert sample.smooth(codes, hint, ()) is codes


# -- a fixed reference


def fixed_normalizer():
  """A normaliser that counts from a fixed reference; directions 6 to 13 are the lips."""
  statistics = dict(normalizers.plain(20, 12).statistics)
  statistics |= dict.fromkeys(('reference_std', 'opening_weight'), np.full(20, 0.5, np.float32))
  statistics |= dict(
    opening_bias=np.full(1, -100.0, np.float32),  # no mouth is open
    opening_way=np.zeros(20, np.float32),
    lowest=np.full(20, -2.0, np.float32),
    highest=np.full(20, 2.0, np.float32),
  )
  direction = np.arange(20)
  conditioned = (direction < 6) | (direction >= 14)
  return normalizers.Normalizer(
    statistics, np.ones(20, bool), conditioned, log_std=True, fixed=True
  )


def with_reference():
  config, params, batch = tiny(dict(LITE, fixed=True))
  rng = np.random.default_rng(5)
  batch |= dict(reference=standard_normal(rng, (2, 1, 20)), quiet=jnp.zeros((2, 9)))
  return config, params, batch


def test_lips_rest_where_nobody_speaks_and_all_else_goes_on():
  _, _, batch = with_reference()
  quiet = jnp.zeros((2, 9)).at[:, 4:].set(1.0)
  quieten = jax.jit(lambda batch: augment.quieten(batch, fixed_normalizer()))
  made = quieten(dict(batch, quiet=quiet))
  lips, rest = slice(6, 14), np.r_[0:6, 14:20]
  wanted = np.broadcast_to(batch['reference'], (2, 5, 20))
  np.testing.assert_allclose(made['x'][:, 3:, lips], wanted[..., lips], atol=1e-6)
  np.testing.assert_array_equal(made['x'][:, :3], batch['x'][:, :3])
  np.testing.assert_array_equal(made['x'][..., rest], batch['x'][..., rest])


def test_a_past_that_is_off_its_way_comes_back_to_it():
  batch = dict(x=jnp.zeros((64, 64, 20)), hint=jnp.zeros((64, 1, 20)))
  stray = jax.jit(lambda batch, rng: augment.stray(batch, fixed_normalizer(), rng))
  made = stray(batch, jax.random.key(0))
  away = np.abs(made['x'])
  assert np.abs(made['hint']).max() > 2 * 0.5  # as far as deviations from the reference
  assert away[:, -1].max() < 0.3 * np.abs(made['hint']).max()
  assert (np.diff(away, axis=1) <= 1e-6).all()
  lips, pose = away[:, 40, 6:14].max(), away[:, 40, :6].max()
  assert lips < pose  # lips are back at once, a head takes its time


def test_training_strays_and_evaluation_does_not(monkeypatch):
  config, params, batch = with_reference()
  strayed = []
  monkeypatch.setattr(augment, 'stray', lambda batch, normalizer, rng: strayed.append(1) or batch)
  given = dict(config=config, frozen=fixed_normalizer())
  traced = lambda function: jax.eval_shape(functools.partial(function, **given), params, batch, RNG)
  traced(model.evaluate)
  assert not strayed
  traced(model.loss)
  assert strayed


def test_a_chain_of_windows_stays_in_the_range_of_people_for_a_minute():
  config, params, batch = with_reference()
  solver = sample.Solver(2, 1.5)

  @jax.jit
  def window(rng, hint):
    noise = jax.random.normal(rng, batch['x'].shape)
    condition = conditions.Condition(batch['y'], hint, reference=batch['reference'])
    return sample.sample(params, config, noise, condition, solver, normalizer=fixed_normalizer())

  hint = batch['reference'] + 50.0  # wherever it begins
  for i in range(1500 // 8):
    codes = window(jax.random.fold_in(RNG, i), hint)
    assert np.isfinite(codes).all()
    assert np.abs(codes - batch['reference']).max() <= 2.0 + 1e-5
    hint = codes[:, -1:]


def test_features_of_another_encoder_are_one_clear_line():
  config = config_of('tiny')
  shapes = dict(x=(1, 16, 20), y=(1, 32, 160), hint=(1, 1, 20))
  batch = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
  with pytest.raises(InputError, match='features 12 wide, the data has 160.*audio_width=160'):
    model.loss({}, batch, RNG, config=config)
