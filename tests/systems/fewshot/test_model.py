import csv
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ifmdm_jax.configs import fewshot
from ifmdm_jax.errors import InputError
from ifmdm_jax.systems.fewshot import losses, model, networks
from ifmdm_jax.training import contract, loop, program
from ifmdm_jax.training import state as states
from ifmdm_jax.training.gradient import value_and_grad
from tests.systems.fewshot import faces
from tests.systems.fewshot.conftest import small


def episode(batch=2, shots=2, side=16, seed=0, colour=None):
  """A batch of noise with plain faces, or of one colour."""
  rng = np.random.default_rng(seed)
  noise = lambda *axes: (
    rng.integers(0, 255, (*axes, side, side, 3), np.uint8)
    if colour is None
    else np.full((*axes, side, side, 3), colour, np.uint8)
  )
  points = np.stack([faces.mesh(opening) for opening in rng.uniform(0, 0.1, batch * (shots + 1))])
  points = points.reshape(batch, shots + 1, 468, 2)
  return dict(
    shots=noise(batch, shots), target=noise(batch), shot_points=points[:, 1:],
    target_points=points[:, 0], video=np.arange(batch, dtype=np.int32),
  )  # fmt: skip


@functools.cache
def trainer():
  """(config, state, jitted update) with plain descent, which shows gradients."""
  config, rate = small(), 1e-3
  each = dict(gen=optax.sgd(rate), dis=optax.sgd(rate))
  each = {name: program.optim.lenient(tx) for name, tx in each.items()}
  key = program.fresh_key(0)

  @jax.jit
  def fresh():
    init = lambda params: {name: tx.init(params[name]) for name, tx in each.items()}
    extra = model.init_extra(key, config.model)
    return states.create(model.init(key, config.model), init, False, extra)

  options = dict(config=config.model, frozen=model.frozen(config.model), optimizers=each)
  update = jax.jit(functools.partial(model.step, **options, gradient=value_and_grad))
  return config.model, fresh(), update


def moved(before, after):
  differ = jax.tree.map(lambda a, b: float(np.abs(np.float64(a) - np.float64(b)).max()), before,
                        after)  # fmt: skip
  return states.by_path(differ)


def test_it_is_what_the_trainer_expects():
  for protocol in (contract.Adversarial, contract.Stateful, contract.Frozen, contract.Evaluated,
                   contract.Pictures, contract.Example, contract.Adaptable):  # fmt: skip
    assert isinstance(model, protocol)


@pytest.mark.parametrize('size', ['paper', 'lite', 'tiny'])
def test_every_size_can_be_built(size):
  config = fewshot.get_config(size)
  config.model.videos = 9
  assert config.data.videos == 9 and config.data.size == config.model.image
  shapes = jax.eval_shape(lambda key: model.init(key, config.model), jax.random.key(0))
  assert set(shapes['gen']) == set(networks.GEN) and set(shapes['dis']) == set(networks.DIS)
  assert set(model.optimizers(config)) == {'gen', 'dis'}


@pytest.mark.parametrize(
  'changes', [dict(compute='bfloat16'), dict(pieces=2), dict(remat='products')], ids=str
)
def test_the_trainer_may_compute_it_in_half_precision_in_pieces_and_in_less_memory(changes):
  config = small()
  config.train.update(changes)
  run = program.build(config, jax.devices()[:1])
  frozen = jax.eval_shape(lambda: model.frozen(config.model))
  given = model.example(config.model, config.train.batch), program.fresh_key(0), frozen
  state, metrics = jax.eval_shape(run.update, run.shapes, *given)
  same = lambda a, b: (a.shape, a.dtype) == (b.shape, b.dtype)
  assert all(jax.tree.leaves(jax.tree.map(same, state, run.shapes)))
  assert all(value.dtype == jnp.float32 and not value.shape for value in metrics.values())


def test_each_side_is_moved_by_its_own_losses_alone():
  """Users' runs turned black until the two losses were no longer one sum."""
  config, state, update = trainer()
  batch = episode()
  after, _ = update(state, batch, jax.random.key(0))
  prepared = model.prepared(batch, config)
  gen_states, dis_states = sides_of(state.extra)
  rest = dict(extra=gen_states, dis=state.params['dis'], dis_states=dis_states, step=0,
              config=config, frozen=model.frozen(config))  # fmt: skip
  grad = jax.jit(jax.grad(lambda gen: model.gen_loss(gen, prepared, None, **rest), has_aux=True))
  grads, ((metrics, made), _) = grad(state.params['gen'])
  expected = jax.tree.map(lambda p, g: p - 1e-3 * g, state.params['gen'], grads)
  same = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
  jax.tree.map(same, after.params['gen'], expected)
  assert max(moved(state.params['dis'], after.params['dis']).values()) > 1e-5
  assert np.isfinite(float(metrics['match'])) and made['made'].shape == (2, 16, 16, 3)


def test_rows_of_videos_that_are_not_in_the_batch_stay():
  config, state, update = trainer()
  after, _ = update(state, episode(), jax.random.key(0))  # videos 0 and 1 of three
  rows = lambda s: np.asarray(s.params['dis']['table']['embedding'])
  assert (rows(after)[2] == rows(state)[2]).all()
  assert (rows(after)[:2] != rows(state)[:2]).all(1).all()
  assert config.videos == 3


@pytest.mark.parametrize('colour', [0, 128, 255])
def test_pictures_of_one_colour_leave_every_gradient_finite(colour):
  """The root of a variance of zero gave NaN within fifty steps, with the match loss on."""
  _, state, update = trainer()
  batch = episode(colour=colour)
  batch['shot_points'] = np.full((2, 2, 468, 2), np.nan, np.float32)  # no lines either
  batch['target_points'] = np.full((2, 468, 2), np.nan, np.float32)
  for _ in range(3):
    state, metrics = update(state, batch, jax.random.key(0))
  assert all(np.isfinite(value) for value in metrics.values())
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(jax.device_get(state.params)))
  assert metrics['match'] > 0


def sides_of(extra):
  return [{name: extra[name] for name in of} for of in (networks.GEN, networks.DIS)]


def test_the_hinge_falls_below_one():
  """With a sigmoid before it, it cannot: scores of 0 to 1 leave at least 1."""
  config, state, _ = trainer()
  batch = model.prepared(episode(), config)
  batch |= dict(made=-batch['target'], embeddings=jnp.zeros((2, 2, 16)))
  tx = program.optim.lenient(optax.adam(1e-2))

  @jax.jit
  def update(dis, memory, extra):
    loss = functools.partial(model.dis_loss, extra=extra, config=config)
    grads, (metrics, extra) = jax.grad(loss, has_aux=True)(dis, batch, None)
    changes, memory = tx.update(grads, memory, dis)
    return optax.apply_updates(dis, changes), memory, extra, metrics

  dis, extra = state.params['dis'], sides_of(state.extra)[1]
  memory = tx.init(dis)
  for _ in range(40):
    dis, memory, extra, metrics = update(dis, memory, extra)
  assert metrics['hinge'] < 0.9 and metrics['real'] > metrics['fake']


def terms_of(preset):
  """All figures of one evaluation of either side's loss."""
  _, state, _ = trainer()
  config = small(loss_preset=preset).model
  gen_states, dis_states = sides_of(state.extra)
  rest = dict(dis=state.params['dis'], dis_states=dis_states, frozen=model.frozen(config),
              step=jnp.int32(0), config=config)  # fmt: skip

  @jax.jit
  def run(params):
    batch = model.prepared(episode(), config)
    gen, ((terms, made), _) = model.gen_loss(params['gen'], batch, None, extra=gen_states, **rest)
    batch |= made
    dis, (more, _) = model.dis_loss(params['dis'], batch, None, extra=dis_states, config=config)
    return {'gen': gen, 'dis': dis, **terms, **more}

  return {name: float(value) for name, value in run(state.params).items()}


def test_terms_are_weighed_as_the_preset_says():
  found = {name: terms_of(name) for name in losses.PRESETS}
  ratio = lambda term, a, b: found[a][term] / found[b][term]
  assert ratio('match', 'paper_v1', 'paper_v2') == pytest.approx(8, rel=1e-3)
  assert ratio('content', 'paper_v2', 'paper_v1') == pytest.approx(15, rel=1e-3)
  maps = 3  # of the discriminator: the first-party code averages over them
  assert ratio('feature', 'paper_v1', 'burkov') == pytest.approx(maps, rel=1e-3)
  for each in found.values():
    total = sum(each[term] for term in ('content', 'feature', 'adversarial', 'match'))
    assert each['gen'] == pytest.approx(total, rel=1e-4) and np.isfinite(each['balance'])
  assert found['burkov']['dis'] == pytest.approx(found['burkov']['hinge'])
  assert found['paper_v1']['dis'] > found['paper_v1']['hinge']


def test_content_sees_one_square_of_both_pictures_in_training_and_all_of_them_in_figures():
  config = small(content_window=8).model
  weights = losses.load_content(config)
  target = jnp.zeros((2, 16, 16, 3))
  made = target.at[:, 12:, 12:].set(1.0)  # a fault in one corner
  seen = [losses.content(made, target, weights, config, jax.random.key(i)) for i in range(20)]
  assert min(seen) == 0 and max(seen) > 0
  assert losses.content(made, target, weights, config) > 0
  first, second = losses.window(jax.random.key(0), 8, made, made + 1)
  np.testing.assert_array_equal(second, first + 1)


def test_the_band_is_watched_in_the_first_steps_alone():
  config = small(band=10.0, band_steps=5).model
  terms = dict(content=jnp.float32(1), feature=jnp.float32(20), adversarial=jnp.float32(0))
  assert np.isinf(losses.balance(terms, jnp.int32(4), config))
  assert losses.balance(terms, jnp.int32(5), config) == 20
  close = {**terms, 'feature': jnp.float32(5)}
  assert losses.balance(close, jnp.int32(0), config) == 5


def rows_of(workdir, name):
  rows = csv.DictReader((workdir / 'log.csv').open())
  return [float(row['value']) for row in rows if row['name'] == name]


def test_a_run_learns_measures_people_held_out_and_draws_them(run):
  config, workdir, state = run
  match = rows_of(workdir, 'train/match')
  assert match[-1] < 0.9 * match[0]
  for name in ('l1', 'psnr', 'l1_other', 'loss'):
    assert np.isfinite(rows_of(workdir, f'val/{name}')).all() and rows_of(workdir, f'val/{name}')
  assert list((workdir / 'pictures').rglob('*episodes*'))
  fresh = jax.jit(lambda key: model.init(key, config.model))(program.fresh_key(0))
  for name, difference in moved(fresh, jax.device_get(state.params)).items():
    assert difference > 0, f'{name} has not learned'
  assert jax.tree.structure(state.ema) == jax.tree.structure(state.params)


def test_a_run_goes_on_as_if_it_had_not_stopped(run, tmp_path):
  config, _, whole = run
  for steps in (6, 12):
    config = config.copy_and_resolve_references()
    config.train.steps = steps
    parts = loop.train(config, tmp_path, devices=jax.devices()[:1])
  same = lambda a, b: np.testing.assert_array_equal(jax.device_get(a), jax.device_get(b))
  jax.tree.map(same, (whole.params, whole.extra, whole.ema), (parts.params, parts.extra, parts.ema))


@pytest.mark.parametrize(
  'changes, message',
  [(dict(loss_preset='paper'), 'expected one of paper_v1'), (dict(content='vgg'), 'content is')],
)
def test_unknown_losses_are_reported(changes, message):
  config = small(**changes).model
  with pytest.raises(InputError, match=message):
    losses.preset(config)
    losses.load_content(config)


def test_the_content_network_is_vgg_16_of_two_kinds():
  config = fewshot.get_config('lite').model
  assert losses.FIRST == ('relu1_1', 'relu2_1', 'relu3_1', 'relu4_1', 'relu5_1')
  assert losses.EVERY[0] == 'relu1_1' and losses.EVERY[-1] == 'relu5_1' and len(losses.EVERY) == 11
  weights = jax.eval_shape(lambda: losses.load_content(config))
  picture = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
  for name in losses.PRESETS:
    config.loss_preset = name
    loss = functools.partial(losses.content, config=config)
    assert jax.eval_shape(loss, picture, picture, weights).shape == ()
