"""Clips that are not to be cut, and stills, become the same records as films."""

import dataclasses

import av
import cv2
import numpy as np
import pytest

from ifmdm_jax.face.landmarker import FaceLandmarker
from ifmdm_jax.face.mesh import FaceMesh
from ifmdm_jax.face.points import mouth_opening
from ifmdm_jax.pipeline import records, write
from ifmdm_jax.pipeline.prep import layouts, results
from ifmdm_jax.pipeline.sources import pairs
from ifmdm_jax.video import read
from tests.pipeline import films

pytest.importorskip('tensorflow_datasets')
SETTINGS = results.Settings(size=64)


def unused():
  """No lag is estimated of ready clips."""


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """A clip with and one without a voice, one that is too wide, one of a wall, and three stills."""
  root = tmp_path_factory.mktemp('ready')
  films.talking(root / 'talks.mp4', seconds=0.8, side=96)
  films.talking(root / 'silent.mp4', seconds=0.4, side=96, sound=False)
  face, wall = films.picture(0.3, 96), np.full((96, 96, 3), 90, np.uint8)
  films.write(root / 'wide.mp4', [np.concatenate([wall, face], 1)] * 5, np.arange(5) / 25)
  films.write(root / 'wall.mp4', [face, face, wall, face], np.arange(4) / 25)
  (root / 'stills').mkdir()
  for name, picture in (('a', face), ('b', films.picture(0.8, 128)), ('none', wall)):
    cv2.imwrite(str(root / 'stills' / f'{name}.jpg'), picture[..., ::-1])
  guess = FaceMesh(1).track([face])[0] / 96
  np.savez(root / 'stills' / 'landmarks.npz', **{'a.jpg': guess})
  (root / 'MANIFEST.csv').write_text(
    'file,identity,split\ntalks.mp4,somebody,train\nsilent.mp4,another,train\n'
    'stills/a.jpg,a,train\nstills/b.jpg,b,train\n'
  )
  return root


@pytest.fixture(scope='module')
def ready_set(folder, tmp_path_factory):
  output = tmp_path_factory.mktemp('set')
  return output, write.build(folder, output, SETTINGS, unused, ready=True)


def test_ready_clips_keep_every_frame_and_their_whole_voice(folder, ready_set):
  silent, talks = sorted(records.clips(ready_set[0]), key=lambda clip: clip.name)
  assert silent.person == 'another' and silent.waveform is None
  frames = read.read_frames(folder / 'talks.mp4')
  assert talks.num_frames == len(frames) and talks.person == 'somebody'
  small = np.stack([cv2.resize(f, (64, 64), interpolation=cv2.INTER_AREA) for f in frames])
  assert np.abs(talks.frames[:].astype(int) - small).mean() < 3  # WebP
  found = FaceLandmarker().track(frames)
  np.testing.assert_allclose(talks.landmarks, found * (64 / 96), atol=64 / 32768)
  assert abs(len(talks.waveform) - 640 * len(frames)) <= 1024  # AAC's frame
  wanted = read.audio(folder / 'talks.mp4')[: len(talks.waveform)]
  np.testing.assert_allclose(talks.waveform, wanted, atol=1 / 32768)


def test_what_is_not_ready_is_dropped_with_a_reason(ready_set):
  _, summary = ready_set
  assert summary['dropped'] == {'no face': 2, 'not square': 1}
  assert (summary['films'], summary['tracks_kept'], summary['stills']) == (4, 2, 2)


def test_stills_are_clips_of_one_frame_without_loss(folder, ready_set):
  first, second = records.clips(ready_set[0], stills=True)
  assert [first.person, second.person] == ['a', 'b'] and first.num_frames == 1
  picture = cv2.cvtColor(cv2.imread(str(folder / 'stills' / 'b.jpg')), cv2.COLOR_BGR2RGB)
  small = cv2.resize(picture, (64, 64), interpolation=cv2.INTER_AREA)
  np.testing.assert_array_equal(second.frames[0], small)
  opening = [mouth_opening(clip.landmarks[0]) for clip in (first, second)]
  assert opening[0] < opening[1]


def test_stills_teach_beside_clips(ready_set):
  source = pairs.Pairs(ready_set[0], 'train', targets=2, stills=0.001)
  kinds = [kind for kind, _ in source.items]
  assert kinds.count('still') == 2 and kinds.count('clip') > 2000  # both stills once in two rounds
  example = source.draw(('still', 1), np.random.default_rng(0))
  assert example['target'].shape == (2, 64, 64, 3) and list(example['seen']) == [1, 0]


def test_a_second_run_does_nothing(folder, ready_set):
  output, summary = ready_set
  before = {path: path.stat().st_mtime_ns for path in output.glob('videos/*/result.json')}
  assert write.build(folder, output, SETTINGS, unused, ready=True) == summary
  assert before == {path: path.stat().st_mtime_ns for path in before}


def test_a_film_and_a_ready_clip_of_one_file_are_two_results(folder, ready_set):
  output, _ = ready_set
  clip = next(s for s in layouts.find(folder, ready=True) if s.name == 'talks.mp4')
  assert results.finished(output, clip, SETTINGS)
  assert not results.finished(output, dataclasses.replace(clip, kind='film'), SETTINGS)


def test_a_clip_of_sound_alone_says_so(tmp_path):
  with av.open(str(tmp_path / 'voice.mp4'), 'w') as file:
    stream = file.add_stream('aac', rate=films.RATE, layout='mono')
    films.put_sound(file, stream, films.voice(0.5)[0])
  films.write(tmp_path / 'face.mp4', [films.picture(0.3, 96)] * 3, np.arange(3) / 25)
  summary = write.build(tmp_path, tmp_path / 'set', SETTINGS, unused, ready=True)
  assert summary['dropped'] == {'no video in it': 1}
