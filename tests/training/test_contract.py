import importlib

import pytest

from ifmdm_jax import errors
from ifmdm_jax.training import contract, program
from tests.training import toy, toy_adversary, toy_state

SYSTEMS = [
  'ifmdm_jax.systems.ifmdm.autoencoder.lite.model',
  'ifmdm_jax.systems.ifmdm.motion.model',
  'ifmdm_jax.systems.ifmdm.motion.distill',
  'ifmdm_jax.perception.sync_network',
]


@pytest.mark.parametrize('name', SYSTEMS)
def test_what_is_trained_fulfils_the_contract(name):
  model = importlib.import_module(name)
  assert isinstance(model, contract.Trainable) and not isinstance(model, contract.Adversarial)


def test_an_adversarial_model_is_one():
  model = importlib.import_module('ifmdm_jax.systems.ifmdm.autoencoder.paper')
  assert isinstance(model, contract.Adversarial) and not isinstance(model, contract.Trainable)
  for part in (contract.Frozen, contract.Evaluated, contract.Pictures, contract.Example):
    assert isinstance(model, part)


def test_what_is_only_learned_from_pictures_needs_no_fresh_parameters():
  model = importlib.import_module('ifmdm_jax.systems.ifmdm.autoencoder.lite.person')
  assert isinstance(model, contract.Differentiable) and isinstance(model, contract.Adaptable)
  assert not isinstance(model, contract.Trainable)


def test_toys_are_what_they_say():
  assert isinstance(toy, contract.Pictures) and isinstance(toy, contract.Preview)
  assert isinstance(toy_state, contract.Stateful) and isinstance(toy_state, contract.Adaptable)
  assert isinstance(toy_adversary, contract.Adversarial)
  assert not isinstance(toy, contract.Stateful)


@pytest.mark.parametrize(
  ('section', 'says'),
  [
    ('model', 'has no loss: expected Trainable or Adversarial'),
    ('data', 'has no make_loader: expected Data'),
    ('preview', 'has no videos: expected Preview'),
  ],
)
def test_a_module_that_lacks_something_is_reported_by_name(section, says, monkeypatch):
  class Module:
    init = histograms = staticmethod(lambda *args: None)

  monkeypatch.setattr(program.importlib, 'import_module', lambda name: Module)
  with pytest.raises(errors.InputError, match=f"config.{section}.module 'some.module' {says}"):
    program.module({section: _Named('some.module')}, section)


class _Named:
  def __init__(self, module):
    self.module = module


def test_every_setting_of_training_can_be_a_flag_and_none_can_be_misspelt():
  assert set(program.defaults(batch=4)) == set(program.DEFAULTS)
  assert program.defaults(batch=4)['batch'] == 4
  with pytest.raises(errors.InputError, match='config.train has no epochs'):
    program.defaults(epochs=3)
