"""From a folder of films to records that both stages train on."""

import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import ml_collections
import numpy as np
import pytest

from configs import autoencoder as autoencoder_configs
from ifmdm_jax import prepare, testing
from ifmdm_jax.errors import InputError
from ifmdm_jax.face.points import smooth
from ifmdm_jax.pipeline import cache, landmark_code, motion, pairs
from ifmdm_jax.pipeline.prep import filters, process
from tests.pipeline import films

pytest.importorskip('tensorflow_datasets')
ROOT = pathlib.Path(__file__).resolve().parents[1]
SETTINGS = process.Settings(size=64, limits=filters.Limits(seconds=1.0, sync=0.2))


@pytest.fixture(scope='module')
def source(tmp_path_factory):
  folder = tmp_path_factory.mktemp('films')
  for index in range(3):
    films.talking(folder / f'film{index}.mp4', seconds=2.1, seed=index, tint=10 * index)
  (folder / 'broken.mp4').write_text('no video')
  rows = ['file,identity,split'] + [
    f'film{i}.mp4,person{i},{"val" if i == 2 else "train"}' for i in range(3)
  ]
  (folder / 'MANIFEST.csv').write_text('\n'.join(rows))
  return folder


@pytest.fixture(scope='module')
def made(source, tmp_path_factory):
  output = tmp_path_factory.mktemp('set')
  summary = prepare.build(source, output, SETTINGS, make_sync=films.LevelJudge)
  return output, summary


def digest(folder):
  """{relative path: checksum} of everything in a folder."""
  return {
    path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
    for path in sorted(pathlib.Path(folder).rglob('*'))
    if path.is_file()
  }


def test_every_film_is_kept_or_dropped_with_a_reason(made):
  output, summary = made
  report = json.loads((output / 'report.json').read_text())
  assert {e['source'] for e in report['kept']} == {f'film{i}.mp4' for i in range(3)}
  (dropped,) = report['dropped']
  assert dropped['source'] == 'broken.mp4' and dropped['reason'] and dropped['value'] == 8
  assert summary['people'] == {'train': 2, 'val': 1}
  page = (output / 'report.html').read_text()
  assert page.count('<img class=face') == 3 and 'unreadable' in page
  assert 'broken.mp4: 8 bytes' in page


def test_records_give_what_was_prepared(made):
  output, _ = made
  assert 'tensorflow' not in sys.modules
  for split, people in (('train', {'person0', 'person1'}), ('val', {'person2'})):
    clips = cache.clips(output, split)
    assert {c.person for c in clips} == people
    for clip in clips:
      assert clip.frames[:].shape == (len(clip), 64, 64, 3)
      assert clip.landmarks.shape == (len(clip), 468, 2)
      assert len(clip.waveform) == 640 * len(clip)


def test_stage_one_reads_records_with_the_keys_of_plain_arrays(made):
  config = autoencoder_configs.get_config('tiny').data
  config.cache = str(made[0])
  batches = [next(pairs.make_loader(config, batch=2, seed=0, split='train')) for _ in range(2)]
  assert batches[0]['source'].shape == (2, 64, 64, 3) and batches[0]['source'].dtype == np.uint8
  assert batches[0]['target'].shape == (2, 3, 64, 64, 3)
  assert set(batches[0]) == {'source', 'source_points', 'target', 'target_points', 'seen'}
  np.testing.assert_array_equal(batches[0]['target'], batches[1]['target'])


def test_targets_stay_within_the_gap(made):
  source = pairs.Pairs(made[0], 'train', targets=3, augment=False, gap=2)
  track = source.landmarks[0]
  example = source.draw(('clip', 0), np.random.default_rng(0))
  number = lambda points: int(np.abs(track - points).sum((1, 2)).argmin())
  start = number(example['source_points'])
  assert all(abs(number(p) - start) <= 2 for p in example['target_points'])


def test_mattes_that_were_asked_for_are_in_the_records_and_blur_backgrounds(made, tmp_path):
  assert all(clip.mattes is None for clip in cache.clips(made[0]))
  source = tmp_path / 'films'
  source.mkdir()
  films.talking(source / 'film.mp4', seconds=1.5)
  (source / 'MANIFEST.csv').write_text('file,split\nfilm.mp4,train\n')
  output, asked = tmp_path / 'set', dataclasses.replace(SETTINGS, matte=True)
  prepare.build(source, output, asked, make_sync=films.LevelJudge)
  (clip,) = cache.clips(output)
  assert clip.mattes[:].shape == (len(clip), 256, 256, 3)
  config = autoencoder_configs.get_config('tiny').data
  config.cache = str(output)
  draw = lambda: next(pairs.make_loader(config, batch=2, seed=0, split='train'))
  sharp, config.blur = draw(), 1.0
  blurred, again = draw(), draw()
  assert sharp['source'].shape == blurred['source'].shape
  np.testing.assert_array_equal(blurred['source'], again['source'])


class Mean:
  """Stands for an autoencoder: five numbers of every frame."""

  @staticmethod
  def motion(params, frames, config):
    return frames.reshape(len(frames), -1)[:, :5].astype('float32') / 255.0


def test_stage_two_reads_codes_of_records_like_codes_of_plain_arrays(made, tmp_path):
  output, _ = made
  hear = lambda clip: np.arange(2 * len(clip) * 4, dtype=np.float32).reshape(-1, 4)
  assert prepare.encode(output, (Mean, None, None), hear, window=9) == 3
  config = ml_collections.ConfigDict(dict(cache=str(output), frames=9))
  batch = next(motion.make_loader(config, batch=2, seed=0, split='train'))
  assert batch['x'].shape == (2, 8, 5) and batch['y'].shape == (2, 16, 4)
  windows = motion.Windows(output, 'val', 9)
  (clip,) = cache.clips(output, 'val')
  seen = np.asarray(Mean.motion(None, clip.frames[:], None))
  np.testing.assert_allclose(windows.clips[0]['codes'], seen, atol=1e-6)
  with np.load(output / 'motion' / 'statistics.npz') as file:
    assert file['code_mean'].shape == (5,) and file['feature_std'].shape == (4,)


def test_codes_of_landmarks_and_their_mirror_images(made, tmp_path):
  output = shutil.copytree(made[0], tmp_path / 'set')
  hear = lambda clip: np.zeros((2 * len(clip), 4), np.float32)
  assert prepare.encode(output, None, hear, window=9) == 3
  (clip,) = cache.clips(output, 'val')
  points = smooth(clip.landmarks)
  codes = motion.Windows(output, 'val', 9).clips[0]['codes']
  np.testing.assert_allclose(codes, landmark_code.load()(points), atol=1e-3)


@pytest.mark.parametrize('config', ['autoencoder', 'motion'])
def test_both_stages_train_from_records(made, tmp_path, config):
  from configs import autoencoder
  from configs import motion as motion_config
  from ifmdm_jax.training import loop

  output, _ = made
  if config == 'autoencoder':
    chosen = autoencoder.get_config('tiny')
  else:
    chosen = motion_config.get_config('tiny')
    hear = lambda clip: np.random.default_rng(0).normal(size=(2 * len(clip), 12))
    wide = type(
      'Wide',
      (),
      dict(motion=lambda p, f, c: f.reshape(len(f), -1)[:, :20].astype('float32') / 255.0),
    )
    prepare.encode(output, (wide, None, None), lambda c: hear(c).astype(np.float32), window=9)
  chosen.data.cache = str(output)
  chosen.train.steps = 2
  chosen.train.batch = 4
  loop.train(chosen, tmp_path)
  assert any(tmp_path.rglob('*'))


def test_a_second_run_changes_nothing(made, source):
  output, summary = made
  before = {k: v for k, v in digest(output).items() if not k.startswith('motion/')}
  assert prepare.build(source, output, SETTINGS, make_sync=films.LevelJudge) == summary
  after = {k: v for k, v in digest(output).items() if not k.startswith('motion/')}
  assert before == after


KILLED = """
import sys
sys.path[:0] = [{root!r}]
from ifmdm_jax import prepare
from tests import test_prepare as here
from tests.pipeline import films
if __name__ == '__main__':
  prepare.build({source!r}, {output!r}, here.SETTINGS, make_sync=films.LevelJudge)
"""


def test_killed_in_the_middle_and_started_again_is_bit_equal(made, source, tmp_path):
  output = tmp_path / 'killed'
  script = tmp_path / 'killed.py'
  script.write_text(KILLED.format(root=str(ROOT), source=str(source), output=str(output)))
  run = subprocess.Popen([sys.executable, script], cwd=ROOT, start_new_session=True)
  for _ in range(3000):  # until the first film is done and others are not
    if any(output.glob('videos/film*/result.json')) or run.poll() is not None:
      break
    time.sleep(0.1)
  assert run.poll() is None
  os.killpg(run.pid, signal.SIGKILL)
  run.wait()
  assert not (output / 'report.json').exists()
  prepare.build(source, output, SETTINGS, make_sync=films.LevelJudge)
  wanted = {k: v for k, v in digest(made[0]).items() if not k.startswith('motion/')}
  assert digest(output) == wanted


class Poisoned:
  """A judge that a certain film kills, as a broken decoder would."""

  def __call__(self, waveform, landmarks):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_film_that_kills_its_process_costs_itself_only(source, tmp_path):
  with pytest.raises(InputError, match='report.html says why'):
    prepare.build(source, tmp_path, SETTINGS, make_sync=Poisoned)
  report = json.loads((tmp_path / 'report.json').read_text())
  reasons = {e['source']: (e['reason'], e['value']) for e in report['dropped']}
  assert reasons['film0.mp4'] == ('crashed', -signal.SIGKILL)
  assert reasons['broken.mp4'][0] == 'unreadable' and len(reasons) == 4


def test_on_beam_a_film_that_kills_its_process_costs_itself_only(source, tmp_path):
  pytest.importorskip('apache_beam')
  with pytest.raises(InputError, match='report.html says why'):
    prepare.build(source, tmp_path, SETTINGS, make_sync=Poisoned, beam=['--runner=DirectRunner'])
  report = json.loads((tmp_path / 'report.json').read_text())
  assert [e['reason'] for e in report['dropped']].count('crashed') == 3


def test_beam_gives_the_same_records(made, source, tmp_path):
  pytest.importorskip('apache_beam')
  prepare.build(
    source, tmp_path, SETTINGS, make_sync=films.LevelJudge, beam=['--runner=DirectRunner']
  )
  mine, theirs = (
    {c.name: (c.frames[:], c.landmarks, c.waveform) for c in cache.clips(folder)}
    for folder in (made[0], tmp_path)
  )
  assert mine.keys() == theirs.keys()
  for name in mine:
    for a, b in zip(mine[name], theirs[name]):
      np.testing.assert_array_equal(a, b)


def test_plain_arrays_still_train(tmp_path):
  folder = testing.write_cache(tmp_path / 'cache')
  config = autoencoder_configs.get_config('tiny').data
  config.cache = str(folder)
  assert next(pairs.make_loader(config, batch=2, seed=0, split='train'))['source'].any()


def test_the_sync_judge_finds_a_shifted_voice():
  judge = prepare.SyncJudge.__new__(prepare.SyncJudge)
  from ifmdm_jax.evaluation import sync

  judge._sync, judge._judge = sync, type('J', (), dict(predict=lambda self, x: x[::2, 0]))()
  opening = np.random.default_rng(0).normal(size=100)
  late = np.repeat(np.roll(sync.smooth(opening), 4), 2)[:, None]
  assert judge.shift(late, opening)[0] == 4
