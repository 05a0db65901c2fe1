"""The public face: four lines, lazily."""

import pathlib
import subprocess
import sys
import types

import numpy as np
import pytest
import soundfile

import ifmdm_jax as ifm
from ifmdm_jax.errors import InputError

FIXTURES = pathlib.Path(__file__).parents[1] / 'data' / 'fixtures'


def test_the_public_face_is_small():
  from ifmdm_jax.systems.ifmdm.sampler import Sampler

  assert isinstance(ifm.video, types.ModuleType) and callable(ifm.load) and ifm.Sampler is Sampler
  assert ifm.__all__ == ['load', 'read_portrait', 'read_voice', 'Sampler', 'video']
  with pytest.raises(AttributeError, match='no attribute'):
    _ = ifm.reed_voice


def test_importing_the_package_imports_nothing_heavy():
  program = 'import sys, ifmdm_jax; print([m for m in ("jax", "cv2", "av", "torch", "gradio", '
  program += '"tensorflow", "flax", "scipy") if m in sys.modules])'
  said = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=True)
  assert said.stdout == '[]\n'


def test_loading_weights_imports_nothing_that_only_training_needs():
  """What a session holds, and how long a command takes to begin, is what sampling needs."""
  program = 'import sys, ifmdm_jax; ifmdm_jax.load(); print([m for m in ("orbax", "tensorstore", '
  program += '"scipy.signal", "scipy.stats", "librosa", "grain") if m in sys.modules])'
  said = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=True)
  assert said.stdout == '[]\n'


def test_a_video_in_four_lines(tmp_path, sampler, monkeypatch):
  monkeypatch.setattr(ifm, 'load', lambda: sampler, raising=False)
  image = ifm.read_portrait(FIXTURES / 'portrait.jpg')
  voice, rate = ifm.read_voice(FIXTURES / 'speech.wav')
  frames = ifm.load()(image, voice[: rate // 2], rate)
  ifm.video.write(tmp_path / 'talk.mp4', frames, voice[: rate // 2], rate)
  assert image.shape == (512, 512, 3) and len(frames) == round(25 * (rate // 2) / rate)
  assert (tmp_path / 'talk.mp4').stat().st_size > 1000


def test_files_may_be_given_in_place_of_arrays(tmp_path, sampler):
  image = ifm.read_portrait(FIXTURES / 'portrait.jpg')
  voice, rate = ifm.read_voice(FIXTURES / 'speech.wav')
  soundfile.write(tmp_path / 'short.wav', voice[: rate // 4], rate, subtype='FLOAT')
  frames = sampler(str(FIXTURES / 'portrait.jpg'), tmp_path / 'short.wav')
  np.testing.assert_array_equal(frames, sampler(image, voice[: rate // 4], rate))
  with pytest.raises(InputError, match='is not a file'):
    sampler(tmp_path / 'none.jpg', tmp_path / 'short.wav')
