"""However many processes read, a step's batch is the same, with everything random in it."""

import numpy as np
import pytest

from ifmdm_jax.configs import autoencoder, motion
from ifmdm_jax.training import program
from ifmdm_jax.training.data import share_out

BATCH = 4  # over all processes


@pytest.fixture(scope='module', params=[autoencoder, motion], ids=['pairs', 'motion'])
def config(request, drawn_set):
  config = request.param.get_config('tiny')
  config.data.cache = str(drawn_set)
  return config


def loaders(config, processes, split='train'):
  make_loader = program.module(config, 'data').make_loader
  return [
    make_loader(
      config.data,
      batch=BATCH // processes,
      seed=5,
      split=split,
      process_index=index,
      process_count=processes,
    )
    for index in range(processes)
  ]


def whole(parts):
  """The next batch of all processes: {name: [BATCH, ...]}."""
  rows = [next(part) for part in parts]
  return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def assert_same(one, other):
  assert one.keys() == other.keys()
  for name, array in one.items():
    np.testing.assert_array_equal(array, other[name], err_msg=name)


@pytest.mark.parametrize('split', ['train', 'val'])
def test_one_two_and_four_processes_read_the_same_batches(config, split):
  one, two, four = (loaders(config, processes, split) for processes in (1, 2, 4))
  batches = [whole(one) for _ in range(3)]
  for batch in batches:
    assert_same(batch, whole(two))
    assert_same(batch, whole(four))
  moving = 'x' if 'x' in batches[0] else 'source'
  assert (batches[0][moving] != batches[-1][moving]).any()


def test_a_run_goes_on_with_another_number_of_processes_at_the_same_rows(config):
  before, after = loaders(config, 2), loaders(config, 4)
  for _ in range(3):
    whole(before)
  positions = share_out([part.get_state() for part in before], 4)
  for part, position in zip(after, positions, strict=True):
    part.set_state(position)
  assert_same(whole(before), whole(after))
