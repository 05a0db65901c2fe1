"""Both stage-1 tables, on the names and shapes of the published checkpoints."""

import json

import flax.traverse_util
import jax
import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.errors import InputError
from ifmdm_jax.importers import autoencoder, discriminator, engine


def zeros(name):
  """Shapes are all that matters here: views of one zero."""
  spec = json.loads((testing.goldens() / 'keys' / f'{name}.json').read_text())
  return {key: np.broadcast_to(np.float32(0), shape) for key, shape in spec['shapes'].items()}


def count(params, part=''):
  flat = flax.traverse_util.flatten_dict(params, sep='/')
  return sum(value.size for path, value in flat.items() if path.startswith(part))


@pytest.mark.parametrize('size', [64, 256])
def test_every_entry_of_a_generator_is_known(size):
  model, params = autoencoder.convert(zeros(f'gen_S{size}'))
  assert (model.size, model.motion_dim, model.refine) == (size, 20, True)
  assert count(params, 'refine_block') == 4_747_779
  # The published counts hold the dead bias of the motion head: 20 numbers.
  encoder = {64: 22_102_804, 256: 22_696_532}[size] - 20
  assert count(params, 'appearance_net') + count(params, 'motion_head') == encoder


def test_every_entry_of_a_discriminator_is_known():
  model, params = discriminator.convert(zeros('dis_S64'))
  assert model.size == 64
  assert params['fc_0']['kernel'].shape == (8192, 512)


def test_checkpoint_from_before_the_refine_block():
  early = {key: value for key, value in zeros('gen_S64').items() if 'refine' not in key}
  model, params = autoencoder.convert(early)
  assert not model.refine and 'refine_block' not in params
  with pytest.raises(InputError, match='8 missing, 0 extra, 0 misshapen'):
    autoencoder.convert(early, model.clone(refine=True))


def test_level_that_is_not_the_last_keeps_its_generated_features():
  state = zeros('gen_S64')
  _, params = autoencoder.convert(state)
  assert 'conv_gen' in params['synthesis']['to_flows_2']
  assert 'conv_gen' not in params['synthesis']['to_flows_3']
  del state['dec.to_flows.2.conv_gen.weight']
  with pytest.raises(InputError, match='missing: synthesis/to_flows_2/conv_gen/kernel'):
    autoencoder.convert(state)


def test_every_ignored_pattern_has_its_reason_and_its_entry():
  state = zeros('gen_S64')
  model = autoencoder.model_of(state)
  for pattern, reason in autoencoder.ignored(model):
    assert reason
    assert any(engine.matches(pattern, key) for key in state), pattern


def test_wrong_part_of_a_checkpoint_is_named():
  with pytest.raises(InputError, match='`gen` entry'):
    autoencoder.convert(zeros('dis_S64'))
  with pytest.raises(InputError, match='`dis` entry'):
    discriminator.convert(zeros('gen_S64'))


def test_wrapper_prefix_is_stripped():
  wrapped = {f'module.{key}': value for key, value in zeros('gen_S64').items()}
  model, params = autoencoder.convert(wrapped)
  assert model.size == 64 and all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(params))
