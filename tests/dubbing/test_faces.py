"""Who is where in a film, and which frames get new lips."""

import cv2
import numpy as np
import pytest

from ifmdm_jax.dubbing import faces, fates, people
from ifmdm_jax.dubbing.film import Film
from ifmdm_jax.errors import InputError
from tests.dubbing import films
from tests.pipeline import films as talking


def read(path, **choice):
  film = Film(path)
  reading = faces.read(film, film.all_times())
  everybody = people.tell_apart(reading)
  chosen = people.choose(everybody, reading, film, **choice)
  return film, reading, everybody, chosen


def story(path, **choice):
  """Lists (fate, frames) of the parts of a film."""
  _, reading, everybody, chosen = read(path, **choice)
  fate, _ = fates.decide(reading, everybody, chosen)
  return [(fates.NAMES[fate[a]], b - a) for a, b in fates.runs(fate, reading.takes)]


def covered(picture):
  """Lays a hand over the mouth of `films.talk`'s first frame."""
  result = picture.copy()
  for finger in range(4):
    y = 62 + 9 * finger
    cv2.line(result, (112, y), (180, y + 4), (205 - 8 * finger, 160, 130), 9)
  return result


@pytest.fixture(scope='module')
def two(tmp_path_factory):
  """A film of two people: a large one on the left, and from the cut on a small one on the left."""
  large, small = films.face(300), films.face(200, flip=True, tint=(0.6, 0.9, 1.0))
  first = films.put(films.put(films.wall(300, 520), large, -40, 0), small, 310, 60)
  second = films.put(films.put(films.wall(300, 520, 5), small, 10, 60), large, 230, 0)
  path = tmp_path_factory.mktemp('two') / 'a.mp4'
  return films.write(path, [first] * 13 + [second] * 12)


def test_people_are_told_apart_across_a_cut(two, capsys):
  _, reading, everybody, chosen = read(two)
  assert len(everybody) == 2 and chosen == 0
  assert '2 people found, taking the one who is seen most; --face 1 to 2' in capsys.readouterr().err
  assert reading.takes.tolist() == [0] * 13 + [1] * 12
  for person in everybody:
    assert [(t.start, len(t.rows)) for t in sorted(person.tracks, key=lambda t: t.start)] == [
      (0, 13), (13, 12)]  # fmt: skip
  heights = [np.ptp(reading.landmarks(p.tracks[0].rows[:1])[0, :, 1]) for p in everybody]
  assert heights[0] > 1.3 * heights[1]


def test_people_are_told_apart_without_a_network_of_recognition(two, monkeypatch):
  def missing():
    raise InputError('not installed')

  monkeypatch.setattr(faces, 'SFace', missing)
  _, _, everybody, _ = read(two)
  assert [len(person.tracks) for person in everybody] == [2, 2]


def test_a_person_is_chosen_by_number_or_place(two):
  assert read(two, face=2)[3] == 1
  assert read(two, who='largest')[3] == 0
  left, right = (read(two, who=who)[3] for who in ('left', 'right'))
  assert left != right
  with pytest.raises(InputError, match='expected --face 1 to 2, got 3'):
    read(two, face=3)
  with pytest.raises(InputError, match='has none'):
    read(two, who='speaking')  # to nothing


def test_the_one_who_speaks_is_the_one_whose_mouth_moves_with_the_sound(tmp_path):
  waveform, opening = talking.voice(3.0)
  times = np.arange(75) / 25
  speaks = talking.frames(opening, times, side=160)
  other = talking.voice(3.0, seed=9)[1]
  moves = talking.frames(lambda t: 0.4 * other(t), times, side=160, flip=True, tint=-30)
  pictures = [np.concatenate([a, b], 1) for a, b in zip(moves, speaks)]
  path = films.write(tmp_path / 'a.mp4', pictures, waveforms=[waveform])
  _, _, everybody, chosen = read(path, who='speaking')
  assert len(everybody) == 2 and everybody[chosen].middle > 160


def test_a_mouth_under_a_hand_is_left_alone(tmp_path):
  pictures = films.talk(90, side=220)
  pictures = [covered(p) if 30 <= n < 38 else p for n, p in enumerate(pictures)]
  parts = story(films.write(tmp_path / 'a.mp4', pictures))
  assert [what for what, _ in parts] == ['dubbed', 'mouth covered', 'dubbed']
  assert abs(parts[0][1] - 30) <= 1 and abs(parts[1][1] - 8) <= 2


def test_frames_without_a_usable_face_say_why(tmp_path):
  empty, person = films.wall(240, 320), films.talk(12)
  tiny = [films.put(empty, films.face(64), 100, 90)] * 12
  parts = story(films.write(tmp_path / 'a.mp4', [empty] * 10 + person + tiny))
  assert [what for what, _ in parts] == ['no face', 'dubbed', 'face too small']
  gone = [films.put(empty, films.face(220), 40, 168 + n) for n in range(12)]
  parts = story(films.write(tmp_path / 'b.mp4', person + gone))
  assert {'dubbed', 'mouth beyond the border'} <= {what for what, _ in parts}


def test_a_film_without_any_face_passes_unless_one_is_asked_for(tmp_path):
  path = films.write(tmp_path / 'a.mp4', [films.wall(240, 320)] * 5)
  assert story(path) == [('no face', 5)]
  with pytest.raises(InputError, match='expected a face'):
    read(path, face=1)


def test_a_head_that_turns_is_measured():
  points = np.zeros((1, 478, 3), np.float32)
  points[0, 454, 0], points[0, 454, 2] = np.cos(np.radians(60)), np.sin(np.radians(60))
  assert fates.turn(points) == pytest.approx([60.0], abs=1e-4)


def test_short_gaps_are_bridged_and_short_parts_left_alone():
  fate = np.array([0] * 10 + [fates.PROFILE] * 2 + [0] * 10 + [fates.NO_FACE] + [0] * 3, np.int8)
  fates._steady(fate)
  assert fate.tolist() == [0] * 22 + [fates.NO_FACE] + [fates.SHORT] * 3
