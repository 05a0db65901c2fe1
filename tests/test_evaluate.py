"""The command with drawn clips, a stand-in for the sampler and the families without networks."""

import csv
import json

import av
import numpy as np
import pytest

from ifmdm_jax import evaluate, testing, video
from ifmdm_jax.audio import features
from ifmdm_jax.errors import InputError
from ifmdm_jax.evaluation import generators, images, landmarks, motion, report, scoring, suite, sync
from ifmdm_jax.evaluation.types import Metric
from ifmdm_jax.face import mesh

SIDE, FRAMES = 64, 50


class Mesh:
  """Knows the drawn face: frames of one colour show none."""

  def track(self, frames):
    points = testing.talking_face(len(frames), SIDE)[1]
    scale = np.array([frame.shape[1::-1] for frame in frames], np.float32)[:, None]
    blank = [np.ptp(np.asarray(frame)) < 20 for frame in frames]
    points[blank] = np.nan
    return points * scale


class Sampler:
  """Repeats the picture."""

  size, whole, defaults = SIDE, None, {'steps': 1}

  def warm(self, plan):
    pass

  def frames(self, portrait, voice, sample_rate, seed):
    yield np.repeat(portrait[None], round(len(voice) / sample_rate * 25), axis=0)

  def reenact(self, clip):
    yield np.array(clip.frames)

  def codes(self, portrait, voice, sample_rate, seed):
    return np.zeros((round(len(voice) / sample_rate * 25), 2))

  def portrait(self, picture):
    return picture

  def draw(self, portrait, codes):
    return np.repeat(portrait[None], len(codes), axis=0)


class Speech:
  def features(self, waveform, sample_rate):
    count = round(len(waveform) / sample_rate * 50)
    return np.random.default_rng(0).normal(size=(count, 384)).astype(np.float32)


class Brightness:
  """A metric of sets."""

  METRICS = {'brightness': Metric('truth')}
  __name__ = 'brightness'
  draws = 3

  def load(self, weights=None):
    return self

  def describe(self, pair):
    return {'mean': np.array(pair.predicted.mean())}

  def score(self, clips):
    return {'brightness': float(np.mean([clip['mean'] for clip in clips]))}


@pytest.fixture
def run(tmp_path, monkeypatch):
  """`run(*generators)` -> (scores.json, cells, records); clips a and b, weights in `weights/`."""
  monkeypatch.setattr(mesh, 'FaceMesh', Mesh)
  monkeypatch.setattr(report, 'TILE', 32)  # videos cost most of the time
  monkeypatch.setattr(features, 'load', lambda *_, **__: Speech())
  families = (
    suite.Family(images, suite.REENACT),
    suite.Family(motion),
    suite.Family(sync),
    suite.Family(landmarks, only=('lmd', 'f_lmd')),
    suite.Family(Brightness()),
  )
  monkeypatch.setattr(suite, 'FAMILIES', families)
  monkeypatch.setattr(suite, 'fingerprint', lambda: 'one')
  monkeypatch.setattr(
    evaluate, '_weights', lambda folder: generators.Weights(folder.name, Sampler(), 'one')
  )
  for seed, name in enumerate('ab'):
    frames, _, waveform = testing.talking_face(FRAMES, SIDE, seed)
    video.write(tmp_path / f'{name}.mp4', frames, waveform)
  clips = [dict(video=f'{name}.mp4', person=name) for name in 'ab']
  content = dict(root='.', size=SIDE, seeds=[0, 1], clips=clips)
  (tmp_path / 'protocol.json').write_text(json.dumps(content))
  (tmp_path / 'weights').mkdir()
  (tmp_path / 'weights' / 'config.json').write_text('{}')

  def call(*words):
    words = [str(tmp_path / word) if '_' not in word else word for word in words]
    cells, records = evaluate.evaluate(words, tmp_path / 'protocol.json', tmp_path / 'out')
    return json.loads((tmp_path / 'out' / 'scores.json').read_text()), cells, records

  return call


def record(records, row, name):
  return next(record for record in records[row] if record['name'] == name)


def test_the_two_rows_are_always_there_and_the_files_are_written(run, tmp_path):
  scores, cells, _ = run('weights')
  assert list(cells) == ['ground_truth', 'first_frame', 'weights']
  assert scores['evaluated'] == 'weights' and scores['n'] == 2
  assert scores['reenact_psnr'] == 100 and scores['motion_ratio'] == pytest.approx(1)
  assert scores['ci95']['lmd'][0] <= scores['lmd'] <= scores['ci95']['lmd'][1]
  assert scores['rows']['ground_truth']['jitter_ratio']['value'] == 1
  assert scores['rows']['first_frame']['jitter_ratio']['value'] == 0
  assert scores['rows']['first_frame']['reenact_psnr']['value'] < 40
  assert scores['brightness'] > 0 and 'sync_ridge_shuffled' in scores and scores['speed'] > 0
  with open(tmp_path / 'out' / 'scores.csv', newline='') as file:
    lines = list(csv.DictReader(file))
  assert [line['clip'] for line in lines[:3]] == ['a', 'b', 'mean'] and len(lines) == 15
  page = (tmp_path / 'out' / 'report.html').read_text()
  assert 'videos/weights/a.mp4' in page and 'reenact_psnr' in page
  with av.open(str(tmp_path / 'out' / 'videos' / 'weights' / 'a.mp4')) as container:
    assert container.streams.audio and container.streams.video[0].frames == FRAMES


def test_a_second_run_takes_over_what_is_done(run, tmp_path, monkeypatch):
  first, _, _ = run('weights')
  (tmp_path / 'out' / 'clips' / 'weights' / 'b.json').unlink()
  seen = []
  score = scoring._Work.score
  monkeypatch.setattr(
    scoring._Work, 'score',
    lambda self, made, clip: seen.append((made.name, clip.name)) or score(self, made, clip),
  )  # fmt: skip
  second, _, _ = run('weights')
  assert seen == [('weights', 'b')]
  assert first['reenact_psnr'] == second['reenact_psnr'] and first['lmd'] == second['lmd']


def test_a_changed_definition_is_scored_anew(run, monkeypatch):
  run('weights')
  monkeypatch.setattr(suite, 'fingerprint', lambda: 'two')
  monkeypatch.setattr(images.Scorer, 'score', lambda *_: dict.fromkeys(images.METRICS, 1.0))
  assert run('weights')[0]['reenact_psnr'] == 1


def test_one_bad_clip_costs_one_line(run, tmp_path):
  (tmp_path / 'b.mp4').write_bytes(b'not a video')
  scores, cells, records = run('weights')
  assert 'cannot be read' in scores['failed']['b']
  assert cells['weights']['lmd'].n == 1 and record(records, 'weights', 'a')['metrics']
  assert 'cannot be read' in (tmp_path / 'out' / 'report.html').read_text()


def test_no_good_clip_is_an_error(run, tmp_path):
  for name in 'ab':
    (tmp_path / f'{name}.mp4').unlink()
  with pytest.raises(InputError, match='none of the clips'):
    run('weights')


def test_a_clip_without_sound_is_reenacted_and_says_why_it_is_not_driven(run, tmp_path):
  video.write(tmp_path / 'a.mp4', testing.talking_face(FRAMES, SIDE, 0)[0])
  scores, _, records = run('weights')
  metrics = record(records, 'weights', 'a')['metrics']
  assert metrics['reenact_psnr'] == 100 and 'no sound' in metrics['lmd']['absent']
  assert 'no sound' in record(records, 'ground_truth', 'a')['metrics']['sync_ridge']['absent']
  assert any('no sound' in note for note in scores['notes']['weights']['a'])


def test_a_damaged_clip_is_named_and_the_rest_scored(run, tmp_path):
  whole = (tmp_path / 'b.mp4').read_bytes()
  (tmp_path / 'b.mp4').write_bytes(whole[: len(whole) // 2])
  scores, cells, _ = run('ground_truth')
  assert 'is damaged' in scores['notes']['ground_truth']['b'][0]
  assert cells['ground_truth']['lmd'].n == 2 and cells['ground_truth']['sync_ridge'].n == 1


def test_a_failing_metric_is_absent_with_its_reason(run, tmp_path, monkeypatch):
  def broken(*_):
    raise ZeroDivisionError('nothing to divide')

  monkeypatch.setattr(motion.Scorer, 'score', broken)
  scores, _, _ = run('weights')
  assert 'ZeroDivisionError: nothing to divide' in scores['absent']['jitter']
  assert scores['reenact_psnr'] == 100
  assert 'nothing to divide' in (tmp_path / 'out' / 'errors.log').read_text()


# -- videos of other programs


@pytest.fixture
def theirs(tmp_path):
  (tmp_path / 'theirs').mkdir()

  def write(frames, fps=25, name='a', **options):
    video.write(tmp_path / 'theirs' / f'{name}.mp4', frames, fps=fps, **options)

  return write


def notes(scores):
  return ' '.join(scores['notes']['theirs']['a'])


def test_a_missing_video_is_a_reason_not_a_crash(run, theirs):
  theirs(testing.talking_face(FRAMES, SIDE)[0])
  scores, cells, records = run('theirs')
  assert cells['theirs']['lmd'].n == 1
  assert 'no video b.mp4' in record(records, 'theirs', 'b')['metrics']['lmd']['absent']
  assert 'no video a.mp4 in reenact/' in scores['absent']['reenact_psnr']
  assert scores['lmd'] == pytest.approx(0, abs=0.01)


def test_another_frame_rate_is_brought_over_by_timestamps(run, theirs):
  frames = testing.talking_face(FRAMES, SIDE)[0]
  theirs(np.repeat(frames, 2, axis=0), fps=50)
  scores, _, _ = run('theirs')
  assert '50 frames per second brought to 25' in notes(scores)
  truth = scores['rows']['ground_truth']['brightness']['value']
  assert scores['rows']['theirs']['brightness']['value'] == pytest.approx(truth, rel=0.2)


def test_another_length_is_scored_over_the_shorter_and_noted(run, theirs):
  theirs(testing.talking_face(FRAMES, SIDE)[0][:30])
  scores, _, _ = run('theirs')
  assert '30 frames instead of 50' in notes(scores) and np.isfinite(scores['lmd'])


def test_a_face_in_half_of_the_frames_is_scored_on_these_and_noted(run, theirs):
  frames = testing.talking_face(FRAMES, SIDE)[0]
  frames[::2] = 128
  theirs(frames)
  scores, _, _ = run('theirs')
  assert 'a face in 25 of 50 frames' in notes(scores)
  assert scores['lmd'] == pytest.approx(0, abs=0.01) and 'sync_ridge' in scores
  assert 'in a row' in scores['absent']['jitter']


def test_no_face_at_all_is_a_reason(run, theirs):
  theirs(np.full((FRAMES, SIDE, SIDE, 3), 90, np.uint8))
  scores, _, _ = run('theirs')
  assert 'a face in 0 of 50 frames' in notes(scores)
  assert 'a face' in scores['absent']['lmd'] and 'a face' in scores['absent']['sync_ridge']


def test_odd_sizes_are_brought_to_the_protocols_and_noted(run, theirs, tmp_path):
  frames = testing.talking_face(FRAMES, 150)[0][:, :, :149]
  theirs(frames)
  assert '148 x 150 pixels brought to 64 x 64' in notes(run('theirs')[0])
  theirs(np.pad(frames, ((0, 0), (0, 0), (20, 20), (0, 0))))
  assert 'not square: cut around the face' in notes(run('theirs')[0])


def test_eight_bit_grey_is_scored(run, theirs, tmp_path):
  frames = testing.talking_face(FRAMES, SIDE)[0]
  (tmp_path / 'theirs').mkdir(exist_ok=True)
  with av.open(str(tmp_path / 'theirs' / 'a.mkv'), 'w') as container:
    stream = container.add_stream('ffv1', rate=25)
    stream.width = stream.height = SIDE
    stream.pix_fmt = 'gray'
    for frame in frames.mean(-1).astype(np.uint8):
      container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, 'gray')))
    container.mux(stream.encode(None))
  scores, cells, _ = run('theirs')
  assert cells['theirs']['lmd'].n == 1 and scores['brightness'] > 0


def test_what_cannot_be_evaluated_is_one_line(run, tmp_path):
  with pytest.raises(InputError, match='holds no config.json'):
    run('nothing')
  (tmp_path / 'other' / 'weights').mkdir(parents=True)
  (tmp_path / 'other' / 'weights' / 'config.json').write_text('{}')
  with pytest.raises(InputError, match='two rows would be named'):
    evaluate.evaluate(
      [str(tmp_path / 'weights'), str(tmp_path / 'other' / 'weights')],
      tmp_path / 'protocol.json', tmp_path / 'out',
    )  # fmt: skip
