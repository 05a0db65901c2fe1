"""The networks of DiffTalk: their published sizes, and what is promised of each condition."""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from ifmdm_jax.errors import InputError
from ifmdm_jax.systems.difftalk import networks, vq
from ifmdm_jax.systems.difftalk.sizes import SIZES
from tests.nn.reference import drawn

RNG = np.random.default_rng(0)
PUBLISHED = {  # as the build in experiments/difftalk_goldens counts them
  'vq': 55_322_782,
  'unet': 530_152_963,
  'audio': 32_800,
  'attention': 2_149,
  'landmarks': 22_528,
}


def config(size='tiny', **changes):
  return ml_collections.ConfigDict(dict(SIZES[size], **changes))


def counts(size):
  """Counts parameters by part; nothing is allocated."""
  given, key = config(size), jax.random.key(0)
  parts = jax.eval_shape(lambda key: networks.init(key, given), key)
  parts = dict(parts, vq=jax.eval_shape(lambda key: vq.init(key, given), key))
  return {name: sum(leaf.size for leaf in jax.tree.leaves(part)) for name, part in parts.items()}


def normal(*shape):
  return jnp.asarray(RNG.normal(size=shape), jnp.float32)


def test_the_published_layout_has_the_published_number_of_parameters():
  assert counts('paper') == PUBLISHED


def test_512_pixels_cost_the_autoencoder_one_level_and_the_denoiser_nothing():
  paper, large = counts('paper'), counts('paper512')
  assert {**paper, 'vq': 0} == {**large, 'vq': 0} and large['vq'] > paper['vq']


@pytest.mark.parametrize('size', SIZES)
def test_latents_are_as_many_pixels_wide_as_the_size_says(size):
  given = config(size)
  module, key = vq.network(given), jax.random.key(0)
  pictures = jax.ShapeDtypeStruct((1, given.image, given.image, 3), jnp.float32)
  z, _ = jax.eval_shape(lambda *a: module.init_with_output(*a, method='encode'), key, pictures)
  assert z.shape == (1, given.latent, given.latent, given.vq.channels)
  assert given.image == module.factor * given.latent


def test_lite_is_at_most_12_megabytes_in_half_precision():
  assert 2 * sum(counts('lite').values()) <= 12e6


@pytest.fixture(scope='module')
def autoencoder():
  given = config()
  module = vq.network(given)
  variables = drawn(module, jnp.zeros((1, 16, 16, 3)))
  codebook = normal(given.vq.entries, given.vq.channels)
  variables['params']['quantizer']['embedding'] = codebook
  run = lambda method: jax.jit(lambda *args: module.apply(variables, *args, method=method))
  return run, codebook


def test_latents_are_not_quantised_until_they_are_decoded(autoencoder):
  run, codebook = autoencoder
  z = run('encode')(normal(2, 16, 16, 3))
  assert z.shape == (2, 4, 4, 3)
  distances = ((np.asarray(z)[..., None, :] - np.asarray(codebook)) ** 2).sum(-1)
  assert distances.min(-1).min() > 1e-6  # between the entries
  chosen = codebook[distances.argmin(-1)]
  same = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
  same(run('quantize')(z).z, chosen)
  same(run('decode')(z), run('decode')(chosen))
  assert np.abs(run('decode')(z) - run('decode')(chosen + 2)).max() > 1e-2


def test_training_sees_what_encoding_and_decoding_give(autoencoder):
  run, _ = autoencoder
  pictures = normal(1, 16, 16, 3)
  drawn_again, quantized = run('__call__')(pictures)
  z = run('encode')(pictures)
  np.testing.assert_allclose(drawn_again, run('decode')(z), rtol=1e-3, atol=1e-4)
  np.testing.assert_array_equal(quantized.index, run('quantize')(z).index)
  assert quantized.loss > 0


def conditions(batch=2, width=160):
  return normal(batch, 8, 16, width), normal(batch, 39, 2)


@pytest.fixture(scope='module', params=networks.CONTEXTS)
def denoiser(request):
  small = dict(width=8, multipliers=(1, 2), blocks=1, attention=(2,), head_width=8)
  module = networks.network(config(context=request.param, unet=small))
  z = [normal(2, 8, 8, 3) for _ in range(3)]
  args = (z[0], jnp.array([3, 700]), *z[1:], *conditions())
  return request.param, jax.jit(module.apply), drawn(module, *args), args, module


def test_every_condition_of_the_denoiser_counts(denoiser):
  _, apply, variables, args, _ = denoiser
  out = apply(variables, *args)
  assert out.shape == args[0].shape
  for i, arg in enumerate(args):
    changed = [*args[:i], arg + 1, *args[i + 1 :]]
    assert np.abs(apply(variables, *changed) - out).max() > 1e-5, i


def test_the_context_may_be_made_once_for_all_steps(denoiser):
  kind, apply, variables, args, module = denoiser
  run = lambda method: jax.jit(lambda *args: module.apply(variables, *args, method=method))
  context = run('context')(*args[4:])
  assert context.shape == (2, {'single': 1, 'tokens': 8 + 13}[kind], 32)
  out = run('denoise')(*args[:4], context)
  np.testing.assert_allclose(out, apply(variables, *args), rtol=1e-4, atol=1e-4)


def test_latents_are_concatenated_as_published_noise_mask_reference(denoiser):
  _, apply, variables, args, _ = denoiser
  blind = jax.tree.map(jnp.copy, variables)
  kernel = blind['params']['unet']['down']['conv_in']['kernel']
  for i, position in enumerate((0, 2, 3)):
    part = slice(3 * i, 3 * i + 3)
    blind['params']['unet']['down']['conv_in']['kernel'] = kernel.at[:, :, part].set(0)
    changed = list(args)
    changed[position] = args[position] + 1
    np.testing.assert_array_equal(apply(blind, *changed), apply(blind, *args))


def test_only_the_first_half_of_the_channels_says_how_frames_are_weighed():
  module, x = networks.AudioAttention(), normal(2, 8, 64)
  variables = drawn(module, x)
  out = module.apply(variables, x)
  shifted = x.at[..., 32:].multiply(3.0)
  np.testing.assert_allclose(module.apply(variables, shifted)[:, :32], out[:, :32], rtol=1e-5)
  # A weighted mean: of equal frames it is the frame.
  same = jnp.broadcast_to(x[:, :1], x.shape)
  np.testing.assert_allclose(module.apply(variables, same), x[:, 0], rtol=1e-4, atol=1e-5)


def test_landmarks_in_the_units_of_published_weights_are_pixels_of_256():
  x = normal(2, 39, 2)
  pixels = networks.LandmarkNet(units='pixels')
  variables = drawn(pixels, x)
  out = networks.LandmarkNet().apply(variables, x * 128 + 128)
  np.testing.assert_allclose(pixels.apply(variables, x), out, rtol=1e-4, atol=1e-3)


def test_a_window_of_another_length_is_refused():
  with pytest.raises(InputError, match='expected 16'):
    networks.AudioNet().init(jax.random.key(0), normal(1, 8, 40, 29))


@pytest.mark.parametrize(
  'changes, match',
  [
    (dict(context='none'), 'context'),
    (dict(landmarks=dict(SIZES['tiny']['landmarks'], units='mm')), 'units'),
    (dict(landmarks=dict(SIZES['tiny']['landmarks'], tokens=5)), 'tokens'),
  ],
)
def test_settings_that_are_not_offered_are_one_line(changes, match):
  with pytest.raises(InputError, match=match):
    networks.network(config(**changes))
