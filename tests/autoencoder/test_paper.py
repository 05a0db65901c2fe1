"""The whole autoencoder against the original network, and what its calls promise."""

import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.autoencoder.paper import Autoencoder
from ifmdm_jax.importers import autoencoder as importer

MODES = ('self', 'cross', 'relative', 'none')
LEVELS = {64: (8, 16, 32, 64), 256: (8, 16, 32, 64, 128, 256)}
IMAGE = {64: {'max': 2e-3, 'mean': 2e-5}, 256: {'max': 1e-2, 'mean': 1e-4}}


# ------------------------------------------------------------------------------- the original


@functools.cache
def original(size):
  """The original's weights through ours: codes, features and, in one batch, all four modes."""
  batch = 2 if size == 64 else 1
  model, params = importer.convert(testing.golden_state(f'gen_S{size}'))
  variables = {'params': params}
  images = [testing.golden_image(f'input/{name}', batch, size) for name in ('source', 'drive')]

  @jax.jit
  def encode(variables, image):
    w_a, features = model.apply(variables, image, method='appearance')
    return w_a, features, model.apply(variables, w_a, method='motion')

  # One call: source and driving picture do not meet before the decoder.
  w_a, features, h = encode(variables, np.concatenate(images))
  start = jnp.asarray(np.repeat(testing.recipe().gen_inputs()['h_start'], batch, 0))
  source, drive = h[:batch], h[batch:]
  motions = jnp.concatenate([source, drive, drive - start + source, jnp.zeros_like(drive)])
  repeat = lambda x: jnp.concatenate([x[:batch]] * len(MODES))
  decode = functools.partial(model.apply, method='decode', refine=False, mutable=['intermediates'])
  rgb, sown = jax.jit(decode)(variables, repeat(w_a), [repeat(x) for x in features], motions)
  rgb = rgb.reshape(len(MODES), batch, *rgb.shape[1:])
  return types.SimpleNamespace(
    golden=testing.golden(f'gen_S{size}'),
    model=model,
    variables=variables,
    batch=batch,
    w_a=w_a,
    features=[x[:batch] for x in features],
    h=h,
    rgb=dict(zip(MODES, rgb, strict=True)),
    sown=sown['intermediates']['synthesis'],
  )


def assert_image(ours, theirs, size):
  error = np.abs(np.asarray(ours, np.float64) - theirs)
  assert error.max() < IMAGE[size]['max'] and error.mean() < IMAGE[size]['mean']


def centre(x, size):
  """[B, S, S, 3] -> middle size x size."""
  edge = (x.shape[1] - size) // 2
  return x[:, edge : edge + size, edge : edge + size]


@pytest.mark.parametrize('size', LEVELS)
def test_codes_and_features_agree_with_the_original(size):
  run = original(size)
  split = lambda name: np.concatenate([run.golden[f'{name}_source'], run.golden[f'{name}_drive']])
  np.testing.assert_allclose(run.w_a, split('wa'), atol=5e-5)
  np.testing.assert_allclose(run.h, split('h'), atol=5e-5)
  for resolution, feature in zip(LEVELS[size], run.features, strict=True):
    assert feature.shape[1:3] == (resolution, resolution)
    want = run.golden[f'feat_{resolution}_stats']
    np.testing.assert_allclose(testing.stats(feature), want, atol=1e-5)
  if size == 64:
    np.testing.assert_allclose(testing.nchw(run.features[0]), run.golden['feat_8'], atol=5e-5)


@pytest.mark.parametrize('size', LEVELS)
def test_directions_agree_with_the_original(size):
  run = original(size)
  bound = run.model.bind(run.variables)
  np.testing.assert_allclose(bound.directions.basis(), run.golden['Q'], atol=2e-6)
  delta = bound.directions(run.h[run.batch :])
  np.testing.assert_allclose(delta, run.golden['direction_h_drive'], atol=1e-5)


@pytest.mark.parametrize('mode', ['cross', 'none'])
@pytest.mark.parametrize('size', LEVELS)
def test_every_level_agrees_with_the_original(size, mode):
  run = original(size)
  rows = slice(MODES.index(mode) * run.batch, (MODES.index(mode) + 1) * run.batch)
  checked = 0
  for level, resolution in enumerate(LEVELS[size]):
    head = run.sown[f'to_flows_{level}']
    found = {name: run.sown[name][level] for name in ('in', 'flow_raw', 'warp', 'out', 'rgb')}
    found |= {name: head[name][0] for name in ('mask', 'grid')}
    for name, value in found.items():
      if value is None:  # generated features of the last level: never read, so never made
        continue
      value, key = value[rows], f'{mode}/{name}_{resolution}'
      if f'{key}_stats' in run.golden:
        np.testing.assert_allclose(testing.stats(value), run.golden[f'{key}_stats'], atol=1e-4)
        checked += 1
      if key in run.golden:
        value = value if name == 'grid' else testing.nchw(value)
        if name == 'rgb':
          assert_image(value, run.golden[key], size)
        else:
          np.testing.assert_allclose(value, run.golden[key], atol=1e-4)
        checked += 1
  assert checked >= 5 * len(LEVELS[size]) - 1


@pytest.mark.parametrize('mode', MODES)
def test_picture_of_64_agrees_with_the_original(mode):
  run = original(64)
  assert_image(testing.nchw(run.rgb[mode]), run.golden[f'{mode}/img_norefine'], 64)
  refined = refined_64()[mode]
  assert_image(testing.nchw(refined), run.golden[f'{mode}/img'], 64)
  np.testing.assert_allclose(refined.mean((1, 2)), run.golden[f'{mode}/img_mean'], atol=1e-5)
  np.testing.assert_allclose(refined.std((1, 2)), run.golden[f'{mode}/img_std'], atol=1e-5)


@functools.cache
def refined_64():
  run = original(64)
  refine = jax.jit(functools.partial(run.model.apply, method='refined'))
  return {mode: np.asarray(refine(run.variables, rgb)) for mode, rgb in run.rgb.items()}


@pytest.mark.parametrize('mode', MODES)
def test_picture_of_256_agrees_with_the_original(mode):
  run = original(256)
  rgb = run.rgb[mode]
  crop = run.golden[f'{mode}/img_norefine_crop64']
  assert_image(testing.nchw(centre(rgb, 64)), crop, 256)
  np.testing.assert_allclose(rgb.mean((1, 2)), run.golden[f'{mode}/img_norefine_mean'], atol=1e-5)
  np.testing.assert_allclose(rgb.std((1, 2)), run.golden[f'{mode}/img_norefine_std'], atol=1e-5)
  # The refine block sees 4 pixels around: the crop with that border is all it needs.
  refined = run.model.apply(run.variables, centre(rgb, 72), method='refined')
  assert_image(testing.nchw(centre(refined, 64)), run.golden[f'{mode}/img_crop64'], 256)


# ------------------------------------------------------------------------------- its promises


@functools.cache
def tiny():
  """All calls of a tiny model in one compiled function."""
  model = Autoencoder(size=8, motion_dim=5, style_dim=12, max_width=8, refine_width=4)
  images = jax.random.uniform(jax.random.key(0), (2, 2, 8, 8, 3), minval=-1.0)

  variables = testing.random_params(jax.eval_shape(model.init, jax.random.key(1), *images))

  @jax.jit
  def run(variables, source, drive):
    call = functools.partial(model.apply, variables)
    w_a, features = call(source, method='appearance')
    h = call(drive, method='encode')
    start = call(source, method='encode')
    return types.SimpleNamespace(
      w_a=w_a,
      h=h,
      features=features,
      plain=call(source),
      driven=call(source, drive),
      decoded=call(w_a, features, h, method='decode'),
      relative=call(source, drive, start),
      zero=call(w_a, features, jnp.zeros_like(h), method='decode'),
      bare=call(w_a, features, h, refine=False, method='decode'),
      unrefined=model.clone(refine=False).apply(variables, source, drive),
      tiled=model.clone(refine_tile=3).apply(variables, source, drive),
    ).__dict__

  return model, types.SimpleNamespace(**run(variables, *images))


def test_shapes_of_codes_features_and_picture():
  _, run = tiny()
  assert run.w_a.shape == (2, 12) and run.h.shape == (2, 5)
  assert [x.shape for x in run.features] == [(2, 8, 8, 8)]
  assert run.plain.shape == run.driven.shape == (2, 8, 8, 3)


def test_whole_call_is_encode_then_decode():
  _, run = tiny()
  np.testing.assert_allclose(run.decoded, run.driven, atol=1e-5)
  assert np.abs(run.driven - run.plain).max() > 1e-3


def test_relative_motion_that_starts_at_the_source_is_absolute_motion():
  _, run = tiny()
  np.testing.assert_allclose(run.relative, run.driven, atol=1e-4)


def test_no_motion_is_the_zero_code():
  _, run = tiny()
  np.testing.assert_allclose(run.zero, run.plain, atol=1e-5)


def test_tiled_refinement_changes_nothing():
  _, run = tiny()
  np.testing.assert_allclose(run.tiled, run.driven, atol=1e-5)


def test_refinement_can_be_left_out():
  model, run = tiny()
  np.testing.assert_allclose(run.bare, run.unrefined, atol=1e-6)
  assert np.abs(run.bare - run.driven).max() > 1e-4
  image = jnp.zeros((1, 8, 8, 3))
  shapes = jax.eval_shape(model.clone(refine=False).init, jax.random.key(0), image, image)
  assert 'refine_block' not in shapes['params']
