"""Tracks of face units: what other programs export, read by names."""

import json

import numpy as np
import pytest

from ifmdm_jax import track
from ifmdm_jax.errors import InputError

HEADER = 'Timecode,BlendshapeCount,EyeBlinkLeft,EyeBlinkRight,JawOpen,TongueOut,HeadYaw'


def live_link(path, rows=61):
  """As Live Link Face writes it: capitals, a time code of its own, the head."""
  lines = [HEADER]
  lines += [f'10:55:31:{t % 60:02d}.000,61,{t / 60},0.25,{1 - t / 60},0.0,0.3' for t in range(rows)]
  path.write_text('\n'.join(lines) + '\n')
  return path


def unit(found, name):
  return found.units[:, track.UNITS.index(name)]


def test_columns_are_units_by_name_and_rows_moments(tmp_path, capsys):
  found = track.read(live_link(tmp_path / 'take.csv'), fps=60)
  assert found.units.shape == (26, 51) and found.units.dtype == np.float32  # a second
  np.testing.assert_allclose(unit(found, 'eyeBlinkLeft'), np.linspace(0, 1, 26), atol=1e-6)
  np.testing.assert_allclose(unit(found, 'jawOpen'), np.linspace(1, 0, 26), atol=1e-6)
  np.testing.assert_allclose(unit(found, 'eyeBlinkRight'), 0.25)
  assert found.units.sum(0).astype(bool).sum() == 3
  np.testing.assert_array_equal(found.turn, np.broadcast_to(np.eye(3), (26, 3, 3)))
  said = capsys.readouterr().err
  assert 'not read: BlendshapeCount, TongueOut, HeadYaw' in said


def test_json_of_audio2face_says_its_rate(tmp_path):
  table = [[t / 30, 0.5] for t in range(31)]
  content = {'exportFps': 30.0, 'numPoses': 2, 'facsNames': ['jawOpen', 'mouthSmileLeft'],
             'weightMat': table}  # fmt: skip
  (tmp_path / 'a.json').write_text(json.dumps(content))
  found = track.read(tmp_path / 'a.json')
  np.testing.assert_allclose(unit(found, 'jawOpen'), np.linspace(0, 1, 26), atol=1e-6)
  np.testing.assert_allclose(unit(found, 'mouthSmileLeft'), 0.5)


def test_names_of_ict_are_ours_and_its_halves_one(tmp_path):
  frames = np.linspace(0, 1, 25)
  arrays = dict(jawOpen=frames, browDown_L=frames, browInnerUp_L=frames, browInnerUp_R=0 * frames,
                fps=25)  # fmt: skip
  np.savez(tmp_path / 'a.npz', **arrays)
  found = track.read(tmp_path / 'a.npz')
  np.testing.assert_allclose(unit(found, 'browDownLeft'), frames, atol=1e-6)
  np.testing.assert_allclose(unit(found, 'browInnerUp'), frames / 2, atol=1e-6)
  assert unit(found, 'browDownRight').max() == 0


def test_eyes_look_where_their_units_say(tmp_path):
  still = np.zeros(2)
  arrays = dict(jawOpen=still, eyeLookOutLeft=[0, 1], eyeLookInRight=[0, 1], eyeLookDownLeft=[0, 1],
                eyeLookDownRight=[0, 1], fps=25)  # fmt: skip
  np.savez(tmp_path / 'a.npz', **arrays)
  found = track.read(tmp_path / 'a.npz')
  np.testing.assert_allclose(found.gaze, [[0, 0], [track.LOOKS, track.LOOKS]])


def test_a_column_of_seconds_says_when(tmp_path):
  seconds = [0.0, 0.4, 1.2]  # as uneven as they like
  lines = ['timeCode,jawOpen', *(f'{at},{at / 1.2}' for at in seconds)]
  (tmp_path / 'a.csv').write_text('\n'.join(lines))
  found = track.read(tmp_path / 'a.csv')
  np.testing.assert_allclose(unit(found, 'jawOpen'), np.linspace(0, 1, 31), atol=1e-6)


def test_bad_tracks_are_one_line_that_says_what_to_do(tmp_path):
  path = tmp_path / 'a.csv'
  for text, said in (
    ('', 'row of names'),
    ('jawOpen\n', 'row of names'),
    ('a,b\n1,2\n', "expected face units by their names .* found a, b"),
    ('jawOpen,eyeBlinkLeft\n0.1,0.2\n0.3\n', 'row of names'),
    ('time,jawOpen\n0,0.1\n0,0.2\n', 'grow'),
    ('time,jawOpen\n0,ten\n1,0.2\n', 'expected a number a moment for jawOpen'),
    ('time,jawOpen\n0,0\n1,100\n', 'divide it, where that is percent'),
    ('time,jawOpen\n0,nan\n1,0\n', 'from 0 to 1'),
    ('jawOpen\n0.1\n0.2\n', '--drive_fps'),
  ):  # fmt: skip
    path.write_text(text)
    with pytest.raises(InputError, match=said):
      track.read(path)
  with pytest.raises(InputError, match='1 to 1000'):
    track.read(live_link(path), fps=0.0)
  path.write_bytes(b'\xff\xfe\x00jawOpen')
  with pytest.raises(InputError, match='table'):
    track.read(path)
  for content, said in (
    ([1, 2], 'got a list'),
    ({'jawOpen': 0.5, 'fps': 25}, 'a number a moment'),
    ({'jawOpen': [0.5], 'fps': None}, '--drive_fps'),
    ({'jawOpen': [0.5, 0.6], 'time': ['a', 'b']}, '--drive_fps'),
    ({'jawOpen': [10**400], 'fps': 25}, 'a number a moment'),
    ({'jawOpen': [0.1], 'eyeBlinkLeft': [0.1, 0.2], 'fps': 25}, 'every unit'),
    ({'jawOpen': ['a'], 'fps': 25}, 'a number a moment'),
    ({'facsNames': ['jawOpen'], 'weightMat': [[0, 1]], 'exportFps': 30}, 'row of 1 numbers'),
  ):
    (tmp_path / 'a.json').write_text(json.dumps(content))
    with pytest.raises(InputError, match=said):
      track.read(tmp_path / 'a.json')
  (tmp_path / 'a.txt').write_text('jawOpen')
  with pytest.raises(InputError, match='.csv or .json or .npz'):
    track.read(tmp_path / 'a.txt')
