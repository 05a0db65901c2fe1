"""The parts of the sampler that the benchmark times."""

import numpy as np
import pytest

from ifmdm_jax import bench, generator
from ifmdm_jax.benchmark import parts
from ifmdm_jax.systems.difftalk.sizes import SIZES


def test_every_part_of_a_frame_is_timed_and_gives_what_it_is_named_after(sampler):
  assert isinstance(sampler, generator.Probed)
  probes = {parts.label(probe): probe for probe in sampler.probes((1, 2))}
  rest = [f'{name} x{batch}' for batch in (1, 2) for name in ('encoder', 'denoiser', 'decoder')]
  assert list(probes) == ['speech', *rest]
  shapes = {'encoder': (16, 16, 3), 'denoiser': (16, 16, 3), 'decoder': (64, 64, 3)}
  for name, shape in shapes.items():
    for batch in (1, 2):
      made = np.asarray(probes[f'{name} x{batch}'].run())
      assert made.shape == (batch, *shape) and np.isfinite(made).all()


@pytest.mark.parametrize('size', ['tiny', 'lite'])
def test_a_size_can_be_timed_without_trained_weights(size):
  made = bench.maker(f'difftalk:{size}')()
  assert made.size == SIZES[size].get('shot', SIZES[size]['image']) and isinstance(
    made, generator.Dubs
  )
