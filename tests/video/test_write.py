import av
import numpy as np
import pytest

from ifmdm_jax.errors import InputError
from ifmdm_jax.video import Writer, read, write


def clip(count=12, height=64, width=96):
  """Flat colours that move a little: what 4:2:0 keeps."""
  frames = np.zeros((count, height, width, 3), np.uint8)
  frames[...] = (200, 90, 40)
  frames[..., 0] -= np.arange(count, dtype=np.uint8)[:, None, None] * 4
  return frames


def tone(seconds, rate=16_000):
  time = np.arange(round(seconds * rate)) / rate
  return (0.4 * np.sin(2 * np.pi * 220 * time)).astype(np.float32)


def test_a_browser_can_play_it(tmp_path):
  write(tmp_path / 'a.mp4', clip(), tone(0.48))
  with av.open(str(tmp_path / 'a.mp4')) as container:
    video, audio = container.streams.video[0], container.streams.audio[0]
    assert (video.codec_context.name, video.codec_context.pix_fmt) == ('h264', 'yuv420p')
    assert (video.average_rate, video.frames) == (25, 12)
    assert (audio.codec_context.name, audio.rate) == ('aac', 16_000)
  data = (tmp_path / 'a.mp4').read_bytes()
  assert data.index(b'moov') < data.index(b'mdat')  # playing starts before all has come


def test_what_is_written_is_read_again(tmp_path):
  write(tmp_path / 'a.mp4', clip(), tone(0.48))
  frames = read.read_frames(tmp_path / 'a.mp4')
  assert frames.shape == clip().shape
  assert np.abs(frames.astype(int) - clip()).mean() < 2  # colours, too: BT.709 both ways
  sound = read.audio(tmp_path / 'a.mp4')[:7_680]
  assert np.corrcoef(sound[800:-800], tone(0.48)[800:-800])[0, 1] > 0.99


@pytest.mark.parametrize(('rate', 'channels'), [(16_000, 1), (44_100, 2), (22_050, 1), (12_345, 1)])
def test_the_sound_is_never_cut_short(tmp_path, rate, channels):
  sound = np.repeat(tone(1.234, rate)[:, None], channels, 1)
  write(tmp_path / 'a.mp4', clip(12), sound, rate)  # pictures end much earlier
  rate_again, blocks = read.audio_blocks(tmp_path / 'a.mp4')
  again = np.concatenate(list(blocks))
  assert again.shape[1] == channels
  assert len(again) / rate_again >= 1.234 - 0.002
  assert np.abs(again[-int(0.15 * rate_again) : -int(0.1 * rate_again)]).max() > 0.2


def test_blocks_of_sound_and_integers_are_taken_as_well(tmp_path):
  whole = tone(0.48)
  write(tmp_path / 'a.mp4', clip(), whole)
  write(tmp_path / 'b.mp4', clip(), iter(np.split(whole[:, None], 10)))
  write(tmp_path / 'c.mp4', clip(), np.round(whole * 32767).astype(np.int16))
  a, b, c = (read.audio(tmp_path / f'{name}.mp4')[:7_680] for name in 'abc')
  for other in (b, c):  # 2 %: the encoder decides by block
    assert np.sqrt(((a - other) ** 2).mean()) < 0.02 * np.sqrt((a**2).mean())


def test_a_video_needs_no_sound_and_odd_sizes_lose_a_row(tmp_path):
  write(tmp_path / 'a.mp4', clip(3, 65, 97))
  assert read.read_frames(tmp_path / 'a.mp4').shape == (3, 64, 96, 3)


@pytest.mark.parametrize('fails_at', [0, 5])
def test_a_failure_leaves_nothing_and_keeps_the_old_file(tmp_path, fails_at):
  (tmp_path / 'a.mp4').write_bytes(b'old')

  def frames():
    yield from clip(fails_at)
    raise RuntimeError('while generating')

  with pytest.raises(RuntimeError):
    write(tmp_path / 'a.mp4', frames(), tone(1))
  assert [each.name for each in tmp_path.iterdir()] == ['a.mp4']
  assert (tmp_path / 'a.mp4').read_bytes() == b'old'


def test_the_name_appears_only_when_the_file_is_whole(tmp_path):
  with Writer(tmp_path / 'a.mp4', tone(0.4)) as writer:
    for frame in clip():
      writer.add(frame)
    assert not (tmp_path / 'a.mp4').exists()
  assert [each.name for each in tmp_path.iterdir()] == ['a.mp4']


def test_wrong_frames_and_folders_say_so(tmp_path):
  with pytest.raises(InputError, match='uint8'):
    write(tmp_path / 'a.mp4', clip().astype(np.float32))
  with pytest.raises(InputError, match='one size'):
    write(tmp_path / 'a.mp4', [clip()[0], clip(1, 32, 32)[0]])
  with pytest.raises(InputError, match='at least one frame'):
    write(tmp_path / 'a.mp4', [])
  with pytest.raises(InputError, match='folder'):
    write(tmp_path / 'missing' / 'a.mp4', clip())
  assert list(tmp_path.iterdir()) == []
