"""The motion model M: causal, residual in pose, one motion whatever its pieces."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ifmdm_jax import bundle, testing
from ifmdm_jax.configs import vlogger_motion
from ifmdm_jax.errors import InputError
from ifmdm_jax.pipeline.face_motion import NAMES
from ifmdm_jax.systems.vlogger import motion, motion_model, motion_sampler
from ifmdm_jax.training import state as states

STEPS, FRAMES = '4', 24
FREE = motion_sampler.pins({})
HEAD = NAMES.index('headYaw')


@pytest.fixture(scope='module')
def config():
  return vlogger_motion.get_config('tiny').model


@pytest.fixture(scope='module')
def params(config):
  shapes = jax.eval_shape(lambda key: motion_model.init(key, config), jax.random.key(0))
  return testing.random_params(shapes, scale=0.2)


@pytest.fixture(scope='module')
def advance(config, params):
  normalizer = motion_model.plain(config.audio_width)

  @functools.partial(jax.jit, static_argnames='guidance')
  def run(state, y, reference, seed, pins, guidance=2.0):
    rest = dict(config=config, steps=STEPS, guidance=guidance)
    key = jax.random.key(seed)
    return motion_sampler.advance(params, state, y, reference, key, pins, normalizer, **rest)

  return run


@pytest.fixture(scope='module')
def heard(config):
  """A voice [1, T, A], as the network reads it, and a reference [1, 1, M]."""
  rng = np.random.default_rng(0)
  features = rng.normal(0, 1, (1, 2 * FRAMES, config.audio_width)).astype(np.float32)
  return motion.around(features, config.reach), np.zeros((1, 1, len(NAMES)), np.float32)


def sampled(advance, config, heard, pieces=(FRAMES,), seed=0, pins=FREE):
  y, reference = heard
  state, made, start = motion_sampler.start(config, STEPS, guidance=2.0), [], 0
  for count in pieces:
    piece, state = advance(state, y[:, start : start + count], reference, seed, pins)
    made.append(np.asarray(piece))
    start += count
  return np.concatenate(made, axis=1)


def test_what_is_said_later_changes_no_frame_before(advance, config, heard):
  y, reference = heard
  later = np.array(y)
  later[:, 15:] += 1
  ours = sampled(advance, config, heard)
  theirs = sampled(advance, config, (later, reference))
  np.testing.assert_array_equal(ours[:, :15], theirs[:, :15])
  assert (ours[:, 15:] != theirs[:, 15:]).any()


def test_pieces_make_the_motion_of_the_whole(advance, config, heard):
  whole = sampled(advance, config, heard)
  for pieces in ((8, 8, 8), (16, 8)):
    np.testing.assert_allclose(sampled(advance, config, heard, pieces), whole, atol=2e-4)


def test_seeds_differ_and_one_is_repeated(advance, config, heard):
  ours = sampled(advance, config, heard, seed=1)
  np.testing.assert_array_equal(ours, sampled(advance, config, heard, seed=1))
  assert np.abs(ours - sampled(advance, config, heard, seed=2)).max() > 0.01


def test_poses_are_counted_from_the_reference_and_expressions_are_not(advance, config, heard):
  y, reference = heard
  turned = np.array(reference)
  turned[..., HEAD], turned[..., NAMES.index('jawOpen')] = 0.3, 0.5
  ours, theirs = (sampled(advance, config, (y, each)) for each in (reference, turned))
  np.testing.assert_allclose(theirs[..., HEAD], ours[..., HEAD] + 0.3, atol=1e-5)
  np.testing.assert_allclose(
    theirs[..., ~motion_model.POSED], ours[..., ~motion_model.POSED], atol=1e-5
  )


def test_what_is_pinned_is_held_and_nothing_else(advance, config, heard):
  held = sampled(advance, config, heard, pins=motion_sampler.pins({'jawOpen': 0.25}))
  np.testing.assert_allclose(held[..., NAMES.index('jawOpen')], 0.25, atol=1e-5)
  assert held[..., HEAD].std() > 0.01
  with pytest.raises(InputError, match='did you mean jawOpen'):
    motion_sampler.pins({'jawopen': 0.25})


def test_a_factor_of_nothing_holds_still():
  rng = np.random.default_rng(0)
  made = rng.normal(0, 1, (1, 9, len(NAMES))).astype(np.float32)
  reference, mean = made[:, :1] + 1, made[0, 0]
  still = np.ones(len(NAMES), np.float32)
  still[HEAD] = 0
  found = np.asarray(motion_sampler.scaled(made, reference, mean, still))
  np.testing.assert_allclose(found[..., HEAD], reference[0, 0, HEAD], atol=1e-6)
  others = np.arange(len(NAMES)) != HEAD
  np.testing.assert_allclose(found[..., others], made[..., others], atol=1e-6)


def test_a_motion_of_any_length_is_smooth_and_as_long_as_its_voice(config, params, monkeypatch):
  rng = np.random.default_rng(0)
  features = rng.normal(0, 1, (2 * FRAMES, config.audio_width)).astype(np.float32)
  normalizer, reference = motion_model.plain(config.audio_width), np.zeros(len(NAMES), np.float32)
  found = {}
  for piece in (16, 9):
    monkeypatch.setattr(motion_sampler, 'PIECE', piece)
    sampler = motion_sampler.MotionSampler(config, params, normalizer, steps=STEPS)
    found[piece] = np.concatenate(list(sampler.sample(features, reference, seed=3)))
  np.testing.assert_allclose(found[16], found[9], atol=2e-4)
  assert found[16].shape == (FRAMES, len(NAMES))
  still = sampler.sample(features, reference, pin={'jawOpen': 0.2}, scale={'headYaw': 0})
  still = np.concatenate(list(still))
  np.testing.assert_allclose(still[:, NAMES.index('jawOpen')], 0.2, atol=1e-5)
  np.testing.assert_allclose(still[:, HEAD], 0, atol=1e-6)
  one = np.concatenate(list(sampler.sample(features[:2], reference)))
  assert one.shape == (1, len(NAMES))
  with pytest.raises(InputError, match=r'expected speech features \[2T, 160\]'):
    next(sampler.sample(features[:, :5], reference))


def batch_of(config, seed=0):
  """Jaws that open with the voice's loudness."""
  rng = np.random.default_rng(seed)
  loud = np.abs(np.sin(np.arange(config.frames) / 2 + rng.uniform(0, 6, (4, 1))))
  x = np.zeros((4, config.frames, len(NAMES)), np.float32)
  x[..., NAMES.index('jawOpen')] = loud
  y = np.repeat(np.repeat(loud, 2, 1)[..., None], config.audio_width, -1).astype(np.float32)
  return dict(
    x=x, y=y, reference=x[:, :1], mask=np.ones((4, config.frames), np.float32),
    quiet=np.zeros((4, config.frames + 1), np.float32),
  )  # fmt: skip


def test_the_loss_falls(config):
  normalizer = motion_model.plain(config.audio_width)
  params, optimizer = testing.fresh_params(motion_model, config), optax.adam(3e-3)
  state = optimizer.init(params)

  @jax.jit
  def update(params, state, key):
    of = lambda p: motion_model.loss(p, batch_of(config), key, config=config, frozen=normalizer)
    (value, metrics), grads = jax.value_and_grad(of, has_aux=True)(params)
    change, state = optimizer.update(grads, state)
    return optax.apply_updates(params, change), state, value

  losses = []
  with jax.numpy_dtype_promotion('standard'):  # optax's own
    for step in range(60):
      params, state, value = update(params, state, jax.random.key(step))
      losses.append(float(value))
  assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])


def test_what_is_not_there_does_not_count(config, params):
  normalizer = motion_model.plain(config.audio_width)
  of = jax.jit(functools.partial(motion_model.loss, config=config, frozen=normalizer))
  batch = batch_of(config)
  batch['mask'][:, 10:] = 0
  other = {**batch, 'x': np.array(batch['x'])}
  # Causal: what comes after the end changes no frame before it.
  other['x'][:, 10:] = 3.0
  ours, theirs = (of(params, each, jax.random.key(0))[0] for each in (batch, other))
  np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_the_temporal_loss_is_the_published_one_or_that_of_changes(config, params):
  normalizer, batch, found = motion_model.plain(config.audio_width), batch_of(config), {}
  for temporal in motion_model.TEMPORAL:
    own = config.copy_and_resolve_references()
    own.temporal = temporal
    of = jax.jit(functools.partial(motion_model.loss, config=own, frozen=normalizer))
    value, metrics = of(params, batch, jax.random.key(0))
    expected = metrics['mse'] + own.lambda_expression * metrics['temporal_expression']
    np.testing.assert_allclose(value, expected + own.lambda_pose * metrics['temporal_pose'])
    found[temporal] = float(metrics['temporal_expression'])
  assert found['published'] != found['matched']
  own.temporal = 'none'
  with pytest.raises(InputError, match='published, matched'):
    motion_model.loss(params, batch, jax.random.key(0), config=own, frozen=normalizer)


def test_lips_rest_where_nobody_speaks():
  x = jnp.ones((1, 3, len(NAMES)))
  found = np.asarray(motion_model.rested(x, jnp.array([[0.0, 0.5, 1.0]])))
  np.testing.assert_allclose(found[0, :, NAMES.index('jawOpen')], [1, 0.5, 0])
  np.testing.assert_allclose(found[0, :, NAMES.index('eyeBlinkLeft')], 1)


def test_neighbours_of_a_frame_are_heard_with_it():
  features = np.arange(10, dtype=np.float32).reshape(1, 10, 1)
  found = np.asarray(motion.around(features, 1))
  assert found.shape == (1, 5, 6)
  np.testing.assert_array_equal(found[0, 2], [2, 3, 4, 5, 6, 7])
  np.testing.assert_array_equal(found[0, 0], [0, 1, 0, 1, 2, 3])


def test_the_bundled_weights_are_those_of_lite():
  parts = bundle.read(bundle.chosen(None, 'vlogger')).parts
  config = vlogger_motion.get_config('lite').model
  normalizer = motion_model.normalizer(parts['statistics'].params)
  assert normalizer.feature_mean.shape == (config.audio_width,)
  found = states.by_path(parts['motion'].params)
  shapes = jax.eval_shape(lambda key: motion_model.init(key, config), jax.random.key(0))
  expected = {path: leaf.shape for path, leaf in states.by_path(shapes).items()}
  assert {path: leaf.shape for path, leaf in found.items()} == expected
