import jax
import numpy as np
import optax
import pytest

from ifmdm_jax import errors
from ifmdm_jax.training import adapt, loop
from tests.training import toy_adversary, toy_state

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 4)).astype(np.float32)
FRAMES = {'x': X, 'y': np.tanh(X @ RNG.normal(size=(4, 4))).astype(np.float32) + 2.0}
FEW = {name: values[:4] for name, values in FRAMES.items()}
HELD_OUT = {name: values[8:] for name, values in FRAMES.items()}


def config(**changes):
  made = toy_state.get_config()
  made.optim = dict(name='radam', peak_lr=3e-2, schedule='constant')
  made.adapt = dict(steps=((1, 20), (4, 60)), batch=3, eval_every=20, **changes)
  return made


@pytest.fixture(scope='module')
def trained():
  key = jax.random.key(0, impl='rbg')
  return toy_state.init(key, None), toy_state.init_extra(key, None)


def test_the_number_of_updates_follows_from_the_number_of_frames():
  points = adapt.DEFAULTS['steps']
  assert [adapt.budget(k, points) for k in (1, 30, 100)] == [125, 230, 230]
  assert 125 < adapt.budget(8, points) < 230


def test_a_fit_begins_where_the_model_says_and_fits_the_person(trained):
  params, extra = trained
  start, _ = toy_state.adapt(params, FEW, None, extra=extra)
  np.testing.assert_allclose(start['outer']['bias'], FEW['y'].mean(0), rtol=1e-6)
  before = jax.device_get(params)
  found = adapt.adapt(toy_state, params, FEW, config(), extra=extra, held_out=HELD_OUT)
  jax.tree.map(np.testing.assert_array_equal, before, jax.device_get(params))  # not the caller's
  assert len(found.losses) == 60 and found.losses[-5:].mean() < 0.7 * found.losses[0]
  assert set(found.scores) == {0, 20, 40, 60}
  best = min(found.scores, key=lambda step: found.scores[step]['loss'])
  assert found.steps == best
  given = (HELD_OUT, jax.random.key(0))
  score = toy_state.evaluate(found.params, *given, config=None, frozen=None, extra=found.extra)
  np.testing.assert_allclose(score['loss'], found.scores[best]['loss'], rtol=1e-4)


def test_a_fit_that_makes_nothing_better_is_its_start(trained):
  params, extra = trained
  mirrored = {**FEW, 'y': 2 * FEW['y'].mean(0) - FEW['y']}
  found = adapt.adapt(toy_state, params, FEW, config(), extra=extra, held_out=mirrored)
  assert found.steps == 0 < max(found.scores)
  start, _ = toy_state.adapt(params, FEW, None, extra=extra)
  jax.tree.map(np.testing.assert_array_equal, jax.device_get(found.params), jax.device_get(start))


def test_a_fit_that_was_stopped_goes_on_as_if_it_had_not_been(trained, tmp_path):
  params, extra = trained

  def stop(done, total, _):
    if done == 30:
      raise KeyboardInterrupt

  whole = adapt.adapt(toy_state, params, FEW, config(), extra=extra, held_out=HELD_OUT)
  rest = dict(extra=extra, held_out=HELD_OUT, kept=tmp_path / 'fit.safetensors')
  with pytest.raises(KeyboardInterrupt):
    adapt.adapt(toy_state, params, FEW, config(), **rest, report=stop)
  seen = []
  resumed = adapt.adapt(
    toy_state, params, FEW, config(), **rest, report=lambda done, *_: seen.append(done)
  )
  assert seen[0] == 21  # the last that was kept is update 20
  assert resumed.steps == whole.steps and resumed.scores == whole.scores
  np.testing.assert_array_equal(resumed.losses, whole.losses)
  jax.tree.map(np.testing.assert_array_equal, resumed.params, whole.params)


def test_a_fit_may_have_rates_of_its_own(trained):
  params, extra = trained
  still = adapt.adapt(toy_state, params, FEW, config(optim=dict(peak_lr=0.0)), extra=extra)
  start, _ = toy_state.adapt(params, FEW, None, extra=extra)
  jax.tree.map(np.testing.assert_array_equal, jax.device_get(still.params), jax.device_get(start))


def test_the_same_seed_is_the_same_fit_and_another_is_not(trained):
  params, extra = trained
  runs = [adapt.adapt(toy_state, params, FEW, config(seed=seed), extra=extra) for seed in (0, 0, 1)]
  jax.tree.map(np.testing.assert_array_equal, runs[0].params, runs[1].params)
  assert (runs[0].losses != runs[2].losses).any()


def test_an_adversarial_model_is_fitted_by_its_own_step():
  class Person:
    """The toy, whose discriminator begins anew for one person."""

    step = staticmethod(toy_adversary.step)
    init = staticmethod(toy_adversary.init)

    @staticmethod
    def optimizers(config):
      return {name: optax.adam(1e-2) for name in ('gen', 'dis')}

    @staticmethod
    def adapt(params, frames, config):
      return {**params, 'dis': jax.numpy.asarray(frames['x'].mean(0)[:, None])}

  params = toy_adversary.init(jax.random.key(0), None)
  found = adapt.adapt(Person, params, FEW, config())
  assert found.steps == 60 and found.extra is None
  assert set(found.params) == {'gen', 'dis'} and np.isfinite(found.losses).all()


def test_bad_frames_and_models_are_reported(trained):
  params, extra = trained
  uneven = {**FEW, 'y': FEW['y'][:2]}
  with pytest.raises(errors.InputError, match=r"\{'x': 4, 'y': 2\} rows"):
    adapt.adapt(toy_state, params, uneven, config(), extra=extra)
  with pytest.raises(errors.InputError, match='has no adapt: expected Adaptable'):
    adapt.adapt(toy_adversary, params, FEW, config())
  with pytest.raises(errors.InputError, match="metric is 'psnr', held-out frames give"):
    adapt.adapt(toy_state, params, FEW, config(metric='psnr'), extra=extra, held_out=HELD_OUT)
  broken = {**FEW, 'x': np.full_like(FEW['x'], np.nan)}
  with pytest.raises(loop.NotFinite, match='not finite at update 1 of 60'):
    adapt.adapt(toy_state, params, broken, config(), extra=extra)
