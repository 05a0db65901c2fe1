"""wav2vec2, HuBERT and WavLM against transformers, and what the encoder promises on top."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax.audio import features, wav2vec2, wavlm
from ifmdm_jax.errors import InputError
from ifmdm_jax.importers import wav2vec2 as importer
from ifmdm_jax.training import program
from tests.audio import reference

SIZES = dict(layer=1, depth=2, width=16, heads=2, mlp_width=24, channels=(8,) * 7, groups=2)


def sound(count, seed=0):
  return np.random.default_rng(seed).standard_normal((1, count * 320)).astype(np.float32)


@functools.cache
def tiny(**changes):
  module = wav2vec2.Wav2Vec2(**{**SIZES, **changes})
  whole = module.clone(layer=module.depth)
  return module, jax.jit(whole.init)(program.fresh_key(0), sound(50))['params']


@functools.cache
def apply(module):
  return jax.jit(lambda params, *inputs: module.apply({'params': params}, *inputs))


# -- against transformers


@functools.cache
def layers(variant):
  """Every hidden state of ours [layers + 1, steps, D], and theirs at some steps."""
  config, state, hidden = reference.fixture(variant)
  model, params = importer.convert(state, settings=[config, None], kind=reference.kind(variant))

  @jax.jit
  def run(params, samples):
    return [
      model.clone(layer=layer).apply({'params': params}, samples, method='network')[0]
      for layer in range(model.depth + 1)
    ]

  return np.stack(run(params, reference.sound())), hidden


@pytest.mark.parametrize('variant', reference.VARIANTS)
def test_every_hidden_layer_equals_transformers(variant):
  ours, theirs = layers(variant)
  np.testing.assert_allclose(ours[:, reference.STEPS], theirs, atol=1e-4)


@pytest.mark.parametrize('variant', reference.VARIANTS)
def test_every_hidden_layer_equals_the_installed_transformers(variant):
  pytest.importorskip('torch')
  pytest.importorskip('transformers')
  np.testing.assert_allclose(layers(variant)[0], reference.run(variant)[2], atol=1e-4)


def test_buckets_of_distances_equal_transformers():
  with np.load(reference.FIXTURES / 'wavlm_buckets.npz') as file:
    np.testing.assert_array_equal(wavlm.buckets(file['offsets'], 320, 800), file['buckets'])


# -- layers


def test_a_learned_mix_weighs_all_layers():
  module, params = tiny()
  samples = sound(4)
  every = [apply(module.clone(layer=layer))(params, samples) for layer in range(3)]
  mix = np.float32([0.3, -1.0, 2.0])
  shares = np.exp(mix) / np.exp(mix).sum()
  expected = sum(share * layer for share, layer in zip(shares, every, strict=True))
  mixed = apply(module.clone(layer='mix'))(dict(params, mix=mix), samples)
  np.testing.assert_allclose(mixed, expected, atol=1e-5)
  # and it can be learned
  objective = lambda mix: jnp.square(
    module.clone(layer='mix').apply({'params': dict(params, mix=mix)}, samples)[..., 0]
  ).sum()
  assert np.abs(jax.jit(jax.grad(objective))(mix)).min() > 0


def test_a_mix_not_learned_yet_is_the_mean():
  module, params = tiny()
  encoder = features.Wav2Vec2(module.clone(layer='mix'), params)
  waveform = sound(8)[0]
  every = [
    features.Wav2Vec2(module.clone(layer=layer), params).features(waveform, 16_000)
    for layer in range(3)
  ]
  np.testing.assert_allclose(encoder.features(waveform, 16_000), np.mean(every, 0), atol=1e-5)


@pytest.mark.parametrize('layer', [-1, 3, 'all'])
def test_a_layer_that_is_not_there_is_an_error(layer):
  module, params = tiny()
  with pytest.raises(InputError, match="expected 0 to 2, or 'mix'"):
    features.Wav2Vec2(module.clone(layer=layer), params)


# -- time


def test_steps_move_to_the_recordings_time_line():
  times = (320 * np.arange(49) + 199.5) / 16_000  # what step j is centred on, in seconds
  moved = wav2vec2.to_grid(jnp.asarray(times[None, :, None], jnp.float32), 50, jnp.array([48]))
  expected = np.clip(np.arange(50) / 50, times[0], times[-1])
  np.testing.assert_allclose(moved[0, :, 0], expected, atol=1e-6)


@pytest.mark.parametrize('changes', [{}, dict(conv_norm='layer', pre_norm=True, buckets=32)])
def test_padding_does_not_change_the_sound_before_it(changes):
  module, params = tiny(**changes)
  longer = [np.pad(sound(50), ((0, 0), (0, 320 * n))) for n in (1, 60)]
  ours = [apply(module)(params, x, jnp.array([50]))[:, :50] for x in longer]
  np.testing.assert_allclose(*ours, atol=1e-4)
  np.testing.assert_allclose(ours[0], apply(module)(params, sound(50)), atol=1e-4)


def test_a_click_after_ten_minutes_is_heard_in_its_own_frame():
  # Without statistics over time only what hears the click changes.
  module, params = tiny(layer=0, conv_norm='layer', taps=8, standardised=False)
  encoder = features.Wav2Vec2(module, params)
  seconds = 601
  waveform = np.random.default_rng(0).standard_normal(seconds * 16_000).astype(np.float32)
  quiet = encoder.features(waveform, 16_000)
  clicks = [1.0, 300.5, 600.0]
  for second in clicks:
    waveform[round(second * 16_000)] += 30.0
  change = np.abs(encoder.features(waveform, 16_000) - quiet).sum(-1)
  assert change.shape == (seconds * 50,)
  for second in clicks:
    offset = np.arange(-25, 26)
    weight = change[round(second * 50) + offset]
    centre = (weight * offset).sum() / weight.sum()
    assert abs(centre) < 1.5, f'{second} s is heard {centre / 50:+.3f} s away'
  assert (change > 0).sum() < 20 * len(clicks)


def test_base_and_large_have_the_published_sizes():
  def count(**sizes):
    module = wav2vec2.Wav2Vec2(**sizes)
    shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 16_000)))
    return sum(np.prod(x.shape) for x in jax.tree.leaves(shapes['params']))

  assert count() == 94_370_944  # published 94,371,712 less the 768 of the pre-training mask
  large = dict(layer=24, depth=24, width=1024, heads=16, mlp_width=4096)
  large |= dict(conv_norm='layer', conv_bias=True, pre_norm=True)
  assert count(**large) == 315_437_696  # published 315,438,720 less 1024
