"""What is shown of validation while a run trains: files that play, codes of either stage."""

import importlib

import jax
import numpy as np
import pytest

from ifmdm_jax import preview, testing
from ifmdm_jax.errors import InputError
from ifmdm_jax.pipeline import records
from ifmdm_jax.systems.ifmdm import generate, motion_stream
from ifmdm_jax.training import logs
from ifmdm_jax.video import read
from tests.training.test_stages import adversarial, motion


@pytest.fixture(scope='module')
def cache(tmp_path_factory):
  return testing.write_cache(tmp_path_factory.mktemp('cache'), people=2, num_frames=12, side=16)


def params_of(config):
  module = importlib.import_module(config.model.module)
  return testing.random_params(
    jax.eval_shape(lambda rng: module.init(rng, config.model), jax.random.key(0)), scale=0.1
  )


def test_stage_1_becomes_videos_with_the_voice_of_the_records(cache, tmp_path):
  config = adversarial(cache)
  config.model.size = 16
  config.preview.update(clips=2, seconds=0.4)
  with logs.Logs(tmp_path, start=0, steps=9) as log:
    log.videos(3, preview.videos(params_of(config), config))
  files = list((tmp_path / 'videos' / '0000003').iterdir())
  assert [file.name for file in files] == ['clip1.mp4']  # the one clip of val
  assert len(read.read_frames(files[0])) == 10
  voice, (clip,) = read.audio(files[0]), records.clips(cache, 'val')
  count = round(0.4 * 16_000)
  assert len(voice) >= count
  together = np.corrcoef(voice[:count], clip.waveform[:count])[0, 1]
  assert together > 0.9  # AAC of the record's own voice


def test_codes_of_stage_2_are_shown_beside_the_real_ones(cache):
  config = motion(cache)
  loader = importlib.import_module(config.data.module).make_loader
  batch = next(loader(config.data, batch=2, seed=0, split='val'))
  found = preview.histograms(params_of(config), batch, config)
  frames, numbers = config.model.frames, config.model.motion_dim
  assert found['codes/real'].shape == found['codes/drawn'].shape == (2 * frames, numbers)
  assert np.isfinite(found['codes/drawn']).all() and f'codes/drawn/{numbers - 1:02d}' in found


def test_codes_are_sampled_by_the_steps_that_users_of_the_weights_get(cache, monkeypatch):
  config, solvers = motion(cache), []
  config.model.depth = 3  # compiled for no other test
  loader = importlib.import_module(config.data.module).make_loader
  batch = next(loader(config.data, batch=2, seed=0, split='val'))

  def sample(config, normalizer, params, y, valid, state, controls, *, new, solver):
    solvers.append(solver)
    return batch['x'], state

  monkeypatch.setattr(motion_stream, 'sample_motion', sample)
  preview.histograms({}, batch, config)
  assert solvers == [generate.options_of(config.model, config.sampler).solver]


def test_a_run_of_no_system_has_no_preview_and_says_so(cache):
  config = motion(cache)
  config.model.module = 'a.strangers.module'
  with pytest.raises(InputError, match='a.strangers.module'):
    preview.histograms({}, {}, config)
