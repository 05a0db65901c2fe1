"""Whole edits with a stand-in for the editor: what changes, what stays, what is refused."""

import json

import av
import numpy as np
import pytest

from ifmdm_jax import dubbing
from ifmdm_jax.audio import sound as read
from ifmdm_jax.dubbing import edits, planes
from ifmdm_jax.dubbing.film import Film
from ifmdm_jax.errors import InputError
from ifmdm_jax.shot import Change
from tests.dubbing import films


class Editor(films.Painter):
  """Paints the lower face in the frames of the first change."""

  def check(self, changes):
    """Takes all but one name."""
    if any(change.name == 'nothing' for change in changes):
      raise InputError('expected a unit')

  def edit(self, shot, changes):
    """Paints."""
    self.given, start = changes, 0
    for painted in self.dub(shot):
      times = shot.times[start : start + len(painted.mask)]
      inside = np.zeros(len(times), bool)
      for change in changes:
        inside |= (times > change.begins) & (times < change.ends)
      yield painted._replace(mask=painted.mask * inside[:, None, None])
      start += len(times)


def kept(path):
  """Names of the files of a folder, without the inputs."""
  return sorted(p.name for p in path.iterdir() if p.name[0] != 'a')


def packets(path, kind):
  """Bytes of the packets of a track."""
  with av.open(str(path)) as container:
    [stream] = [stream for stream in container.streams if stream.type == kind]
    return [bytes(packet) for packet in container.demux(stream) if packet.size]


@pytest.fixture
def spy(monkeypatch):
  """Keeps what is handed to the encoder."""
  handed = []

  class Spy(edits.FilmWriter):
    def add(self, frame, moment):
      handed.append((frame, moment))
      super().add(frame, moment)

  monkeypatch.setattr(edits, 'FilmWriter', Spy)
  return handed


def test_frames_out_of_the_spans_are_the_films_bit_for_bit(tmp_path, spy):
  hum = 0.3 * np.sin(np.arange(16_000) / 16)
  path = films.write(tmp_path / 'a.mp4', films.talk(25), waveforms=[hum])
  film, editor = Film(path), Editor()
  before = [planes.copied(frame) for frame in film.all_times()]
  changes = [Change('close_mouth', 1, 0.3, 0.6), Change('close_eyes', 1, 0.78, 0.9)]
  result = dubbing.edit(path, tmp_path / 'o.mp4', editor, changes)
  assert len(spy) == len(before) == result.frames == 25
  assert [moment for _, moment in spy] == pytest.approx(film.times)
  changed = [
    any((a != b).any() for a, b in zip(planes.planes(old), planes.planes(new)))
    for old, (new, _) in zip(before, spy)
  ]
  inside = [0.3 < t < 0.6 or 0.78 < t < 0.9 for t in film.times]
  assert changed == inside and result.dubbed == sum(inside)
  assert len(editor.shots[0]) == 25  # the whole take is seen
  report = json.loads(result.report.read_text())
  assert report['edited_frames'] == sum(inside)
  assert [part['did'] for part in report['segments']] == ['as it was', 'edited'] * 2 + ['as it was']
  assert report['segments'][0]['why'] == 'nothing to change'
  assert report['changes'][0] == dict(name='close_mouth', value=1, start=0.3, end=0.6)
  # Times are the film's, and so is the sound.
  again = Film(tmp_path / 'o.mp4')
  assert len(list(again.all_times())) == 25 and again.times == pytest.approx(film.times, abs=1e-4)
  assert packets(path, 'audio') == packets(tmp_path / 'o.mp4', 'audio')
  np.testing.assert_array_equal(read.audio(path), read.audio(tmp_path / 'o.mp4'))


def test_each_take_is_given_the_changes_by_its_own_time(tmp_path):
  pictures = films.talk(12) + films.talk(13, side=215, seed=4, flip=True)
  path, editor = films.write(tmp_path / 'a.mp4', pictures), Editor()
  result = dubbing.edit(path, tmp_path / 'o.mp4', editor, [Change('close_mouth', 1, 0.72, 0.9)])
  [shot] = editor.shots  # the first take passes
  assert len(shot) == 13 and result.dubbed == 4
  assert editor.given[0].begins == pytest.approx(0.24, abs=1e-3)


def test_of_a_long_take_only_what_is_around_a_span_is_held(tmp_path, monkeypatch):
  monkeypatch.setattr(edits, 'AROUND', 0.21)
  path, editor = films.write(tmp_path / 'a.mp4', films.talk(40)), Editor()
  result = dubbing.edit(path, tmp_path / 'o.mp4', editor, [Change('close_mouth', 1, 0.7, 0.9)])
  [shot] = editor.shots
  assert len(shot) == 15 and result.dubbed == 5 and result.frames == 40
  assert editor.given[0].begins == pytest.approx(0.18, abs=1e-3)


def test_a_sound_that_the_container_cannot_hold_becomes_one_that_it_can(tmp_path, capsys):
  hum = 0.3 * np.sin(np.arange(12_800) / 16)
  path = films.write(tmp_path / 'a.mov', films.talk(20), waveforms=[hum], sound='pcm_alaw')
  dubbing.edit(path, tmp_path / 'o.mp4', Editor(), [Change('close_mouth', 1, 0.2, 0.4)])
  assert '.mp4 holds no pcm_alaw: the sound becomes AAC' in capsys.readouterr().err
  with av.open(str(tmp_path / 'o.mp4')) as container:
    assert container.streams.audio[0].codec_context.name == 'aac'


@pytest.mark.parametrize(
  ('given', 'said'),
  [
    (dict(changes=[Change('close_mouth', 1, 0.5, 3.0)]), 'which is 0.80 s long'),
    (dict(changes=[Change('nothing', 1, 0.1, 0.4)]), 'expected a unit'),
    (dict(changes=[]), 'something to change'),
    (dict(changes=[Change('close_mouth', 1, 0.62, 0.78)]), r'no frame of it has one \(no face\)'),
    (dict(face=2), '--face 1 to 1'),
    (dict(who='left', face=1), 'leave one out'),
    (dict(output='o.avi'), r'named \*.mp4'),
    (dict(video='missing.mp4'), 'is not a file'),
  ],
)
def test_bad_input_is_one_line_and_leaves_nothing(tmp_path, given, said):
  films.write(tmp_path / 'a.mp4', [*films.talk(15), *[films.wall(240, 320)] * 5])
  given = dict(video='a.mp4', output='o.mp4', changes=[Change('close_mouth', 1, 0.1, 0.4)]) | given
  for name in ('video', 'output'):
    given[name] = tmp_path / given[name]
  with pytest.raises(InputError, match=said) as raised:
    dubbing.edit(editor=Editor(), **given)
  assert '\n' not in str(raised.value) and kept(tmp_path) == []


def test_a_span_that_shows_the_face_in_part_is_edited_there(tmp_path, capsys):
  path = films.write(tmp_path / 'a.mp4', [*films.talk(15), *[films.wall(240, 320)] * 5])
  result = dubbing.edit(path, tmp_path / 'o.mp4', Editor(), [Change('close_mouth', 1, 0.5, 0.7)])
  assert result.dubbed == 2
  assert '3 of 5 frames in 0.5-0.7 cannot be changed (no face)' in capsys.readouterr().err


@pytest.mark.parametrize(
  ('text', 'found'),
  [
    ('3.2-4.1', [(3.2, 4.1)]),
    ('3-4, 1:05-1:06.5', [(3, 4), (65, 66.5)]),
    ('.5-1', [(0.5, 1)]),
  ],
)
def test_spans_are_read(text, found):
  assert edits.spans(text, 'close_mouth') == found


@pytest.mark.parametrize('text', ['3', '3-', '4-3', '3-3', 'a-b', '1-2-3', '', '-1-2', '3–4'])
def test_spans_that_are_none_name_the_flag(text):
  with pytest.raises(InputError, match='--close_mouth'):
    edits.spans(text, 'close_mouth')


def test_units_are_read_with_their_spans():
  first, second = edits.unit_changes('mouthSmileLeft=0.4@2-5,7-8')
  assert first == ('mouthSmileLeft', 0.4, 2, 5) and second[2:] == (7, 8)
  for text in ('mouthSmileLeft@2-5', 'jawOpen=0.4', 'jawOpen=x@1-2', 'jawOpen=1.2.3@1-2'):
    with pytest.raises(InputError, match='NAME=VALUE@FROM-TO'):
      edits.unit_changes(text)
  with pytest.raises(InputError, match='--close_mouth 1-2'):
    edits.unit_changes('close_mouth=1@1-2')
