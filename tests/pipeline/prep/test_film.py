import dataclasses
import itertools
import json
import pickle
import shutil

import av
import cv2
import numpy as np
import pytest
import soundfile

from ifmdm_jax import errors
from ifmdm_jax.face.crop import cut
from ifmdm_jax.face.mesh import FaceMesh
from ifmdm_jax.face.points import CHIN_TIP, FOREHEAD, LEFT_LIDS, NOSE_TIP, RIGHT_LIDS, mouth_opening
from ifmdm_jax.face.track import Track, follow, sharpness
from ifmdm_jax.pipeline import frames as codec
from ifmdm_jax.pipeline import landmarks
from ifmdm_jax.pipeline.prep import film, filters, layouts, process, results, sound, squares
from tests.pipeline import films

SETTINGS = results.Settings(size=64, limits=filters.Limits(seconds=1.0, sync=0.2))
MATTED = dataclasses.replace(SETTINGS, matte=True)


def run(path, output, settings=SETTINGS):
  source = layouts.Source(str(path), path.name, 'somebody', 'train')
  return process.process(source, output, settings, films.LevelLag())


@pytest.fixture(scope='module')
def processed(tmp_path_factory):
  """(film, folder of the set, result) of one film with mattes; who changes it copies it first."""
  output = tmp_path_factory.mktemp('processed')
  path = films.talking(output / 'a.mp4', seconds=1.2)
  return path, output, run(path, output, MATTED)


def sound_of(result, output):
  return soundfile.read(output / 'videos' / result['key'] / '000.flac')[0]


@pytest.mark.parametrize(('fps', 'late'), [(25.0, 0.0), (29.97, 0.2), (50.0, -0.0)])
def test_any_frame_rate_comes_out_at_25_fps_with_the_voice_at_the_lips(tmp_path, fps, late):
  result = run(films.talking(tmp_path / 'a.mp4', fps=fps, late=late), tmp_path)
  (kept,) = result['kept']
  assert abs(kept['offset_frames'] - 25 * late) <= 1
  with np.load(tmp_path / 'videos' / result['key'] / '000.npz') as file:
    points = landmarks.unpack(file['landmarks'])
  assert len(points) == kept['stop'] - kept['start']
  assert abs(len(points) - (75 - 25 * late)) <= 1
  lag = films.LevelLag()(sound_of(result, tmp_path), points)
  assert abs(lag.frames) <= 1 and lag.r > 0.3


def test_people_one_after_another_are_tracks_cut_where_they_change(tmp_path):
  waveform, opening = films.voice(3.0)
  times = np.arange(75) / 25
  looks = [dict(tint=-60), dict(flip=True, tint=40), dict(tint=0)]
  pictures = [films.frames(opening, times[i * 25 : i * 25 + 25], **look)
              for i, look in enumerate(looks)]  # fmt: skip
  path = films.write(tmp_path / 'three.mp4', sum(pictures, []), times, waveform)
  result = run(path, tmp_path)
  ends = [(e['start'], e['stop']) for e in result['kept'] + result['dropped']]
  assert sorted(ends) == [(0, 25), (25, 50), (50, 75)]


def test_people_side_by_side_are_one_track_each(tmp_path):
  left, right = (films.picture(0.3, 128, flip=flip) for flip in (False, True))
  found = list(follow([np.concatenate([left, right], 1)] * 15, 5, 100))
  assert sorted(t.landmarks[0, 1, 0] < 128 for t in found) == [False, True]
  assert [len(t.landmarks) for t in found] == [15, 15]


def test_long_takes_become_pieces_without_a_gap():
  frame = films.picture(0.3, 96)
  found = list(follow([frame] * 47, 5, 20))
  assert [(t.start, t.stop) for t in found] == [(0, 20), (20, 47 - 7), (40, 47)]


def test_stored_landmarks_lie_on_the_stored_frames(processed):
  _, output, result = processed
  folder = output / 'videos' / result['key']
  frames = codec.Frames((folder / '000.frames').read_bytes(), 256)
  with np.load(folder / '000.npz') as file:
    stored = landmarks.unpack(file['landmarks'])
  seen = FaceMesh(1).track(list(frames[:3])) / 256
  # 64 px pictures: the mesh is good to about a pixel of them.
  assert np.abs(seen - stored[:3]).mean() < 0.02


def test_a_square_that_follows_keeps_its_side_and_moves_slowly():
  face = films.picture(0.3, 64)
  points = FaceMesh(1).track([face])[0]
  path = np.linspace(0, 200, 100, dtype=np.float32)
  moving = points + np.stack([path, 0 * path], -1)[:, None]
  track = Track(0, 0, (200, 400), moving, None, None)
  places = squares.squares_of(track, results.Settings(smoothing=0.5))
  assert len(set(places[:, 2])) == 1 and np.ptp(places[:, 0]) > 100
  assert np.abs(np.diff(places[:, 0])).max() <= 4
  still = squares.squares_of(track, results.Settings())
  assert (still == still[0]).all()


def bad(folder):
  (folder / 'text.mp4').write_text('this is no video')
  (folder / 'empty.mp4').touch()
  films.talking(folder / 'silent.mp4', seconds=1.5, sound=False)
  grey = [np.full((96, 96, 3), 90, np.uint8)] * 30
  waveform, _ = films.voice(1.2)
  films.write(folder / 'nobody.mp4', grey, np.arange(30) / 25, waveform)
  with av.open(str(folder / 'heard.mp4'), 'w') as file:
    sound = file.add_stream('aac', rate=films.RATE, layout='mono')
    films.put_sound(file, sound, waveform)
  shutil.copy(films.talking(folder / 'cut.mp4', seconds=2.5), folder / 'whole.mp4')
  data = (folder / 'cut.mp4').read_bytes()
  (folder / 'cut.mp4').write_bytes(data[: len(data) // 3])


def test_every_film_that_gives_nothing_says_why_with_a_number(tmp_path):
  bad(tmp_path)
  wanted = {
    'text.mp4': 'unreadable',
    'empty.mp4': 'unreadable',
    'silent.mp4': 'no sound',
    'nobody.mp4': 'no face',
    'cut.mp4': 'unreadable',
    'heard.mp4': 'no video in it',
  }
  for name, reason in wanted.items():
    result = run(tmp_path / name, tmp_path / 'out')
    assert not result['kept']
    (dropped,) = result['dropped']
    assert dropped['reason'] == reason and dropped['source'] == name
    assert isinstance(dropped['value'], int | float)


def test_a_reason_does_not_depend_on_the_words_of_an_error(tmp_path, monkeypatch):
  """A file may be called as an error ends, and errors may change their words."""
  path = tmp_path / 'it has none: pass another file'
  path.write_text('this is no video')
  (dropped,) = run(path, tmp_path / 'out')['dropped']
  assert dropped['reason'] == 'unreadable'
  with av.open(str(tmp_path / 'voice.mp4'), 'w') as file:
    stream = file.add_stream('aac', rate=films.RATE, layout='mono')
    films.put_sound(file, stream, films.voice(0.5)[0])
  words = errors.InputError.__init__
  monkeypatch.setattr(errors.InputError, '__init__', lambda self, _: words(self, 'other words'))
  (dropped,) = run(tmp_path / 'voice.mp4', tmp_path / 'out')['dropped']
  assert dropped['reason'] == 'no video in it' and dropped['value'] > 0


def test_a_film_that_is_shorter_when_read_again_leaves_nothing_behind(tmp_path, monkeypatch):
  lengths = iter([None, 20])

  class Shrinking(film.Film):
    def frames(self, until=None):
      return itertools.islice(super().frames(until), next(lengths))

  monkeypatch.setitem(process.KINDS, 'film', Shrinking)
  result = run(films.talking(tmp_path / 'a.mp4', seconds=1.2), tmp_path)
  (dropped,) = result['dropped']
  assert dropped['reason'] == 'unreadable' and 'shorter' in dropped['detail']
  left = {path.name for path in (tmp_path / 'videos' / result['key']).iterdir()}
  assert not result['kept'] and left == {'result.json'}


def test_a_film_of_a_phone_held_upright_comes_out_upright(tmp_path):
  path = films.phone(tmp_path / 'phone.mp4', side=160, room=(96, 0))
  with av.open(str(path)) as file:
    stored = file.streams.video[0]
    assert (stored.height, stored.width) == (160, 256)  # it does lie
  result = run(path, tmp_path)
  (kept,) = result['kept']
  folder = tmp_path / 'videos' / result['key']
  with np.load(folder / '000.npz') as file:
    points, (x0, y0, side) = landmarks.unpack(file['landmarks'])[0], file['squares'][0]
  assert points[CHIN_TIP, 1] - points[FOREHEAD, 1] > 0.3  # chin below hairline
  assert points[RIGHT_LIDS.outer, 0] - points[LEFT_LIDS.outer, 0] > 0.1
  shown = np.pad(films.picture(0.0, 160), ((48, 48), (0, 0), (0, 0)), 'edge')
  wanted = cut(shown, (x0, y0, side), 64).astype(int)
  frames = codec.Frames((folder / '000.frames').read_bytes())
  assert min(np.abs(frame - wanted).mean() for frame in frames[:]) < 8  # two lossy codecs


def test_what_is_held_of_a_track_until_the_film_ends_is_a_few_numbers(processed, tmp_path):
  path, _, _ = processed
  job = film.Film(layouts.Source(str(path), 'a.mp4', 'somebody', 'train'), tmp_path, SETTINGS, None)
  found = job.find()
  assert len(found) == 1 and len(pickle.dumps(found)) < 2000  # bytes
  voice = sound.extract(path, tmp_path / 'sound.tmp')
  np.testing.assert_array_equal(voice[100:300], np.fromfile(voice.path, np.int16)[100:300])
  assert len(voice[-10:]) == 10 and len(voice[10:5]) == 0


def test_the_person_is_found_in_every_stored_frame_if_asked_for(processed):
  _, output, result = processed
  folder = output / 'videos' / result['key']
  mattes = codec.Frames((folder / '000.matte').read_bytes())
  with np.load(folder / '000.npz') as file:
    points = landmarks.unpack(file['landmarks'])
  assert len(mattes) == len(points) and result['kept'][0]['matte']
  x, y = (256 * points[0, NOSE_TIP]).astype(int)
  assert mattes[0][y, x, 0] > 200


def test_a_voice_of_somebody_else_is_out_of_sync(tmp_path):
  _, opening = films.voice(3.0, seed=1)
  other, _ = films.voice(3.0, seed=2)
  times = np.arange(75) / 25
  path = films.write(tmp_path / 'dubbed.mp4', films.frames(opening, times), times, other)
  settings = results.Settings(size=64, limits=filters.Limits(sync=0.75))
  (dropped,) = run(path, tmp_path, settings)['dropped']
  assert dropped['reason'] == 'out of sync' and dropped['value'] < dropped['limit']


def test_what_is_done_is_not_done_again_until_settings_change(processed, tmp_path):
  path, output, first = processed
  output = shutil.copytree(output, tmp_path / 'set')
  file = output / 'videos' / first['key'] / 'result.json'
  stamp = file.stat().st_mtime_ns
  assert run(path, output, MATTED) == json.loads(json.dumps(first))
  assert file.stat().st_mtime_ns == stamp
  other = run(path, output, results.Settings(size=32, limits=SETTINGS.limits))
  assert other['settings']['size'] == 32 and not other['kept'][0]['matte']


def test_blur_is_measured_on_the_face():
  sharp = films.picture(0.3, 192)
  points = FaceMesh(1).track([sharp])[0]
  smeared = cv2.GaussianBlur(sharp, (0, 0), 3)
  assert sharpness(sharp, points) > 2 * sharpness(smeared, points)


def test_the_drawn_mouth_is_seen_to_open():
  mesh = FaceMesh(1)
  opening = [mouth_opening(mesh.track([films.picture(o)])[0]) for o in (0.0, 1.0)]
  assert opening[1] > opening[0] + 0.05
