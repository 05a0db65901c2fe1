"""The mark cannot be seen, outlives what platforms do, and is found nowhere else."""

import av
import cv2
import numpy as np
import pytest

from ifmdm_jax import video
from ifmdm_jax.trust import mark, mark_reader
from ifmdm_jax.trust.origin import Origin
from ifmdm_jax.video import read
from tests.trust import videos

NUMBER = 0x0A5C3F1
AS_MADE = Origin(number=NUMBER)


@pytest.fixture(scope='module')
def marked(tmp_path_factory):
  path = tmp_path_factory.mktemp('marked') / 'a.mp4'
  video.write(path, videos.talk(), provenance=AS_MADE)
  return path


WAYS = {
  'as written': None,
  'encoded, scaled and cropped': dict(crf=28, scale=0.75, crop=0.8),
  'encoded strongly': dict(crf=31),
  'another frame rate': dict(fps=30),
}


@pytest.mark.parametrize('way', WAYS)
def test_four_seconds_give_the_number_back(marked, tmp_path, way):
  path = videos.again(marked, tmp_path / 'b.mp4', **WAYS[way]) if WAYS[way] else marked
  found = mark_reader.look(path)
  assert found.found and found.number == NUMBER and found.version == mark.VERSION


def test_after_two_generations_it_is_there(marked, tmp_path):
  first = videos.again(marked, tmp_path / 'b.mp4', crf=23)
  assert mark_reader.look(videos.again(first, tmp_path / 'c.mp4', crf=28)).number == NUMBER


def test_it_changes_frames_by_less_than_they_could_be_seen_to_change():
  marker, errors = mark.Marker(NUMBER), []
  for k, frame in enumerate(videos.talk(48)):
    errors.append(np.mean((marker.mark(frame, k / 25).astype(np.float32) - frame) ** 2))
  assert 10 * np.log10(255**2 / np.mean(errors)) >= 42  # dB, over whole periods
  assert 10 * np.log10(255**2 / np.max(errors)) >= 41


def test_the_sign_changes_softly():
  values = mark.wave(0.04 * np.arange(240))  # ten periods
  assert np.abs(np.diff(values)).max() < 1  # of 2: no frame turns the whole pattern round
  assert abs(values.mean()) < 0.02 and (np.abs(values) == 1).mean() > 0.6


def test_a_mirrored_video_is_known_too(marked, tmp_path):
  video.write(tmp_path / 'b.mp4', read.read_frames(marked)[:, :, ::-1], provenance=False)
  found = mark_reader.look(tmp_path / 'b.mp4')
  assert found.number == NUMBER and found.mirrored


def test_a_video_without_a_mark_has_none(tmp_path):
  video.write(tmp_path / 'a.mp4', videos.talk(), provenance=False)
  assert not mark_reader.look(tmp_path / 'a.mp4').found


def test_a_film_that_is_too_short_is_not_judged(tmp_path):
  video.write(tmp_path / 'a.mp4', videos.talk(30))
  assert mark_reader.look(tmp_path / 'a.mp4') is None


def test_live_frames_are_marked_however_they_come():
  frames = np.stack(list(videos.talk(100, 256)))
  parts = np.concatenate(list(mark.live(np.split(frames, [1, 7, 50]), number=NUMBER)))
  np.testing.assert_array_equal(parts, np.concatenate(list(mark.live([frames], number=NUMBER))))
  lights = [mark_reader.reduced(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)) for frame in parts]
  assert mark_reader.read(lights, np.arange(100) / 25).number == NUMBER


def test_frames_of_ten_bits_and_turned_ones_are_marked_as_players_show_them():
  marker = mark.Marker(NUMBER, shown=((512, 512), np.float64([[0, 1, 0], [-1, 0, 512]])))
  lights = []
  for k, frame in enumerate(videos.talk()):
    stored = 4 * np.rot90(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)).astype(np.uint16)
    marker.mark_light(stored, k / 25)
    lights.append(mark_reader.reduced((np.rot90(stored, -1) // 4).astype(np.uint8)))
  assert mark_reader.read(lights, np.arange(100) / 25).number == NUMBER


@pytest.mark.parametrize('size', [(2, 2), (6, 40), (18, 22)])
def test_tiny_frames_can_be_written(tmp_path, size):
  video.write(tmp_path / 'a.mp4', np.zeros((3, *size, 3), np.uint8))
  assert read.read_frames(tmp_path / 'a.mp4').shape == (3, *size, 3)


def test_what_is_written_to_be_measured_has_no_mark(tmp_path):
  """Bit for bit what the encoder makes of the frames."""
  frames = np.stack(list(videos.talk(4)))
  for name in 'ab':
    video.write(tmp_path / f'{name}.mp4', frames, provenance=False)
  with av.open(str(tmp_path / 'a.mp4')) as container:
    assert 'AIGC' not in container.metadata and 'Synthetic' in container.metadata['comment']
  a, b = ((tmp_path / f'{name}.mp4').read_bytes() for name in 'ab')
  assert a == b and b'c2pa' not in a
