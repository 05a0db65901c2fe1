"""A fifth system is a folder, a bundle and a generator: no other file has to know of it."""

import importlib
import json
import pathlib
import shutil
import sys

import numpy as np
import pytest

import ifmdm_jax as ifm
from ifmdm_jax import bench, bundle, evaluate, generator, talk, testing, video
from ifmdm_jax.benchmark import ends, parts
from ifmdm_jax.clip import Clip
from ifmdm_jax.evaluation import generators, images, run, scoring, suite
from ifmdm_jax.evaluation.types import Reference
from ifmdm_jax.video import read

SOURCE = pathlib.Path(__file__).parent / 'fifth_system.py'
FIXTURES = SOURCE.parents[1] / 'data' / 'fixtures'
ROOF = dict(float32_tflops=1e3, bfloat16_tflops=1e3, copy_gb_per_s=1e3)


@pytest.fixture(scope='module')
def installed(tmp_path_factory):
  """The system as a package that pip has installed, by its entry point."""
  site = tmp_path_factory.mktemp('site')
  (site / 'fifth').mkdir()
  shutil.copy(SOURCE, site / 'fifth' / 'generate.py')
  (site / 'fifth-1.0.dist-info').mkdir()
  (site / 'fifth-1.0.dist-info' / 'METADATA').write_text('Name: fifth\nVersion: 1.0\n')
  (site / 'fifth-1.0.dist-info' / 'entry_points.txt').write_text(
    f'[{generator.ENTRY_POINTS}]\nfifth = fifth.generate:SYSTEM\n'
  )
  sys.path.insert(0, str(site))
  importlib.invalidate_caches()
  yield importlib.import_module('fifth.generate')
  sys.path.remove(str(site))
  for name in ('fifth.generate', 'fifth'):
    sys.modules.pop(name, None)


@pytest.fixture(scope='module')
def weights(installed, tmp_path_factory):
  folder = tmp_path_factory.mktemp('weights') / 'toy'
  bundle.save(folder, installed.pack(2.0))
  return folder


def shouting(seconds=1.0, rate=16_000):
  """A picture, and a voice that grows louder."""
  rng = np.random.default_rng(0)
  picture = rng.integers(100, 255, (128, 128, 3), dtype=np.uint8)
  sound = np.linspace(0, 0.5, round(seconds * rate)) * rng.choice([-1, 1], round(seconds * rate))
  return picture, sound.astype(np.float32)


def test_it_is_short():
  assert len(SOURCE.read_text().splitlines()) < 80


def test_it_is_loaded_and_generates(weights):
  talker = ifm.load(weights)
  assert talker.name == 'toy' and generators.check(talker) is talker
  picture, voice = shouting()
  frames = np.concatenate(list(talker.generate(Clip(image=picture, waveform=voice))))
  lower = frames[:, 32:].mean((1, 2, 3))
  assert frames.shape == (25, 64, 64, 3) and (np.diff(lower) < 0).all()
  np.testing.assert_array_equal(frames[:, :32], np.repeat(frames[:1, :32], 25, axis=0))


def test_it_streams_what_it_generates(weights):
  talker = ifm.load(weights)
  assert isinstance(talker, generator.Streams)
  picture, voice = shouting()
  whole = np.concatenate(list(talker.generate(Clip(image=picture, waveform=voice))))
  pieces = np.array_split(voice, 7)
  np.testing.assert_array_equal(np.concatenate(list(talker.stream(picture, pieces))), whole)


@pytest.mark.parametrize('stream', [False, True])
def test_it_is_sampled_by_the_command(weights, tmp_path, stream):
  output = tmp_path / 'talk.mp4'
  picture, voice = FIXTURES / 'portrait.jpg', FIXTURES / 'speech.wav'
  _, count, _ = talk.make(picture, voice, output, weights, crop='none', stream=stream, seed=1)
  assert len(read.read_frames(output)) == count > 25


def test_it_is_evaluated_beside_the_baselines(weights, tmp_path, monkeypatch):
  frames, points, voice = testing.talking_face(25, 64)
  video.write(tmp_path / 'a.mp4', frames, voice)
  content = dict(root='.', size=64, seeds=[0, 1], clips=[dict(video='a.mp4', person='a')])
  (tmp_path / 'protocol.json').write_text(json.dumps(content))
  row = evaluate.row(str(weights))
  assert row.needs == {'image', 'voice'} and len(row.fingerprint) > 64
  monkeypatch.setattr(run, 'FaceMesh', lambda **_: Tracked(64 * points))
  monkeypatch.setattr(run.features, 'load', lambda *_, **__: Silent())
  monkeypatch.setattr(suite, 'FAMILIES', (suite.Family(images, only=('psnr', 'l1')),))
  monkeypatch.setattr(scoring, 'TILE', 32)
  result = run.evaluate([row], tmp_path / 'protocol.json', tmp_path / 'out')
  assert result.main == 'toy' and result.needs['toy'] == 'image, voice'
  assert 0 < result.rows['toy']['psnr'].value < 100 and result.rows['toy']['speed'].value > 0
  assert 'not driven by videos' in row_error(row, frames, voice)


class Tracked:
  """Knows where the face is."""

  def __init__(self, points):
    self.points = points

  def track(self, frames):
    return self.points[: len(frames)]


class Silent:
  """A speech encoder that no metric of this test asks."""

  def features(self, waveform, sample_rate):
    return np.zeros((len(waveform) * 50 // sample_rate, 384), np.float32)


def row_error(row, frames, voice):
  with pytest.raises(ValueError) as caught:
    row.reenact(Reference(Clip(image=frames[0], frames=frames, waveform=voice)))
  return str(caught.value)


def test_it_is_benched_whole_and_by_its_part(installed, weights):
  rows = parts.measure_parts(ifm.load(weights), ROOF, 1, (1,))
  assert set(rows) == {'draw', 'transfer', 'mp4', 'mark'} and rows['draw']['gflop'] > 0
  numbers = ends.measure_end(bench.maker('fifth:toy')(), 0.2, repeats=1)
  assert numbers['end_to_end_fps'] > 0 and 0 < numbers['first_frame_needs_sound_ms'] <= 200
  assert bench.maker(str(weights))().gain == 2.0
