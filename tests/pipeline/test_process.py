import dataclasses
import io
import json
import pickle
import shutil

import av
import cv2
import numpy as np
import pytest

from ifmdm_jax.errors import InputError
from ifmdm_jax.face import crop, points
from ifmdm_jax.face.mesh import FaceMesh
from ifmdm_jax.face.track import Track, follow, sharpness
from ifmdm_jax.pipeline import frames as codec
from ifmdm_jax.pipeline.prep import filters, layouts, process
from tests.pipeline import films

SETTINGS = process.Settings(size=64, limits=filters.Limits(seconds=1.0, sync=0.2))


def run(path, output, settings=SETTINGS):
  source = layouts.Source(str(path), path.name, 'somebody', 'train')
  return process.process(source, output, settings, films.LevelJudge())


def sound_of(result, output):
  import soundfile

  return soundfile.read(output / 'videos' / result['key'] / '000.flac')[0]


@pytest.mark.parametrize(('fps', 'late'), [(25.0, 0.0), (29.97, 0.2), (50.0, -0.0)])
def test_any_frame_rate_comes_out_at_25_fps_with_the_voice_at_the_lips(tmp_path, fps, late):
  result = run(films.talking(tmp_path / 'a.mp4', fps=fps, late=late), tmp_path)
  (kept,) = result['kept']
  assert abs(kept['offset_frames'] - 25 * late) <= 1
  with np.load(tmp_path / 'videos' / result['key'] / '000.npz') as file:
    landmarks = process.unpack(file['landmarks'])
  assert len(landmarks) == kept['stop'] - kept['start']
  assert abs(len(landmarks) - (75 - 25 * late)) <= 1
  lag, r = films.LevelJudge()(sound_of(result, tmp_path), landmarks)
  assert abs(lag) <= 1 and r > 0.3


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


def test_stored_landmarks_lie_on_the_stored_frames(tmp_path):
  result = run(films.talking(tmp_path / 'a.mp4', seconds=2.0), tmp_path)
  folder = tmp_path / 'videos' / result['key']
  frames = codec.Frames((folder / '000.frames').read_bytes(), 256)
  with np.load(folder / '000.npz') as file:
    stored = process.unpack(file['landmarks'])
  seen = FaceMesh(1).track(list(frames[:3])) / 256
  # 64 px pictures: the mesh is good to about a pixel of them.
  assert np.abs(seen - stored[:3]).mean() < 0.02


def test_a_square_that_follows_keeps_its_side_and_moves_slowly():
  face = films.picture(0.3, 64)
  landmarks = FaceMesh(1).track([face])[0]
  path = np.linspace(0, 200, 100, dtype=np.float32)
  moving = landmarks + np.stack([path, 0 * path], -1)[:, None]
  track = Track(0, 0, (200, 400), moving, None, None)
  squares = process.squares_of(track, process.Settings(smoothing=0.5))
  assert len(set(squares[:, 2])) == 1 and np.ptp(squares[:, 0]) > 100
  assert np.abs(np.diff(squares[:, 0])).max() <= 4
  still = process.squares_of(track, process.Settings())
  assert (still == still[0]).all()


def test_landmarks_survive_storing():
  landmarks = np.random.default_rng(0).uniform(-0.4, 1.4, (3, 468, 2)).astype(np.float32)
  assert np.abs(process.unpack(process.pack(landmarks)) - landmarks).max() < 0.02 / 512


def stored(frames):
  file = io.BytesIO()
  file.close, close = lambda: None, file.close
  encoder = codec.Encoder(file)
  for frame in frames:
    encoder.add(frame)
  encoder.close()
  data = file.getvalue()
  close()
  return data


def test_frames_are_read_in_any_order_like_an_array():
  shades = np.arange(30, dtype=np.uint8)[:, None, None, None] * 8
  frames = np.broadcast_to(shades, (30, 32, 32, 3))
  read = codec.Frames(stored(frames))
  got = read[[17, 3, 29, 0, 3, 8]]
  assert len(read) == 30
  assert np.abs(got.astype(int) - frames[[17, 3, 29, 0, 3, 8]]).max() <= 3
  np.testing.assert_array_equal(read[:][5], read[5])
  np.testing.assert_array_equal(read[-1], read[29])
  assert codec.Frames(stored(frames), 16)[:2].shape == (2, 16, 16, 3)
  grey = codec.Frames(stored(frames[..., 0]))[[2, 9]]
  assert np.abs(grey.astype(int) - frames[[2, 9]]).max() <= 3
  with pytest.raises(IndexError):
    read[30]


def test_the_same_frames_are_the_same_bytes():
  frames = np.random.default_rng(0).integers(0, 255, (9, 32, 32, 3), np.uint8)
  assert stored(frames) == stored(frames)


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


def test_a_film_of_a_phone_held_upright_comes_out_upright(tmp_path):
  path = films.phone(tmp_path / 'phone.mp4', side=160, room=(96, 0))
  with av.open(str(path)) as file:
    stored = file.streams.video[0]
    assert (stored.height, stored.width) == (160, 256)  # it does lie
  result = run(path, tmp_path)
  (kept,) = result['kept']
  folder = tmp_path / 'videos' / result['key']
  with np.load(folder / '000.npz') as file:
    landmarks, (x0, y0, side) = process.unpack(file['landmarks'])[0], file['squares'][0]
  assert landmarks[points.CHIN_TIP, 1] - landmarks[points.FOREHEAD, 1] > 0.3  # chin below hairline
  assert landmarks[points.RIGHT_LIDS.outer, 0] - landmarks[points.LEFT_LIDS.outer, 0] > 0.1
  shown = np.pad(films.picture(0.0, 160), ((48, 48), (0, 0), (0, 0)), 'edge')
  wanted = crop.cut(shown, (x0, y0, side), 64).astype(int)
  frames = codec.Frames((folder / '000.frames').read_bytes())
  assert min(np.abs(frame - wanted).mean() for frame in frames[:]) < 8  # two lossy codecs


def test_what_is_held_of_a_track_until_the_film_ends_is_a_few_numbers(tmp_path):
  path = films.talking(tmp_path / 'a.mp4', seconds=2.0)
  film = process._Film(
    layouts.Source(str(path), 'a.mp4', 'somebody', 'train'), tmp_path, SETTINGS, None
  )
  film._find()
  assert len(film.tracks) == 1 and len(pickle.dumps(film.tracks)) < 2000  # bytes
  sound = film._sound()
  np.testing.assert_array_equal(sound[100:300], np.fromfile(sound.path, np.int16)[100:300])
  assert len(sound[-10:]) == 10 and len(sound[10:5]) == 0


def test_the_person_is_found_in_every_stored_frame_if_asked_for(tmp_path):
  path = films.talking(tmp_path / 'a.mp4', seconds=1.5)
  settings = dataclasses.replace(SETTINGS, matte=True)
  result = run(path, tmp_path, settings)
  folder = tmp_path / 'videos' / result['key']
  mattes = codec.Frames((folder / '000.matte').read_bytes())
  with np.load(folder / '000.npz') as file:
    landmarks = process.unpack(file['landmarks'])
  assert len(mattes) == len(landmarks) and result['kept'][0]['matte']
  x, y = (256 * landmarks[0, points.NOSE_TIP]).astype(int)
  assert mattes[0][y, x, 0] > 200


def test_a_voice_of_somebody_else_is_out_of_sync(tmp_path):
  _, opening = films.voice(3.0, seed=1)
  other, _ = films.voice(3.0, seed=2)
  times = np.arange(75) / 25
  path = films.write(tmp_path / 'dubbed.mp4', films.frames(opening, times), times, other)
  settings = process.Settings(size=64, limits=filters.Limits(sync=0.75))
  (dropped,) = run(path, tmp_path, settings)['dropped']
  assert dropped['reason'] == 'out of sync' and dropped['value'] < dropped['limit']


def test_what_is_done_is_not_done_again_until_settings_change(tmp_path):
  path = films.talking(tmp_path / 'a.mp4', seconds=1.5)
  first = run(path, tmp_path)
  stamp = (tmp_path / 'videos' / first['key'] / 'result.json').stat().st_mtime_ns
  assert run(path, tmp_path) == json.loads(json.dumps(first))
  assert (tmp_path / 'videos' / first['key'] / 'result.json').stat().st_mtime_ns == stamp
  other = run(path, tmp_path, process.Settings(size=32, limits=SETTINGS.limits))
  assert other['settings']['size'] == 32


def test_blur_is_measured_on_the_face():
  sharp = films.picture(0.3, 192)
  landmarks = FaceMesh(1).track([sharp])[0]
  smeared = cv2.GaussianBlur(sharp, (0, 0), 3)
  assert sharpness(sharp, landmarks) > 2 * sharpness(smeared, landmarks)


@pytest.mark.parametrize(
  ('layout', 'name', 'person'),
  [
    ('hdtf', 'clips/WDA_NancyPelosi0_000.mp4', 'WDA_NancyPelosi'),
    ('hdtf', 'RD_Radio34_003.mp4', 'RD_Radio34'),
    ('celebv', 'videos/-2KGPYEFnsU_11.mp4', '-2KGPYEFnsU'),
    ('voxceleb2', 'dev/mp4/id00017/01dfn2spqyE/00001.mp4', 'id00017'),
    ('talkinghead1kh', 'train/0SO4kYrZjoM_0000_S0_E300_L2_T3_R4_B5.mp4', '0SO4kYrZjoM'),
    ('folder', 'a/b.mov', 'a/b'),
  ],
)
def test_public_sets_tell_who_is_who(layout, name, person):
  assert layouts.person_of(name, layout) == person


def test_one_person_is_never_on_both_sides(tmp_path):
  for index in range(40):
    (tmp_path / f'id000{index % 10:02d}').mkdir(exist_ok=True)
    (tmp_path / f'id000{index % 10:02d}' / f'{index}.mp4').touch()
  splits = {}
  for source in layouts.find(tmp_path, 'voxceleb2'):
    splits.setdefault(source.person, set()).add(source.split)
  assert len(splits) == 10 and all(len(found) == 1 for found in splits.values())


def test_a_layout_that_does_not_exist_is_told(tmp_path):
  with pytest.raises(InputError, match='voxceleb2'):
    layouts.find(tmp_path, 'voxceleb')


def test_the_drawn_mouth_is_seen_to_open():
  mesh = FaceMesh(1)
  opening = [points.mouth_opening(mesh.track([films.picture(o)])[0]) for o in (0.0, 1.0)]
  assert opening[1] > opening[0] + 0.05
