"""A config smaller than `tiny`, a set of drawn faces, and a run that has taken a few steps."""

import jax
import pytest

from ifmdm_jax import testing
from ifmdm_jax.configs import fewshot
from ifmdm_jax.training import loop

SIZE = dict(
  image=16, down=(8, 16), encode=(8, 16), bottleneck=1, decode=(16, 8), attention=(8, 8), videos=3
)  # fmt: skip


def small(**changes):
  """The config of `tiny` with fewer and narrower blocks: most of a test is compiling."""
  config = fewshot.get_config('tiny')
  config.model.update(**SIZE)
  config.data.size = SIZE['image']
  config.model.update(**changes)
  return config


@pytest.fixture(scope='session')
def faces_set(tmp_path_factory):
  """Four drawn people, one of them held out."""
  return testing.write_cache(tmp_path_factory.mktemp('few') / 'set', people=4, num_frames=40)


@pytest.fixture(scope='session')
def run(faces_set, tmp_path_factory):
  """(config, workdir, state) after 12 steps."""
  config = small()
  config.data.cache = str(faces_set)
  config.train.update(steps=12, log_every=4, eval_every=12, eval_batches=1, pictures_every=12)
  workdir = tmp_path_factory.mktemp('runs') / 'fewshot'
  return config, workdir, loop.train(config, workdir, devices=jax.devices()[:1])
