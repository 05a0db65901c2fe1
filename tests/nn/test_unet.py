"""Against two users: DiffTalk's latent U-Net and VLOGGER's pixel U-Net, small and at full size."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax.nn import unet
from ifmdm_jax.nn.temporal import TemporalAttention, TemporalConv
from ifmdm_jax.nn.unet import Layout, UNet
from tests.nn import reference
from tests.nn.reference import begun, drawn, redrawn

RNG = np.random.default_rng(0)
# Masked frame and reference are concatenated to the latent; audio and landmarks are one token.
DIFFTALK = Layout(8, (1, 2), blocks=1, attention=(2,), head_width=8)
# Pixels, no text; a clip's frames share their noise level.
VLOGGER = Layout(8, (1, 2), blocks=1, attention=(2,), head_width=8, context=False, modulate=True)


def numbers(network, *args, **kwargs):
  shapes = jax.eval_shape(lambda *args: network.init(*args, **kwargs), jax.random.key(0), *args)
  return sum(leaf.size for leaf in jax.tree.leaves(shapes))


@functools.cache
def built(layout, channels, inputs, context):
  network = UNet(layout, channels)
  x = jnp.asarray(RNG.normal(size=(2, 8, 8, inputs)), jnp.float32)
  context = jnp.asarray(RNG.normal(size=(2, 1, 6)), jnp.float32) if context else None
  t = jnp.array([3, 700])
  return jax.jit(network.apply), drawn(network, x, t, context), x, t, context


@pytest.mark.parametrize(
  'user', [(DIFFTALK, 3, 9, True), (VLOGGER, 3, 3, False)], ids=['difftalk', 'vlogger']
)
def test_both_users_get_their_shapes_and_every_condition_counts(user):
  apply, variables, x, t, context = built(*user)
  assert set(variables['params']) == {'time', 'down', 'middle', 'up'}
  out = apply(variables, x, t, context)
  assert out.shape == (2, 8, 8, 3)
  others = [(x, t + 1, context)]
  others += [(x.at[..., i : i + 3].add(1.0), t, context) for i in range(0, x.shape[-1], 3)]
  if context is not None:
    others += [(x, t, context + 1)]
  for other in others:
    assert np.abs(apply(variables, *other) - out).max() > 1e-4
  # A sample's result does not depend on its neighbours.
  swapped = apply(variables, x[::-1], t[::-1], None if context is None else context[::-1])
  np.testing.assert_allclose(swapped[::-1], out, rtol=1e-4, atol=1e-5)


def test_a_residual_block_is_its_formula():
  x = RNG.normal(size=(2, 4, 4, 6)).astype(np.float32)
  embedding = RNG.normal(size=(2, 5)).astype(np.float32)
  for modulate in (False, True):
    block = unet.Residual(4, Layout(4, (1,), modulate=modulate))
    variables = drawn(block, x, embedding)
    p = jax.tree.map(np.float64, variables['params'])
    h = reference.silu(reference.group_norm(x, **p['norm_0'], groups=1, epsilon=1e-5))
    h = reference.conv(h, **p['conv_0'], pad=1)
    shift = reference.dense(reference.silu(embedding), p['embedding'])[:, None, None]
    if modulate:
      scale, shift = np.split(shift, 2, axis=-1)
      h = reference.group_norm(h, **p['norm_1'], groups=1, epsilon=1e-5) * (1 + scale) + shift
    else:
      h = reference.group_norm(h + shift, **p['norm_1'], groups=1, epsilon=1e-5)
    h = reference.conv(reference.silu(h), **p['conv_1'], pad=1)
    expected = reference.conv(x, **p['skip']) + h
    np.testing.assert_allclose(jax.jit(block.apply)(variables, x, embedding), expected, atol=1e-4)


def test_the_time_is_embedded_as_published():
  module = unet.Time(8)
  t, vector = jnp.array([0, 999]), jnp.asarray(RNG.normal(size=(2, 3)), jnp.float32)
  variables = drawn(module, t, vector)
  p = jax.tree.map(np.float64, variables['params'])
  hidden = reference.silu(reference.dense(reference.timestep_features([0, 999], 8), p['hidden']))
  expected = reference.dense(hidden, p['out']) + reference.dense(vector, p['vector'])
  np.testing.assert_allclose(
    jax.jit(module.apply)(variables, t, vector), expected, rtol=1e-4, atol=1e-5
  )


def test_the_up_path_reads_every_map_of_the_down_path_once():
  _, variables, x, t, context = built(DIFFTALK, 3, 9, True)
  params = variables['params']
  given = unet.Conditions(jnp.ones((2, 32)), context)
  down = lambda x: unet.Down(DIFFTALK).apply({'params': params['down']}, x, given)
  maps = jax.jit(down)(x)
  shapes = [(8, 8, 8), (8, 8, 8), (4, 4, 8), (4, 4, 16)]
  assert [h.shape[1:] for h in maps] == shapes
  run = lambda skips: unet.Up(DIFFTALK, 3).apply({'params': params['up']}, skips, given).sum()
  slopes = jax.jit(jax.grad(run))(unet.Skips(tuple(maps), maps[-1]))
  assert all(np.abs(slope).max() > 0 for slope in jax.tree.leaves(slopes))


def test_temporal_layers_begin_as_no_layers_and_then_join_the_frames_of_a_clip():
  attention = functools.partial(TemporalAttention, head_width=8)
  clip = dataclasses.replace(VLOGGER, temporal=TemporalConv, temporal_attention=attention)
  still, plain, x, t, _ = built(VLOGGER, 3, 3, False)
  along = UNet(clip, 3)
  x, t = jnp.concatenate([x, x[::-1]]), jnp.repeat(t, 2)  # two clips of two frames, one level each
  apply = jax.jit(lambda variables, x: along.apply(variables, x, t, frames=2))
  variables = begun(along, x, t, frames=2)
  merged = jax.tree.map(jnp.copy, variables['params'])
  _overlay(merged, plain['params'])
  out = apply({'params': merged}, x)
  np.testing.assert_allclose(out, still(plain, x, t), rtol=1e-4, atol=1e-5)
  variables = redrawn(variables)
  moved = np.abs(apply(variables, x.at[1].add(1.0)) - apply(variables, x)).max((1, 2, 3))
  assert moved[0] > 1e-4 and moved[1] > 1e-4 and not moved[2:].any()


def _overlay(tree, values):
  for name, value in values.items():
    if isinstance(value, dict):
      _overlay(tree[name], value)
    else:
      tree[name] = value


def test_it_begins_at_zero_remat_changes_no_number_and_dropout_needs_training():
  layout = Layout(4, (1,), blocks=1, context=False, head_width=4)
  x, t = jnp.asarray(RNG.normal(size=(1, 4, 4, 3)), jnp.float32), jnp.array([5])
  network = UNet(layout, 3)
  assert not jax.jit(network.apply)(begun(network, x, t), x, t).any()
  variables = drawn(network, x, t)

  def gradient(layout):
    loss = lambda variables: (UNet(layout, 3).apply(variables, x, t) ** 2).sum()
    return jax.jit(jax.grad(loss))(variables)

  one, other = gradient(layout), gradient(dataclasses.replace(layout, remat=(0,)))
  most = max(np.abs(leaf).max() for leaf in jax.tree.leaves(one))
  same = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5 * most)
  jax.tree.map(same, one, other)

  dropping = UNet(dataclasses.replace(layout, dropout=0.5), 3)
  apply = jax.jit(dropping.apply, static_argnames='train')
  key = {'dropout': jax.random.key(1)}
  still = apply(variables, x, t)
  np.testing.assert_array_equal(still, jax.jit(network.apply)(variables, x, t))
  assert np.abs(apply(variables, x, t, train=True, rngs=key) - still).max() > 1e-4


def test_the_full_sizes_are_those_of_the_papers():
  latent = jax.ShapeDtypeStruct((1, 64, 64, 9), jnp.float32)
  t, token = jax.ShapeDtypeStruct((1,), jnp.int32), jax.ShapeDtypeStruct((1, 1, 128), jnp.float32)
  talk = Layout(256, (1, 2, 3, 4), attention=(2, 4, 8))
  assert round(numbers(UNet(talk, 3), latent, t, token) / 1e6) == 530
  pixels = jax.ShapeDtypeStruct((1, 128, 128, 3), jnp.float32)
  levels = (1, 2, 4, 4, 4)  # 128 to 8 pixels
  video = Layout(128, levels, attention=(4, 8, 16), context=False, modulate=True)
  assert round(numbers(UNet(video, 3), pixels, t) / 1e6) == 155
