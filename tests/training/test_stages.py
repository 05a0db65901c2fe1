"""Both stages through the whole loop: stopped and gone on is bit for bit the same, GAN included."""

import importlib

import jax
import pytest

from ifmdm_jax import testing
from ifmdm_jax.training import loop
from tests.training.test_loop import assert_same_bits, figures


def config_of(name, size, cache):
  config = importlib.import_module(f'ifmdm_jax.configs.{name}').get_config(size)
  config.data.cache = str(cache)
  config.train.update(steps=3, batch=4, ema=0.9, log_every=1, eval_every=0, pictures_every=0)
  return config


def adversarial(cache):
  config = config_of('autoencoder', 'paper', cache)
  config.model.update(size=8, motion_dim=3, style_dim=8, max_width=4, refine_width=4)
  config.model.perceptual = ''
  config.train.pieces = 1
  return config


def motion(cache):
  config = config_of('motion', 'tiny', cache)
  config.train.pieces = 1
  return config


@pytest.fixture(scope='module')
def cache(tmp_path_factory):
  return testing.write_cache(tmp_path_factory.mktemp('cache'), people=2, num_frames=20, side=16)


@pytest.mark.parametrize('stage', [adversarial, motion])
def test_a_stopped_stage_goes_on_bit_for_bit(stage, cache, tmp_path):
  config, one = stage(cache), jax.devices()[:1]  # one device compiles in a third of the time
  whole = loop.train(config, tmp_path / 'whole', devices=one)
  loop.train(config, tmp_path / 'pieces', max_minutes=0, devices=one)  # one step
  pieces = loop.train(config, tmp_path / 'pieces', devices=one)
  assert int(pieces.step) == 3
  assert_same_bits(whole, pieces)
  names = {name for _, name in figures(tmp_path / 'whole')}
  weighted = 'train/weighted/gan' if stage is adversarial else 'train/weighted/velocity'
  assert weighted in names
