"""What fits the networks to one person: where it begins, and that it learns."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax.nn.pixels import as_float
from ifmdm_jax.systems.fewshot import inputs, model, networks, person
from ifmdm_jax.training import adapt, checkpoints
from tests.systems.fewshot.test_model import episode


@pytest.fixture(scope='module')
def trained(run):
  """(config, params, states, frames of a person, others of the same)."""
  config, workdir, state = run
  batch = episode(batch=1, shots=6, seed=3)
  take = lambda rows: {'image': batch['shots'][0, rows], 'points': batch['shot_points'][0, rows]}
  params, extra = jax.device_get((state.averaged, checkpoints.load_extra(workdir)))
  return config, params, extra, take(slice(0, 4)), take(slice(4, 6))


@pytest.fixture(scope='module')
def begun(trained):
  config, params, extra, frames, _ = trained
  return jax.device_get(model.adapt(params, frames, config.model, extra=extra))


def test_the_first_frame_is_the_feed_forward_one_bit_for_bit(trained, begun):
  config, params, extra, frames, _ = trained
  fitted, states = begun
  style_of = jax.jit(functools.partial(person.style_of, config=config.model))
  draw = jax.jit(functools.partial(person.draw, config=config.model))
  _, psi = style_of(params['gen'], extra, frames['image'], frames['points'])
  points = np.stack([episode(seed=9)['target_points'][0]] * 2)
  feed_forward = draw(params['gen']['generator'], extra['generator'], psi, points)
  given = fitted['gen']['generator'], states['generator'], fitted['gen']['style'], points
  np.testing.assert_array_equal(draw(*given), feed_forward)
  assert np.std(feed_forward) > 0


def test_the_style_is_the_one_of_the_mean_embedding(trained, begun):
  """It is computed of these very frames: a stored one of another person cannot come in."""
  config, params, extra, frames, _ = trained
  of = networks.build(config.model)
  seen = inputs.beside(as_float(frames['image']), inputs.drawing(frames['points'],
                                                                        config.model))  # fmt: skip
  alone = [networks.embed(of, params['gen'], extra, seen[None, i : i + 1])[0] for i in range(4)]
  e = np.mean(alone, axis=0)[0, 0]
  np.testing.assert_allclose(begun[0]['dis']['row'], e, rtol=1e-4, atol=1e-5)
  psi, _ = networks.run(of.projector, params['gen']['projector'], extra['projector'], e[None])
  np.testing.assert_allclose(begun[0]['gen']['style'], psi[0], rtol=1e-3, atol=1e-4)


def test_the_first_score_is_v_e_and_what_the_linear_layer_adds(trained, begun):
  config, params, extra, frames, _ = trained
  of, fitted = networks.build(config.model), begun[0]
  e = jnp.asarray(fitted['dis']['row'])
  seen = inputs.beside(as_float(frames['image']), inputs.drawing(frames['points'],
                                                                        config.model))  # fmt: skip
  score = lambda given, state: person._scores(of, given, state, [seen])[0]
  found, maps = score(fitted['dis'], begun[1]['discriminator'])
  v = jax.nn.relu(maps[-1]).sum((1, 2))
  layer = params['dis']['discriminator']['score']
  state = extra['discriminator']['score']
  sigma = state['u'] @ (layer['kernel'].T @ state['v'])
  expected = v @ e + (v @ (layer['kernel'] / sigma))[:, 0] + layer['bias']
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_fit_draws_the_person_better_than_the_networks_that_knew_nobody(trained, begun):
  config, params, extra, frames, held_out = trained
  given = config.copy_and_resolve_references()
  given.adapt.update(steps=((1, 30),), eval_every=10)
  fit = adapt.adapt(model, params, frames, given, extra=extra, held_out=held_out)
  assert set(fit.params['gen']) == {'generator', 'style'} and set(fit.extra) == {
    'generator', 'discriminator'
  }  # fmt: skip
  assert set(fit.scores) == {10, 20, 30} and np.isfinite(fit.losses).all()
  rest = dict(config=config.model, frozen=model.frozen(config.model))
  score = jax.jit(lambda p, e: model.evaluate(p, frames, None, extra=e, **rest))
  before, after = score(*begun), score(fit.params, fit.extra)
  assert after['l1'] < before['l1']
  for side in ('gen', 'dis'):
    for name, part in fit.params[side].items():
      start = jax.tree.leaves(begun[0][side][name])
      assert any((np.asarray(a) != b).any() for a, b in zip(jax.tree.leaves(part), start)), name
