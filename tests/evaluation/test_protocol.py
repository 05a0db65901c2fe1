import json
import pathlib

import cv2
import numpy as np
import pytest

from ifmdm_jax import testing, video
from ifmdm_jax.errors import InputError
from ifmdm_jax.evaluation import generators, protocol
from tests.video import test_shown

PROTOCOLS = pathlib.Path(__file__).parents[2] / 'data' / 'protocols'


def track(frames):
  return np.zeros((len(frames), 468, 2), np.float32)


def encode_audio(waveform, sample_rate):
  return np.zeros((2 * round(len(waveform) / sample_rate * 25), 4), np.float32)


@pytest.fixture
def write(tmp_path):
  """Writes clips/a.mp4 (2 s of a drawn face) and a protocol with changes; returns its path."""
  frames, _, waveform = testing.talking_face(50)
  (tmp_path / 'clips').mkdir()
  video.write(tmp_path / 'clips' / 'a.mp4', frames, waveform)

  def protocol_file(clip=None, **changes):
    content = dict(root='.', size=64, clips=[dict(video='clips/a.mp4', person='p', **(clip or {}))])
    (tmp_path / 'protocol.json').write_text(json.dumps(content | changes))
    return tmp_path / 'protocol.json'

  return protocol_file


def load(path):
  clips = protocol.read(path)
  return protocol.load(clips, clips.clips[0], track, encode_audio).clip


def test_an_excerpt_is_cut_from_pictures_and_sound_alike(write):
  whole = load(write())
  part = load(write(dict(start=0.4, seconds=1)))
  assert whole.frames.shape == (50, 64, 64, 3) and len(whole.waveform) == 2 * 16_000
  np.testing.assert_array_equal(part.frames, whole.frames[10:35])
  np.testing.assert_array_equal(part.waveform, whole.waveform[6400:22400])
  assert part.features.shape == (50, 4)


def test_a_shorter_file_than_asked_is_noted(write):
  assert load(write(dict(seconds=9))).notes == ('ends after 50 of 225 frames',)


def test_a_file_without_sound_is_still_a_clip(write):
  path = write()
  frames, _, _ = testing.talking_face(5)
  video.write(path.parent / 'clips' / 'a.mp4', frames)
  clip = load(path)
  assert clip.waveform is None and clip.features is None and 'no sound' in clip.notes[0]


def test_the_hash_tells_a_changed_file(write):
  path = write()
  right = protocol.sha256(path.parent / 'clips' / 'a.mp4')
  assert load(write(dict(sha256=right))).name == 'a'
  with pytest.raises(InputError, match='sha256 differs'):
    load(write(dict(sha256='0' * 64)))


def test_a_pattern_must_fit_one_file(write):
  clip = dict(person='p', name='p')
  assert load(write(clips=[dict(video='clips/*.mp4', **clip)])).name == 'p'
  with pytest.raises(InputError, match='found 0'):
    load(write(clips=[dict(video='clips/b*.mp4', **clip)]))


def test_shots_and_text_come_with_a_clip_where_the_protocol_has_them(write):
  path = write(dict(text='Good morning.', shots='shots/*.png'))
  with pytest.raises(InputError, match='expected pictures shots'):
    load(path)
  (path.parent / 'shots').mkdir()
  for number in range(3):
    picture = np.full((70 + number, 70 + number, 3), number, np.uint8)
    cv2.imwrite(str(path.parent / 'shots' / f'{number}.png'), picture)
  clip = load(path)
  assert clip.text == 'Good morning.' and clip.shots[:, 0, 0, 0].tolist() == [0, 1, 2]
  assert clip.restricted({'shots:2'}).shots.shape == (2, 64, 64, 3)


def test_nothing_leads_from_the_portrait_to_the_video_nor_can_the_video_be_changed(write):
  clip = load(write())
  np.testing.assert_array_equal(clip.image, clip.frames[0])
  assert clip.image.base is None
  with pytest.raises(ValueError, match='read-only'):
    clip.frames[0] = 0


def test_small_clips_are_enlarged_and_it_is_noted(write):
  clip = load(write(size=128))
  assert clip.frames.shape[1:3] == (128, 128) and '64 pixels enlarged' in clip.notes[0]


@pytest.mark.parametrize(
  'changes, message',
  [
    (dict(clips=[]), 'one clip or more'),
    (dict(size=8), 'size from 64'),
    (dict(size='512'), '"size"'),
    (dict(sise=512), 'unknown "sise"'),
    (dict(root='nowhere'), 'there is none'),
    (dict(clips=[dict(video='a.mp4')]), 'expected "person"'),
    (dict(clips=2 * [dict(video='a.mp4', person='p')]), 'two clips named a'),
    (dict(clips=[dict(video='a.mp4', person='p', name='../p')]), 'letters'),
  ],
)
def test_a_wrong_protocol_is_one_line(write, changes, message):
  with pytest.raises(InputError, match=message):
    protocol.read(write(**changes))


def test_no_json_is_one_line(tmp_path):
  with pytest.raises(InputError, match='is not a file'):
    protocol.read(tmp_path / 'none.json')
  (tmp_path / 'bad.json').write_text('{')
  with pytest.raises(InputError, match='bad.json, which cannot be read'):
    protocol.read(tmp_path / 'bad.json')


def test_the_protocols_that_ship_are_well_formed_and_name_nobody():
  for path in PROTOCOLS.glob('*.json'):
    content = json.loads(path.read_text())
    root = path.parent / content['root']
    if root.is_dir():
      protocol.read(path)
    assert all(clip['person'] == clip['name'] for clip in content['clips'])


def test_a_clip_whose_pictures_are_damaged_is_scored_by_nobody(write, tmp_path):
  """A frame that stands for what is lost would be compared with what a generator draws."""
  path = write()
  test_shown.spoiled(tmp_path / 'clips' / 'a.mp4', [23], 'mjpeg', 'yuvj420p')
  with pytest.raises(InputError, match='is damaged: 1 packet of pictures'):
    load(path)


def test_a_video_of_others_whose_pictures_are_damaged_is_noted(write, tmp_path):
  clips = protocol.read(write())
  reference = protocol.load(clips, clips.clips[0], track, encode_audio)
  (tmp_path / 'theirs').mkdir()
  test_shown.spoiled(tmp_path / 'theirs' / 'a.mp4', [23], 'mjpeg', 'yuvj420p')
  video = generators.Folder(tmp_path / 'theirs').driven(reference, 0)
  assert len(video.frames) == 50 and '1 packet of pictures' in video.notes[0]
