import jax
import jax.numpy as jnp
import pytest

from ifmdm_jax import errors
from ifmdm_jax.training import sharding

RULES = [('mlp/.*kernel', (None, 'model')), ('.*', ())]


def test_the_rest_of_the_devices_go_where_the_mesh_says_minus_one():
  assert dict(sharding.make_mesh({'data': -1, 'model': 2}).shape) == {'data': 2, 'model': 2}
  with pytest.raises(errors.InputError, match='does not fit 4 devices'):
    sharding.make_mesh({'data': 3})


def test_moments_lie_beside_their_parameter():
  mesh = sharding.make_mesh({'data': 2, 'model': 2})
  kernel = jax.ShapeDtypeStruct((3, 4), jnp.float32)
  count = jax.ShapeDtypeStruct((), jnp.int32)
  tree = {
    'params': {'mlp': {'kernel': kernel}, 'out': {'kernel': kernel}},
    'opt_state': [{'mu': {'mlp': {'kernel': kernel}}, 'mlp_kernel_count': count}],
  }
  placed = sharding.tree_shardings(mesh, RULES, tree)
  assert placed['params']['mlp']['kernel'].spec == jax.P(None, 'model')
  assert placed['opt_state'][0]['mu']['mlp']['kernel'].spec == jax.P(None, 'model')
  assert placed['params']['out']['kernel'].spec == jax.P()
  assert placed['opt_state'][0]['mlp_kernel_count'].spec == jax.P()


def test_a_size_that_does_not_divide_is_reported():
  mesh = sharding.make_mesh({'data': 2, 'model': 2})
  shapes = {'mlp': {'kernel': jax.ShapeDtypeStruct((4, 3), jnp.float32)}}
  with pytest.raises(errors.InputError, match=r'mlp/kernel.*3 is not a multiple of 2'):
    sharding.tree_shardings(mesh, RULES, shapes)
  with pytest.raises(errors.InputError, match="names axis 'fsdp'"):
    sharding.tree_shardings(mesh, [('mlp', ('fsdp',))], shapes)


def test_a_batch_is_split_over_the_data_axis():
  mesh = sharding.make_mesh({'data': 2, 'model': 2})
  batch = sharding.put_batch(sharding.batch_sharding(mesh), {'x': jnp.arange(8).reshape(4, 2)})
  assert {shard.data.shape for shard in batch['x'].addressable_shards} == {(2, 2)}
  with pytest.raises(errors.InputError, match='multiple of the 2 devices'):
    sharding.check_batch(mesh, 5)
