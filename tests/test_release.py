"""What `ifmdm_jax.load` finds in a release."""

import pytest

import ifmdm_jax as ifm
from ifmdm_jax.errors import InputError


def test_the_bundled_weights_sample_with_the_student_unless_told_otherwise():
  quick = ifm.load()
  assert quick.defaults == dict(steps=4, guidance=1.0, stepper='ddim')
  assert quick.checked(steps=2)['steps'] == 'trailing2'
  for asked in (dict(steps=10), dict(guidance=2.0)):
    with pytest.raises(InputError, match=r'expected 1, 2, 4 steps and guidance 1 .* --guided'):
      quick.checked(**asked)
  guided = ifm.load(guided=True)
  assert guided.defaults['guidance'] > 1
  assert guided.checked(steps=25, guidance=2.0)['guidance'] == 2.0
