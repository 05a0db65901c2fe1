"""The exported file says what the package says, to a process that has none of the package."""

import json
import pathlib
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from ifmdm_jax import export, testing
from ifmdm_jax.audio import features
from ifmdm_jax.configs import autoencoder as autoencoder_configs
from ifmdm_jax.configs import motion as motion_configs
from ifmdm_jax.errors import InputError
from ifmdm_jax.face.crop import cut
from ifmdm_jax.read import find_square
from ifmdm_jax.streaming.windows import Plan
from ifmdm_jax.systems.ifmdm.autoencoder.lite import model as autoencoder
from ifmdm_jax.systems.ifmdm.motion import model as motion
from ifmdm_jax.systems.ifmdm.motion.sample import Solver
from ifmdm_jax.systems.ifmdm.motion_stream import Options
from ifmdm_jax.systems.ifmdm.sampler import Sampler, Stage
from ifmdm_jax.video.image import read_image

PORTRAIT = pathlib.Path(__file__).parents[1] / 'data' / 'fixtures' / 'portrait.jpg'
SIDE, PLAN = 64, Plan(new=4, future=1, known=2, past=12)
SERVER = """
import sys, json, zipfile
sys.modules.update(ifmdm_jax=None, flax=None)  # importing them would fail
import jax, numpy as np
from safetensors.numpy import load
file = zipfile.ZipFile(sys.argv[1])
weights = load(file.read('weights.safetensors'))
read = lambda name: jax.export.deserialize(file.read(name + '.stablehlo')).call
call = {name: read(name) for name in ('portrait', 'move', 'draw')}
given = np.load(sys.argv[2])
code, portrait = call['portrait'](weights, given['image'])
rest = np.asarray(code)[:, None]
codes, _ = call['move'](weights, given['sound'], np.int32(given['frames']), np.int32(0),
  np.repeat(rest, 3, axis=1), np.uint32([0]), np.uint32([5]), rest, given['std'])
np.savez(sys.argv[3], codes=codes, frames=call['draw'](weights, portrait, codes[0]))
"""


@pytest.fixture(scope='module')
def sampler():
  import jax

  first = autoencoder_configs.get_config('tiny').model
  second = motion_configs.get_config('tiny').model
  second.update(prediction='x_0', learn_sigma=False, audio='whisper_tiny', audio_width=384)
  shapes = jax.eval_shape(lambda rng: motion.init(rng, second), jax.random.key(0))
  return Sampler(
    Stage(autoencoder, first, testing.fresh_params(autoencoder, first)),
    Stage(motion, second, testing.random_params(shapes, scale=0.1)),
    motion.frozen(second),
    features.load('whisper_tiny'),
    size=SIDE,
    options=Options(Solver(2)),
  )


@pytest.fixture(scope='module')
def exported(sampler, tmp_path_factory):
  path = tmp_path_factory.mktemp('export') / 'talking.zip'
  export.write(path, sampler, PLAN)
  return path


def test_a_process_without_the_package_draws_the_same(sampler, exported, tmp_path):
  rng = np.random.default_rng(0)
  # A face: in noise the mesh wanders off, and roundings grow from look to look.
  picture = read_image(PORTRAIT)
  image = cut(picture, find_square(picture), SIDE)
  voice = rng.uniform(-0.3, 0.3, 5 * 640).astype(np.float32)  # one window
  sound = np.pad(voice, (0, 12 * 640))
  std = np.asarray(sampler.stages[2].statistics['window_std'])[None, None]
  np.savez(tmp_path / 'given.npz', image=image, sound=sound, frames=5, std=std)
  (tmp_path / 'server.py').write_text(SERVER)
  words = ['server.py', str(exported), 'given.npz', 'made.npz']
  subprocess.run([sys.executable, *words], cwd=tmp_path, check=True, timeout=600)

  made = np.load(tmp_path / 'made.npz')
  ours = sampler.codes(image, voice, seed=5, plan=PLAN)
  # Programs are compiled apart, so sums are rounded in another order; a code takes what landmarks
  # differ by ten thousand times. They are the same if they move landmarks to the same places.
  apart = autoencoder.moves(sampler.stages[0].params, made['codes'][0] - ours[:4, :20])
  assert np.abs(apart).max() < 2e-6  # of the side: a thousandth of a pixel of 512
  options = dict(blinks_per_minute=0, gaze='camera')  # exported programs leave eyes alone
  frames = sampler(image, voice, seed=5, plan=PLAN, **options)[:4]
  assert np.abs(made['frames'].astype(int) - frames).max() <= 1


def test_the_file_is_for_every_platform(exported):
  from jax import export as jax_export

  with zipfile.ZipFile(exported) as file:
    platforms = jax_export.deserialize(file.read('draw.stablehlo')).platforms
    assert json.loads(file.read('meta.json'))['platforms'] == list(platforms)
  assert set(platforms) == {'cpu', 'cuda', 'tpu'}


def test_a_speech_encoder_that_is_not_exported_is_named(sampler, tmp_path):
  sampler.stages[1].config.audio = 'mel'
  try:
    with pytest.raises(InputError, match='mel'):
      export.write(tmp_path / 'talking.zip', sampler, PLAN)
  finally:
    sampler.stages[1].config.audio = 'whisper_tiny'
  assert not list(tmp_path.iterdir())
