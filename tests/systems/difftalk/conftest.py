"""A run of stage 2 that has taken a few steps, and a sampler with weights that say something."""

import jax
import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.audio import features as encoders
from ifmdm_jax.configs import difftalk
from ifmdm_jax.pipeline import features
from ifmdm_jax.systems.difftalk import networks, vq
from ifmdm_jax.systems.difftalk.sampler import Sampler
from ifmdm_jax.training import loop


@pytest.fixture(scope='session')
def dub_set(tmp_path_factory):
  """Three faces of 130 frames, with log-mel features."""
  folder = testing.write_cache(tmp_path_factory.mktemp('dub') / 'set', people=3, num_frames=130)
  features.write(folder, 'mel', features.encoder('mel'))
  return folder


@pytest.fixture(scope='session')
def run(dub_set, tmp_path_factory):
  """(config, workdir, state) of stage 2 after 24 steps."""
  config = difftalk.get_config('tiny')
  config.data.cache = str(dub_set)
  config.train.update(steps=24, log_every=6)
  workdir = tmp_path_factory.mktemp('runs') / 'stage2'
  return config, workdir, loop.train(config, workdir, devices=jax.devices()[:1])


@pytest.fixture(scope='session')
def sampler():
  """Random weights everywhere: fresh ones would say 0, whatever they read."""
  config = difftalk.get_config('tiny').model
  shapes = jax.eval_shape(lambda key: networks.init(key, config), jax.random.key(0))
  params = testing.random_params(shapes, scale=0.15)
  autoencoder = testing.fresh_params(vq, config)
  entries = np.random.default_rng(0).normal(0, 0.5, (config.vq.entries, 3)).astype(np.float32)
  autoencoder['quantizer'] = {'embedding': entries}  # fresh ones are all about 0
  advice = dict(steps='3', reference='fixed')
  return Sampler(config, params, autoencoder, encoders.load('mel'), advice, block=4)


@pytest.fixture(scope='session')
def filmed():
  """(frames, landmarks, waveform) of ten frames whose landmarks are those of a face."""
  frames, landmarks, waveform = testing.talking_face(10, 64, seed=3)
  rng = np.random.default_rng(0)
  from ifmdm_jax.face.points import IBUG  # only here: what the drawn face lacks

  angle = np.linspace(np.pi, 0, 17)
  jaw = np.stack([0.5 + 0.22 * np.cos(angle), 0.5 + 0.28 * np.sin(angle)], -1)
  landmarks[:, IBUG[:17]] = jaw + rng.normal(0, 0.002, (10, 17, 2))
  landmarks[:, IBUG[30]], landmarks[:, IBUG[33]] = (0.5, 0.52), (0.5, 0.56)
  landmarks[:, IBUG[36]], landmarks[:, IBUG[45]] = (0.4, 0.42), (0.6, 0.42)
  return frames, landmarks, waveform
