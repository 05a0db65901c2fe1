"""The few-shot networks: their published sizes, and what is promised of each."""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from ifmdm_jax.errors import InputError
from ifmdm_jax.systems.fewshot import networks
from ifmdm_jax.systems.fewshot.sizes import SIZES
from tests.systems.fewshot.test_goldens import FIXTURE, goldens

COUNTS = goldens.read(FIXTURE)[2]  # of the build in PyTorch, at the published size
PUBLISHED = dict(embedder=14.8, generator=31.2, projector=6.7, discriminator=19.5)  # millions
RNG = np.random.default_rng(0)


def config(size='tiny', **changes):
  return ml_collections.ConfigDict({**SIZES[size], 'videos': 3, **changes})


def counts(given):
  """Counts parameters by network; nothing is allocated."""
  params, _ = jax.eval_shape(lambda key: networks.init(key, given), jax.random.key(0))
  return {k: sum(leaf.size for leaf in jax.tree.leaves(tree)) for k, tree in params.items()}


@pytest.mark.parametrize('kind, attention', [('paper', (32, 64)), ('paper_plain', (0, 0))])
def test_the_published_size_has_as_many_parameters_as_the_independent_build(kind, attention):
  found = counts(config('paper', attention=attention, videos=145_000))
  assert found.pop('table') == 145_000 * 512
  assert found == {name: COUNTS[f'{kind}/{name}'] for name in PUBLISHED}
  if kind == 'paper_plain':  # what the first-party layout counts
    assert {name: round(number / 1e6, 1) for name, number in found.items()} == PUBLISHED


def test_the_published_style_vector_has_13056_numbers():
  assert networks.build(config('paper')).generator.style == 13_056


def test_lite_is_at_most_10_megabytes_in_half_precision():
  found = counts(config('lite'))
  states = jax.eval_shape(lambda key: networks.init(key, config('lite')), jax.random.key(0))[1]
  numbers = sum(found.values()) - found['table'] + sum(x.size for x in jax.tree.leaves(states))
  assert 2 * numbers <= 10e6


@pytest.mark.parametrize('size', SIZES)
def test_frames_are_as_large_as_the_size_says(size):
  given = config(size)
  of, key, shape = networks.build(given), jax.random.key(0), jax.ShapeDtypeStruct
  drawing = shape((2, given.image, given.image, 3), jnp.float32)
  style = shape((2, of.generator.style), jnp.float32)
  frame, _ = jax.eval_shape(of.generator.init_with_output, key, drawing, style)
  assert frame.shape == (2, given.image, given.image, 3)


@pytest.fixture(scope='module')
def tiny():
  given = config(attention=(16, 16))
  of = networks.build(given)
  params, states = jax.jit(lambda key: networks.init(key, given))(jax.random.key(0))
  return of, params, states


def normal(*shape):
  return jnp.asarray(RNG.normal(size=shape), jnp.float32)


def test_attention_begins_as_the_identity(tiny):
  of, params, states = tiny
  x = normal(2, 64, 64, 6)
  plain = networks.Embedder(of.embedder.widths)
  without = {'down': {k: v for k, v in params['embedder']['down'].items() if k != 'attention'}}
  expected, _ = networks.run(plain, without, states['embedder'], x)
  found, _ = networks.run(of.embedder, params['embedder'], states['embedder'], x)
  np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_embedding_of_a_frame_does_not_depend_on_its_batch(tiny):
  """Users trained worse with batches than without: their embedder mixed the rows."""
  of, params, states = tiny
  x, train = normal(4, 64, 64, 6), [True, False]
  for mode in train:
    run = jax.jit(lambda x, m=mode: networks.run(
      of.embedder, params['embedder'], states['embedder'], x, train=m)[0])  # fmt: skip
    other = jnp.concatenate([x[:1], normal(3, 64, 64, 6)])
    np.testing.assert_allclose(run(x)[0], run(x[:1])[0], rtol=1e-5)
    np.testing.assert_allclose(run(x)[0], run(other)[0], rtol=1e-5)


def test_scores_have_no_bounds_and_are_linear_in_the_row_of_the_video(tiny):
  of, params, states = tiny
  x, rows = 3 * normal(2, 64, 64, 6), normal(2, 64)
  run = lambda rows: networks.run(
    of.discriminator, params['discriminator'], states['discriminator'], x, rows
  )[0][0]
  plain, one, many = run(None), run(rows), run(100 * rows)
  np.testing.assert_allclose(many - plain, 100 * (one - plain), rtol=1e-3)
  assert np.abs(many).max() > 10


@pytest.mark.parametrize(
  'changes, message',
  [
    (dict(image=60), 'bring 60 pixels to 3'),
    (dict(down=(16, 32, 64)), 'expected 4'),
    (dict(decode=(64, 32)), 'as many down as up'),
    (dict(attention=(17, 16)), r'attention is \(17, 16\)'),
    (dict(attention=(16,)), 'attention is'),
    (dict(attention=(16, 8)), 'way up'),
  ],
)
def test_sizes_that_do_not_fit_are_reported(changes, message):
  with pytest.raises(InputError, match=message):
    networks.build(config(**changes))
