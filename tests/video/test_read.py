import fractions

import av
import numpy as np
import pytest
import soundfile

from ifmdm_jax.errors import InputError
from ifmdm_jax.video import read


def save(path, times, side=64, sound=None, rate=16_000, sound_at=0.0):
  """A video whose frames are shown at `times` (seconds); frame k has the brightness 6 k."""
  with av.open(str(path), 'w') as container:
    video = container.add_stream('libx264', rate=1000, options={'crf': '1'})
    video.width = video.height = side
    video.pix_fmt = 'yuv420p'
    video.codec_context.time_base = fractions.Fraction(1, 1000)
    audio = None if sound is None else container.add_stream('aac', rate=rate, layout='mono')
    for number, time in enumerate(times):
      frame = av.VideoFrame.from_ndarray(np.full((side, side, 3), 6 * number, np.uint8), 'rgb24')
      frame.pts, frame.time_base = round(1000 * time), fractions.Fraction(1, 1000)
      container.mux(video.encode(frame))
    container.mux(video.encode(None))
    if audio is not None:
      block = av.AudioFrame.from_ndarray(sound[None], 'fltp', 'mono')
      block.sample_rate, block.pts = rate, round(sound_at * rate)
      block.time_base = fractions.Fraction(1, rate)
      container.mux(audio.encode(block))
      container.mux(audio.encode(None))
  return path


def shown(frames):
  return [round(frame.mean() / 6) for frame in frames]


def test_25_fps_comes_out_untouched(tmp_path):
  path = save(tmp_path / 'a.mp4', np.arange(20) / 25)
  assert shown(read.frames(path)) == list(range(20))
  assert read.read_frames(path).shape == (20, 64, 64, 3)


@pytest.mark.parametrize('fps', [10, 24, 30, 50])
def test_other_rates_keep_the_length_and_the_nearest_frame(tmp_path, fps):
  count = 24
  path = save(tmp_path / 'a.mp4', np.arange(count) / fps)
  numbers = shown(read.frames(path))
  assert len(numbers) == round(count / fps * 25)
  times = np.arange(len(numbers)) / 25
  assert np.abs(np.minimum(times, (count - 1) / fps) - np.array(numbers) / fps).max() <= 0.51 / fps


def test_dropped_frames_are_filled_by_true_time(tmp_path):
  path = save(tmp_path / 'a.mp4', np.array([0, 1, 2, 7, 8, 9]) / 25)
  assert shown(read.frames(path)) == [0, 1, 2, 2, 2, 3, 3, 3, 4, 5]


def test_sound_keeps_its_delay_to_the_picture(tmp_path):
  tone = np.sin(np.arange(16_000) / 5).astype(np.float32)
  path = save(tmp_path / 'a.mkv', np.arange(40) / 25, sound=tone, sound_at=0.5)
  sound = read.audio(path)
  starts = np.flatnonzero(np.abs(sound) > 0.3)[0] / 16_000
  assert starts == pytest.approx(0.5, abs=0.04)  # one AAC frame is 64 ms, faded in


@pytest.mark.parametrize('suffix', ['wav', 'flac', 'ogg', 'mp3', 'aiff', 'au'])
@pytest.mark.parametrize(('rate', 'channels'), [(8_000, 1), (44_100, 2)])
def test_any_sound_becomes_mono_16_khz(tmp_path, suffix, rate, channels):
  time = np.arange(rate) / rate
  tone = np.repeat(0.5 * np.sin(2 * np.pi * 440 * time)[:, None], channels, 1)
  soundfile.write(tmp_path / f'a.{suffix}', tone, rate)
  sound = read.audio(tmp_path / f'a.{suffix}')
  assert sound.dtype == np.float32
  assert len(sound) == pytest.approx(16_000, abs=1_700)  # mp3 pads to whole frames
  middle = sound[2_000:14_000]
  assert np.sqrt((middle**2).mean()) == pytest.approx(0.5 / 2**0.5, rel=0.03)
  peak = np.abs(np.fft.rfft(middle)).argmax() * 16_000 / len(middle)
  assert peak == pytest.approx(440, abs=2)


def test_wav_blocks_are_the_samples_as_recorded(tmp_path):
  sound = np.random.default_rng(0).uniform(-1, 1, (50_001, 2)).astype(np.float32)
  soundfile.write(tmp_path / 'a.wav', sound, 22_050, subtype='FLOAT')
  rate, blocks = read.audio_blocks(tmp_path / 'a.wav')
  assert rate == 22_050
  np.testing.assert_array_equal(np.concatenate(list(blocks)), sound)


def test_six_channels_are_mixed_down(tmp_path):
  soundfile.write(tmp_path / 'a.wav', np.full((4_000, 6), 0.1, np.float32), 16_000)
  assert read.audio(tmp_path / 'a.wav').shape == (4_000,)


def test_files_without_what_is_wanted_say_so(tmp_path):
  (tmp_path / 'text.wav').write_text('not a sound')
  soundfile.write(tmp_path / 'empty.wav', np.zeros(0), 16_000)
  broken = np.zeros(16_000, np.float32)
  broken[8_000] = np.nan
  soundfile.write(tmp_path / 'nan.wav', broken, 16_000, subtype='FLOAT')
  save(tmp_path / 'mute.mp4', np.arange(5) / 25)
  for name, said in (
    ('none.wav', 'is not a file'),
    ('text.wav', 'cannot be read|has none'),
    ('empty.wav', 'no samples'),
    ('nan.wav', r'0\.500 s'),
    ('mute.mp4', 'has none'),
  ):
    with pytest.raises(InputError, match=said):
      read.audio(tmp_path / name)
  with pytest.raises(read.MissingStream, match='has none'):
    read.audio(tmp_path / 'mute.mp4')
  with pytest.raises(read.MissingStream, match='has none'):
    next(read.frames(tmp_path / 'nan.wav'))
