import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax.audio import wav2vec2

SIZES = dict(layer=2, width=32, heads=2, channels=16)


@functools.cache
def network():
  module = wav2vec2.Wav2Vec2(**SIZES)
  return jax.jit(module.apply), jax.jit(module.init)(jax.random.key(0), sound(50))


def sound(features, seed=0):
  return np.random.default_rng(seed).standard_normal((1, features * 320)).astype(np.float32)


def test_steps_move_to_the_recordings_time_line():
  times = (320 * np.arange(49) + 199.5) / 16_000  # what step j is centred on, in seconds
  moved = wav2vec2.to_grid(jnp.asarray(times[None, :, None], jnp.float32), 50, jnp.array([48]))
  expected = np.clip(np.arange(50) / 50, times[0], times[-1])
  np.testing.assert_allclose(moved[0, :, 0], expected, atol=1e-6)


def test_padding_does_not_change_the_sound_before_it():
  apply, variables = network()
  longer = [np.pad(sound(50), ((0, 0), (0, 320 * n))) for n in (1, 60)]
  ours = [apply(variables, x, jnp.array([50]))[:, :50] for x in longer]
  np.testing.assert_allclose(*ours, atol=1e-4)
  np.testing.assert_allclose(ours[0], apply(variables, sound(50)), atol=1e-4)


def test_base_has_the_published_size():
  shapes = jax.eval_shape(wav2vec2.Wav2Vec2().init, jax.random.key(0), jnp.zeros((1, 16_000)))
  count = sum(np.prod(x.shape) for x in jax.tree.leaves(shapes['params']))
  assert count == 94_370_944  # published 94,371,712 less the 768 of the pre-training mask


def test_equals_transformers():
  torch = pytest.importorskip('torch')
  transformers = pytest.importorskip('transformers')
  config = transformers.Wav2Vec2Config(
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=128,
    conv_dim=(16,) * 7,
    num_conv_pos_embeddings=128,
    num_conv_pos_embedding_groups=16,
  )
  theirs = transformers.Wav2Vec2Model(config).eval()
  with torch.no_grad():
    expected = theirs(torch.from_numpy(sound(50))).last_hidden_state.numpy()
  ours = wav2vec2.Wav2Vec2(**SIZES).apply(
    {'params': from_transformers(theirs.state_dict())}, sound(50), method='network'
  )
  np.testing.assert_allclose(ours, expected, atol=1e-4)


def from_transformers(state):
  state = {name: value.numpy() for name, value in state.items()}
  dense = lambda name: dict(kernel=state[f'{name}.weight'].T, bias=state[f'{name}.bias'])
  norm = lambda name: dict(scale=state[f'{name}.weight'], bias=state[f'{name}.bias'])
  convs = 'feature_extractor.conv_layers'
  positions = 'encoder.pos_conv_embed.conv'
  params = {
    f'conv{i}': dict(kernel=state[f'{convs}.{i}.conv.weight'].transpose(2, 1, 0)) for i in range(7)
  }
  params |= dict(
    norm0=norm(f'{convs}.0.layer_norm'),
    norm_project=norm('feature_projection.layer_norm'),
    project=dense('feature_projection.projection'),
    norm=norm('encoder.layer_norm'),
    positions=dict(
      g=state[f'{positions}.parametrizations.weight.original0'].transpose(2, 1, 0),
      v=state[f'{positions}.parametrizations.weight.original1'].transpose(2, 1, 0),
      bias=state[f'{positions}.bias'],
    ),
  )
  for i in range(2):
    layer = f'encoder.layers.{i}'
    params[f'block_{i + 1}'] = dict(
      query=dense(f'{layer}.attention.q_proj'),
      key=dense(f'{layer}.attention.k_proj'),
      value=dense(f'{layer}.attention.v_proj'),
      out=dense(f'{layer}.attention.out_proj'),
      norm_attention=norm(f'{layer}.layer_norm'),
      norm_mlp=norm(f'{layer}.final_layer_norm'),
      up=dense(f'{layer}.feed_forward.intermediate_dense'),
      down=dense(f'{layer}.feed_forward.output_dense'),
    )
  return params
