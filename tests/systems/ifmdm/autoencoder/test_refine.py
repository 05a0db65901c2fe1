import jax
import numpy as np

from ifmdm_jax import testing
from ifmdm_jax.importers import engine
from ifmdm_jax.importers.autoencoder import RULES
from ifmdm_jax.systems.ifmdm.autoencoder.refine import RefineBlock, in_tiles


def test_refine_block_agrees_with_the_original():
  given, weights, expected = testing.golden_unit('refine_small')
  block = RefineBlock(8)
  target = {'refine_block': jax.eval_shape(block.init, jax.random.key(0), given['x'])['params']}
  weights = {f'dec.refine_block.{key}': value for key, value in weights.items()}
  params = engine.convert(weights, RULES, [], target)['refine_block']
  np.testing.assert_allclose(block.apply({'params': params}, given['x']), expected['y'], atol=1e-5)


def test_tiles_agree_with_the_whole_picture():
  image = jax.random.normal(jax.random.key(0), (2, 24, 20, 3))
  block = RefineBlock(6)
  # Biases are not zero: only then would padding with zeros outside the picture show.
  variables = testing.random_params(jax.eval_shape(block.init, jax.random.key(1), image), scale=0.3)
  refine = lambda x: block.apply(variables, x)
  tiles = (5, 8, 16, 40)
  whole, *tiled = jax.jit(lambda x: [refine(x), *(in_tiles(refine, x, t) for t in tiles)])(image)
  for result in tiled:
    np.testing.assert_allclose(result, whole, atol=1e-5)
