"""A tiny sampler with a speech encoder that needs no weights, as fixtures for all tests."""

import contextlib

import jax
import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.configs import autoencoder as autoencoder_configs
from ifmdm_jax.configs import motion as motion_configs
from ifmdm_jax.systems.ifmdm.autoencoder.lite import model as autoencoder
from ifmdm_jax.systems.ifmdm.motion import model as motion
from ifmdm_jax.systems.ifmdm.motion.normalizer import Normalizer
from ifmdm_jax.systems.ifmdm.motion.sample import Solver
from ifmdm_jax.systems.ifmdm.motion_stream import Options
from ifmdm_jax.systems.ifmdm.sampler import Sampler, Stage

RATE, SIDE = 16_000, 64


class Loudness:
  """A speech encoder that needs no weights: the loudness of each 20 ms, twelve times."""

  width = 12

  def features(self, waveform, sample_rate):
    mono = np.asarray(waveform, np.float32).reshape(len(waveform), -1).mean(1)
    frames = round(len(mono) / sample_rate * 25)
    hop = sample_rate // 50
    mono = np.pad(mono, (0, hop))
    level = [np.abs(mono[k * hop : (k + 1) * hop]).mean() for k in range(2 * frames)]
    return np.repeat(np.array(level, np.float32)[:, None], self.width, axis=1)


@pytest.fixture(scope='session')
def sampler():
  first = autoencoder_configs.get_config('tiny').model
  second = motion_configs.get_config('tiny').model
  second.update(prediction='x_0', learn_sigma=False)
  ones = np.ones(20, np.float32)
  statistics = dict(
    code_mean=0 * ones,
    code_std=ones,
    change_std=ones,
    window_std=ones,
    feature_mean=np.zeros(12, np.float32),
    feature_std=np.ones(12, np.float32),
  )
  direction = np.arange(20)
  lips = (direction >= 6) & (direction < 14)

  # Fresh transformers answer zero (adaLN-Zero): give every weight a value.
  shapes = jax.eval_shape(lambda rng: motion.init(rng, second), jax.random.key(0))
  return Sampler(
    Stage(autoencoder, first, testing.fresh_params(autoencoder, first)),
    Stage(motion, second, testing.random_params(shapes, scale=0.1)),
    Normalizer(statistics, direction < 20, ~lips, log_std=True),
    Loudness(),
    size=SIDE,
    options=Options(Solver(3)),
  )


@pytest.fixture(scope='session')
def image():
  return np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)


@pytest.fixture(scope='session')
def voice():
  """voice(seconds, seed): noise, float32."""

  def make(seconds, seed=0, channels=(), rate=RATE):
    size = (round(seconds * rate), *channels)
    return np.random.default_rng(seed).uniform(-0.3, 0.3, size).astype(np.float32)

  return make


@pytest.fixture
def compilations():
  return _compilations


@contextlib.contextmanager
def _compilations():
  """Yields a function that tells how many programs XLA was asked for since."""
  counted = []

  def listen(name, *_, **__):
    if name == '/jax/core/compile/backend_compile_duration':
      counted.append(name)

  jax.monitoring.register_event_duration_secs_listener(listen)
  try:
    yield lambda: len(counted)
  finally:
    jax.monitoring.unregister_event_duration_listener(listen)
