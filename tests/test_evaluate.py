"""The command with drawn clips, a stand-in for a generator and the families without networks."""

import csv
import functools
import json
import shutil

import av
import numpy as np
import pytest

from ifmdm_jax import evaluate, testing, video
from ifmdm_jax.audio import features
from ifmdm_jax.clip import Clip
from ifmdm_jax.errors import InputError
from ifmdm_jax.evaluation import (
  fingerprint,
  generators,
  images,
  landmarks,
  movement,
  run,
  scoring,
  suite,
  sync,
  table,
)
from ifmdm_jax.evaluation.types import Metric, Reference

SIDE, FRAMES = 64, 50
talking_face = functools.cache(testing.talking_face)


class Mesh:
  """Knows the drawn face: frames of one colour show none."""

  def __init__(self, refinements):
    del refinements

  def track(self, frames):
    points = talking_face(len(frames), SIDE)[1].copy()
    scale = np.array([frame.shape[1::-1] for frame in frames], np.float32)[:, None]
    blank = [np.ptp(np.asarray(frame)) < 20 for frame in frames]
    points[blank] = np.nan
    return points * scale


class Still:
  """A generator that repeats the picture, and follows a video exactly."""

  needs, size, fps, defaults = frozenset({'image', 'voice'}), SIDE, 25, {'steps': 1}

  def __init__(self, name='weights'):
    self.name = name

  def generate(self, clip, *, seed=0):
    for _ in range(clip.num_frames):
      yield clip.image[None]

  def reenact(self, clip):
    yield np.array(clip.frames)


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


class SyncDistance:
  """Stands for the sync networks."""

  METRICS = {name: Metric('down') for name in ('lse_d', 'lse_d_own')}
  __name__ = 'lip_sync'

  def load(self, weights=None):
    return self

  def score(self, pair):
    return dict.fromkeys(self.METRICS, 1.0)


@pytest.fixture(scope='module')
def scored(tmp_path_factory):
  """A folder with clips a and b, protocol.json, and the two baselines scored in out/."""
  folder = tmp_path_factory.mktemp('scored')
  families = (
    suite.Family(images, suite.REENACT),
    suite.Family(movement),
    suite.Family(sync),
    suite.Family(landmarks, only=('lmd', 'f_lmd')),
    suite.Family(Brightness()),
  )
  for seed, name in enumerate('ab'):
    frames, _, waveform = talking_face(FRAMES, SIDE, seed)
    video.write(folder / f'{name}.mp4', frames, waveform, provenance=False)
  clips = [dict(video=f'{name}.mp4', person=name) for name in 'ab']
  content = dict(root='.', size=SIDE, seeds=[0, 1], clips=clips)
  (folder / 'protocol.json').write_text(json.dumps(content))
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(run, 'FaceMesh', Mesh)
    patch.setattr(generators, 'FaceMesh', Mesh)
    patch.setattr(scoring, 'TILE', 32)  # videos cost most of the time
    patch.setattr(features, 'load', lambda *_, **__: Speech())
    patch.setattr(suite, 'FAMILIES', families)
    patch.setattr(scoring, 'definitions', lambda: 'one')
    patch.setattr(fingerprint, 'of_generator', lambda generator: 'one')
    patch.setattr(evaluate.ifm, 'load', lambda folder: Still(folder.name), raising=False)
    run.evaluate([generators.GroundTruth()], folder / 'protocol.json', folder / 'out')
    yield folder


@pytest.fixture
def place(scored, tmp_path):
  """The same for one test, with weights/ that load as `Still`."""
  shutil.copytree(scored, tmp_path, dirs_exist_ok=True)  # keeps times: what is scored stays so
  (tmp_path / 'weights').mkdir()
  (tmp_path / 'weights' / 'config.json').write_text('{}')
  return tmp_path


@pytest.fixture
def score(place):
  """`score(*words or rows)` -> (scores.json, Table)."""

  def call(*asked):
    path = lambda word: str(place / word) if word not in ('ground_truth', 'first_frame') else word
    rows = [evaluate.row(path(each)) if isinstance(each, str) else each for each in asked]
    result = run.evaluate(rows, place / 'protocol.json', place / 'out')
    return json.loads((place / 'out' / 'scores.json').read_text()), result

  return call


def record(result, row, name):
  return next(record for record in result.records[row] if record.name == name)


def test_the_two_rows_are_always_there_and_the_files_are_written(score, place):
  scores, result = score('weights')
  assert list(result.rows) == ['ground_truth', 'first_frame', 'weights']
  assert scores['evaluated'] == 'weights' and scores['n'] == 2
  assert scores['reenact_psnr'] == 100 and scores['motion_ratio'] == pytest.approx(1)
  assert scores['ci95']['lmd'][0] <= scores['lmd'] <= scores['ci95']['lmd'][1]
  assert scores['rows']['ground_truth']['jitter_ratio']['value'] == 1
  assert scores['rows']['first_frame']['jitter_ratio']['value'] == 0
  assert scores['rows']['first_frame']['reenact_psnr']['value'] < 40
  assert scores['brightness'] > 0 and 'sync_ridge_shuffled' in scores and scores['speed'] > 0
  with open(place / 'out' / 'scores.csv', newline='') as file:
    lines = list(csv.DictReader(file))
  assert [line['clip'] for line in lines[:3]] == ['a', 'b', 'mean'] and len(lines) == 15
  page = (place / 'out' / 'report.html').read_text()
  assert 'videos/weights/a.mp4' in page and 'reenact_psnr' in page
  with av.open(str(place / 'out' / 'videos' / 'weights' / 'a.mp4')) as container:
    assert container.streams.audio and container.streams.video[0].frames == FRAMES


@pytest.mark.parametrize('word', ['ground_truth', 'first_frame'])
def test_the_flat_summary_is_of_the_row_that_was_asked_for(score, word):
  scores, result = score(word)
  assert scores['evaluated'] == word and list(result.rows) == ['ground_truth', 'first_frame']
  for name, cell in scores['rows'][word].items():
    assert scores.get(name) == cell['value']
  assert (scores['reenact_psnr'] == 100) == (word == 'ground_truth')


class Peeking(Still):
  """Looks at everything that it can reach of a clip."""

  needs, seen = frozenset({'image', 'voice'}), ()

  def generate(self, clip, *, seed=0):
    self.seen = clip
    yield from super().generate(clip, seed=seed)


def test_a_generator_is_shown_what_it_needs_and_nothing_else(score):
  peeking = Peeking('peeking')
  scores, _ = score(generators.Bundle(peeking))
  clip = peeking.seen
  assert clip.image is not None and clip.waveform is not None
  for hidden in ('frames', 'landmarks', 'features', 'shots', 'text'):
    assert getattr(clip, hidden) is None
  assert clip.image.base is None  # no way from the first frame to the others
  assert scores['needs']['peeking'] == 'image, voice' and scores['needs']['ground_truth'] == 'video'


def test_a_row_of_every_table_says_what_each_generator_was_shown(score, place):
  _, result = score('weights')
  expected = ['video', 'image', 'image, voice']
  row = next(line for line in table.markdown(result) if table.NEEDS in line)
  assert [cell.strip() for cell in row.strip('|').split('|')][1:] == expected
  assert table.text(result).splitlines()[1].endswith('  image, voice')
  assert f'<td>{table.NEEDS}</td><td>video</td>' in (place / 'out' / 'report.html').read_text()


def test_a_clip_without_what_a_generator_needs_is_a_reason(score):
  reader = Still('reader')
  reader.needs = frozenset({'image', 'voice', 'text'})
  scores, _ = score(generators.Bundle(reader))
  assert 'has no text' in scores['absent']['lmd'] and scores['reenact_psnr'] > 0


def test_what_does_not_keep_the_contract_is_an_error_and_no_absent_metric(score):
  class Renamed:
    name, needs, size, fps = 'renamed', frozenset({'image'}), SIDE, 25
    make = Still.generate

  with pytest.raises(generators.ContractError, match='Renamed has generate None'):
    generators.Bundle(Renamed())
  large = Still('large')
  large.size = 2 * SIDE
  with pytest.raises(generators.ContractError, match=r'expected blocks uint8 \[t, 128, 128, 3\]'):
    score(generators.Bundle(large))


def test_a_generator_that_fails_on_every_clip_is_an_error(score, place):
  class Failing(Still):
    def generate(self, clip, *, seed=0):
      return self.renamed_since(clip)

  with pytest.raises(InputError, match='failing fails on every clip.*renamed_since'):
    score(generators.Bundle(Failing('failing')))
  assert 'renamed_since' in (place / 'out' / 'errors.log').read_text()


def test_another_rate_and_size_are_brought_to_the_protocols_and_noted(score):
  class Quick(Still):
    size, fps = SIDE // 2, 50

    def generate(self, clip, *, seed=0):
      for t in range(2 * clip.num_frames):
        yield np.full((1, self.size, self.size, 3), t, np.uint8)

  quick = generators.Bundle(Quick('quick'))
  clip = Clip(image=np.zeros((SIDE, SIDE, 3), np.uint8), waveform=np.zeros(16_000, np.float32),
              frames=np.zeros((25, SIDE, SIDE, 3), np.uint8))  # fmt: skip
  video = quick.driven(Reference(clip), 0)
  assert video.frames.shape == (25, SIDE, SIDE, 3)
  np.testing.assert_array_equal(video.frames[:, 0, 0, 0], 2 * np.arange(25))
  assert video.notes == (
    '50 frames per second brought to 25 by their times',
    '32 pixels brought to 64',
  )


def test_samples_of_several_seeds_are_the_beginnings_of_their_videos():
  class Seeded(Still):
    drawn = 0

    def generate(self, clip, *, seed=0):
      for t in range(clip.num_frames):
        self.drawn += 1
        yield np.full((1, SIDE, SIDE, 3), (t + 7 * seed) % 256, np.uint8)

  seeded = Seeded('seeded')
  bundle = generators.Bundle(seeded)
  clip = Clip(image=np.zeros((SIDE, SIDE, 3), np.uint8), waveform=np.zeros(6 * 16_000, np.float32),
              frames=np.zeros((150, SIDE, SIDE, 3), np.uint8))  # fmt: skip
  reference = Reference(clip)
  driven = bundle.driven(reference, 0)
  seeded.drawn = 0
  first, second = bundle.samples(reference, (0, 1), driven)
  assert seeded.drawn == 100  # no more than is needed
  np.testing.assert_array_equal(first.frames[:, 0, 0, 0], np.arange(100))
  np.testing.assert_array_equal(second.frames[:, 0, 0, 0], np.arange(7, 107))


def test_seeds_are_compared_and_a_picture_says_where_they_differ(score, place, monkeypatch):
  class Seeded(Still):
    def generate(self, clip, *, seed=0):
      for frame in super().generate(clip):
        brighter = frame.copy()
        brighter[:, : SIDE // 2] = np.minimum(brighter[:, : SIDE // 2], 200) + 50 * seed
        yield brighter

  monkeypatch.setattr(generators, 'INSTANTS', (1, 2))
  monkeypatch.setattr(scoring, 'definitions', lambda: 'of seconds 1 and 2')
  sync_distance = suite.Family(SyncDistance())
  monkeypatch.setattr(suite, 'FAMILIES', (*suite.FAMILIES, sync_distance))
  row = generators.Bundle(Seeded('seeded'))
  scores, _ = score(row)
  still = scores['rows']['first_frame']
  assert scores['diversity_face'] > 1 and still['diversity_face']['value'] == 0
  # The mesh here finds the real face in every sample, and the first frame's stands still.
  assert scores['best_lmd'] == scores['take_lmd'] == 0
  assert still['best_lmd']['value'] == still['take_lmd']['value'] > 1
  assert 'one ground truth' in scores['rows']['ground_truth']['best_lmd']['reason']
  assert (place / 'out' / 'spread' / 'seeded' / 'a.jpg').exists()
  assert 'src="spread/seeded/a.jpg"' in (place / 'out' / 'report.html').read_text()


def test_a_second_run_takes_over_what_is_done(score, place):
  first, _ = score('weights')
  done = place / 'out' / 'clips'
  (done / 'weights' / 'b.json').unlink()
  times = {path: path.stat().st_mtime_ns for path in done.rglob('*.json')}
  second, _ = score('weights')
  assert len(times) == 5 and all(path.stat().st_mtime_ns == at for path, at in times.items())
  assert (done / 'weights' / 'b.json').exists()
  assert first['reenact_psnr'] == second['reenact_psnr'] and first['lmd'] == second['lmd']


def test_a_changed_definition_is_scored_anew(score, monkeypatch):
  score('weights')
  monkeypatch.setattr(images.Scorer, 'score', lambda *_: dict.fromkeys(images.METRICS, 1.0))
  assert score('weights')[0]['reenact_psnr'] == 100
  monkeypatch.setattr(scoring, 'definitions', lambda: 'two')
  assert score('weights')[0]['reenact_psnr'] == 1


def test_a_generator_with_another_source_is_another_one(tmp_path):
  still = Still('still')
  still.sources = (tmp_path / 'stage_1', tmp_path / 'units.npz')
  (tmp_path / 'stage_1' / 'checkpoints').mkdir(parents=True)
  marks = {generators.Bundle(still).fingerprint}
  (tmp_path / 'stage_1' / 'checkpoints' / 'params').write_text('trained')
  marks.add(generators.Bundle(still).fingerprint)
  (tmp_path / 'units.npz').write_text('measured')
  marks.add(generators.Bundle(still).fingerprint)
  assert len(marks) == 3


def test_a_changed_generator_is_drawn_anew(score, monkeypatch):
  score('weights')
  monkeypatch.setattr(Still, 'reenact', lambda self, clip: iter([255 - clip.frames]))
  assert score('weights')[0]['reenact_psnr'] == 100
  monkeypatch.setattr(fingerprint, 'of_generator', lambda generator: 'two')
  assert score('weights')[0]['reenact_psnr'] < 20


def test_one_bad_clip_costs_one_line(score, place):
  (place / 'b.mp4').write_bytes(b'not a video')
  scores, result = score('weights')
  assert 'cannot be read' in scores['failed']['b']
  assert result.rows['weights']['lmd'].n == 1 and record(result, 'weights', 'a').metrics
  assert 'cannot be read' in (place / 'out' / 'report.html').read_text()


def test_no_good_clip_is_an_error(score, place):
  for name in 'ab':
    (place / f'{name}.mp4').unlink()
  with pytest.raises(InputError, match='none of the clips'):
    score('weights')


def test_a_clip_without_sound_is_reenacted_and_says_why_it_is_not_driven(score, place):
  video.write(place / 'a.mp4', testing.talking_face(FRAMES, SIDE, 0)[0])
  scores, result = score('weights')
  metrics = record(result, 'weights', 'a').metrics
  assert metrics['reenact_psnr'] == 100 and 'has no voice' in metrics['lmd'].reason
  assert 'no sound' in record(result, 'ground_truth', 'a').metrics['sync_ridge'].reason
  assert any('no sound' in note for note in scores['notes']['weights']['a'])


def test_a_damaged_clip_is_named_and_the_rest_scored(score, place):
  whole = (place / 'b.mp4').read_bytes()
  (place / 'b.mp4').write_bytes(whole[: len(whole) // 2])
  scores, result = score('ground_truth')
  rows = result.rows['ground_truth']
  notes = scores['notes']['ground_truth']['b']
  assert 'is damaged' in notes[0] and 'was it cut?' in notes[1]
  assert rows['lmd'].n == 2 and rows['sync_ridge'].n == 1


def test_a_failing_metric_is_absent_with_its_reason(score, place, monkeypatch):
  def broken(*_):
    raise ZeroDivisionError('nothing to divide')

  with monkeypatch.context() as patch:
    patch.setattr(movement.Scorer, 'score', broken)
    scores, _ = score('weights')
  assert 'ZeroDivisionError: nothing to divide' in scores['absent']['jitter']
  assert scores['reenact_psnr'] == 100
  assert 'nothing to divide' in (place / 'out' / 'errors.log').read_text()
  assert score('weights')[0]['jitter'] > 0  # mended since: nothing of it is kept


# -- videos of other programs


@pytest.fixture
def others(place):
  (place / 'others').mkdir()

  def write(frames, fps=25, name='a', **options):
    video.write(place / 'others' / f'{name}.mp4', frames, fps=fps, **options)

  return write


def notes(scores):
  return ' '.join(scores['notes']['others']['a'])


def test_a_folder_of_videos_may_say_what_its_program_was_shown(score, others, place):
  others(talking_face(FRAMES, SIDE)[0])
  assert score('others')[0]['needs']['others'] == 'not stated'
  (place / 'others' / 'needs.txt').write_text('voice video\n')
  assert score('others')[0]['needs']['others'] == 'voice, video'
  (place / 'others' / 'needs.txt').write_text('smell')
  with pytest.raises(InputError, match='expected words of image, .* got smell'):
    score('others')


def test_a_missing_video_is_a_reason_not_a_crash(score, others):
  others(testing.talking_face(FRAMES, SIDE)[0])
  scores, result = score('others')
  assert result.rows['others']['lmd'].n == 1
  assert 'no video b.mp4' in record(result, 'others', 'b').metrics['lmd'].reason
  assert 'no video a.mp4 in reenact/' in scores['absent']['reenact_psnr']
  assert scores['lmd'] == pytest.approx(0, abs=0.01)


def test_another_frame_rate_is_brought_over_by_timestamps(score, others):
  frames = testing.talking_face(FRAMES, SIDE)[0]
  others(np.repeat(frames, 2, axis=0), fps=50)
  scores, _ = score('others')
  assert '50 frames per second brought to 25' in notes(scores)
  truth = scores['rows']['ground_truth']['brightness']['value']
  assert scores['rows']['others']['brightness']['value'] == pytest.approx(truth, rel=0.2)


def test_another_length_is_scored_over_the_shorter_and_noted(score, others):
  others(testing.talking_face(FRAMES, SIDE)[0][:30])
  scores, _ = score('others')
  assert '30 frames instead of 50' in notes(scores) and np.isfinite(scores['lmd'])


def test_a_face_in_half_of_the_frames_is_scored_on_these_and_noted(score, others):
  frames = testing.talking_face(FRAMES, SIDE)[0]
  frames[::2] = 128
  others(frames)
  scores, _ = score('others')
  assert 'a face in 25 of 50 frames' in notes(scores)
  assert scores['lmd'] == pytest.approx(0, abs=0.01) and 'sync_ridge' in scores
  assert 'in a row' in scores['absent']['jitter']


def test_no_face_at_all_is_a_reason(score, others):
  others(np.full((FRAMES, SIDE, SIDE, 3), 90, np.uint8))
  scores, _ = score('others')
  assert 'a face in 0 of 50 frames' in notes(scores)
  assert 'a face' in scores['absent']['lmd'] and 'a face' in scores['absent']['sync_ridge']


def test_odd_sizes_are_brought_to_the_protocols_and_noted(score, others, place):
  frames = talking_face(FRAMES, 150)[0][:, :, :149]
  others(frames)
  assert '148 x 150 pixels brought to 64 x 64' in notes(score('others')[0])
  others(np.pad(frames, ((0, 0), (0, 0), (20, 20), (0, 0))))
  assert 'not square: cut around the face' in notes(score('others')[0])


def test_eight_bit_grey_is_scored(score, others, place):
  frames = testing.talking_face(FRAMES, SIDE)[0]
  (place / 'others').mkdir(exist_ok=True)
  with av.open(str(place / 'others' / 'a.mkv'), 'w') as container:
    stream = container.add_stream('ffv1', rate=25)
    stream.width = stream.height = SIDE
    stream.pix_fmt = 'gray'
    for frame in frames.mean(-1).astype(np.uint8):
      container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, 'gray')))
    container.mux(stream.encode(None))
  scores, result = score('others')
  assert result.rows['others']['lmd'].n == 1 and scores['brightness'] > 0


def test_what_cannot_be_evaluated_is_one_line(score, place):
  with pytest.raises(InputError, match='holds no config.json'):
    score('nothing')
  (place / 'other' / 'weights').mkdir(parents=True)
  (place / 'other' / 'weights' / 'config.json').write_text('{}')
  with pytest.raises(InputError, match='two rows would be named'):
    score('weights', 'other/weights')
