"""Random samplers have the sizes that are trained."""

import importlib

import pytest

from ifmdm_jax import bench
from ifmdm_jax.evaluation import generators
from ifmdm_jax.generator import Probed
from ifmdm_jax.streaming.slots import Streamable
from ifmdm_jax.systems.ifmdm import fresh


def test_a_fresh_sampler_is_a_generator_that_can_be_measured_in_parts_and_in_slots():
  sampler = generators.check(bench.maker('ifmdm:tiny')())
  assert sampler.size == 64 and isinstance(sampler, Probed) and isinstance(sampler, Streamable)


@pytest.mark.parametrize('size', ['tiny', 'lite', 'paper'])
@pytest.mark.parametrize('stage', ['autoencoder', 'motion'])
def test_sizes_are_those_of_the_configs(stage, size):
  trained = importlib.import_module(f'ifmdm_jax.configs.{stage}').get_config(size).model.to_dict()
  settings = {'autoencoder': fresh.AUTOENCODERS, 'motion': fresh.MOTIONS}[stage][size]
  ours = {'kind', 'steps', 'guidance', 'audio', 'audio_width', 'refine'}  # to be timed as one likes
  expected = {name: trained[name] for name in settings if name not in ours}
  assert {name: value for name, value in settings.items() if name not in ours} == expected
