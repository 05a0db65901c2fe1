import fractions

import av
import numpy as np
import pytest
import soundfile

from ifmdm_jax import errors
from ifmdm_jax.audio import waveform


def tone(seconds=1.0, sample_rate=16_000, hz=440.0):
  time = np.arange(int(seconds * sample_rate)) / sample_rate
  return np.float32(0.5 * np.sin(2 * np.pi * hz * time))


@pytest.mark.parametrize('sample_rate', [8_000, 11_025, 16_000, 22_050, 44_100, 48_000])
def test_frame_count_is_seconds_times_fps_rounded_exactly(sample_rate):
  for samples in [*range(sample_rate - 3, sample_rate + 3), 3 * 10**9 + 1, 7 * sample_rate // 50]:
    exact = round(fractions.Fraction(samples * 25, sample_rate))
    assert waveform.num_frames(samples, sample_rate) == exact
  assert waveform.num_frames(sample_rate * 10, sample_rate, fps=30) == 300


@pytest.mark.parametrize('sample_rate', [8_000, 22_050, 44_100, 48_000])
def test_resampling_keeps_the_tone_and_the_duration(sample_rate):
  ours = waveform.prepare(tone(sample_rate=sample_rate), sample_rate)
  assert ours.dtype == np.float32 and abs(len(ours) - 16_000) <= 1
  # Away from the ends, where a resampling filter has no neighbours.
  np.testing.assert_allclose(ours[500:15_500], tone()[500:15_500], atol=2e-3)


def test_channels_are_averaged_those_in_opposite_phase_too():
  stereo = np.stack([tone(), tone(hz=300)], axis=1)
  np.testing.assert_allclose(waveform.prepare(stereo, 16_000), stereo.mean(1), atol=1e-6)
  opposite = np.stack([tone(), -tone()], axis=1)
  np.testing.assert_allclose(waveform.prepare(opposite, 16_000), tone(), atol=1e-6)


@pytest.mark.parametrize(
  'dtype, scale, zero', [(np.uint8, 128, 128), (np.int16, 2**15, 0), (np.int32, 2**31, 0)]
)
def test_integer_pcm_is_scaled_to_one(dtype, scale, zero):
  pcm = np.round(tone().astype(np.float64) * scale + zero).astype(dtype)
  np.testing.assert_allclose(waveform.prepare(pcm, 16_000), tone(), atol=0.6 / scale + 1e-7)


@pytest.mark.parametrize(
  'bad, sample_rate, says',
  [
    (np.zeros((0,), np.float32), 16_000, 'longer'),
    (np.zeros((100,), np.float32), 16_000, 'longer'),
    (np.full((16_000,), np.nan, np.float32), 16_000, 'NaN'),
    (np.full((16_000,), np.inf, np.float32), 16_000, 'infinite'),
    (np.zeros((2, 16_000), np.float32), 16_000, 'samples first'),
    (np.zeros((16_000, 2, 1), np.float32), 16_000, 'samples'),
    (np.zeros((16_000,), np.complex64), 16_000, 'complex64'),
    (1e4 * tone(), 16_000, '32768'),
    (tone(), 0, 'sample rate'),
    (tone(), None, 'sample rate'),
  ],
)
def test_bad_sound_is_one_clear_line(bad, sample_rate, says):
  with pytest.raises(errors.InputError, match=says) as error:
    waveform.prepare(bad, sample_rate)
  assert '\n' not in str(error.value) and len(str(error.value)) < 200


def test_wav_round_trip(tmp_path):
  stereo = np.stack([tone(sample_rate=44_100), tone(sample_rate=44_100, hz=300)], axis=1)
  soundfile.write(tmp_path / 'a.wav', stereo, 44_100, subtype='FLOAT')
  ours, sample_rate = waveform.read(tmp_path / 'a.wav')
  assert sample_rate == 44_100 and ours.dtype == np.float32
  np.testing.assert_array_equal(ours, stereo)


def write_video(path, sound=None):
  """Half a second of black pictures, and AAC if there is sound [L] at 16 kHz."""
  with av.open(str(path), 'w') as container:
    pictures = container.add_stream('mpeg4', rate=25)
    pictures.width = pictures.height = 32
    if sound is not None:
      track = container.add_stream('aac', rate=16_000, layout='mono')
    for _ in range(12):
      frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))
      container.mux(pictures.encode(frame))
    container.mux(pictures.encode(None))
    if sound is not None:
      frame = av.AudioFrame.from_ndarray(sound[None], 'fltp', 'mono')
      frame.sample_rate, frame.pts = 16_000, 0
      container.mux(track.encode(frame))
      container.mux(track.encode(None))


def test_sound_of_a_video_file_is_read_in_step(tmp_path):
  write_video(tmp_path / 'a.mp4', tone(2.0))
  ours, sample_rate = waveform.read(tmp_path / 'a.mp4')
  assert sample_rate == 16_000 and ours.ndim == 1
  assert abs(len(ours) - 32_000) <= 2048  # AAC ends on a whole block of 1024
  np.testing.assert_allclose(ours[2_000:30_000], tone(2.0)[2_000:30_000], atol=0.05)


def test_files_without_sound_are_one_clear_line(tmp_path):
  write_video(tmp_path / 'silent.mp4')
  (tmp_path / 'text.wav').write_text('not a sound')
  (tmp_path / 'empty.wav').write_bytes(b'')
  soundfile.write(tmp_path / 'none.wav', np.zeros((0,), np.float32), 16_000)
  for name, says in [
    ('silent.mp4', 'has none'),
    ('text.wav', 'cannot be read'),
    ('empty.wav', 'cannot be read'),
    ('none.wav', 'no samples'),
    ('missing.wav', 'is not a file'),
  ]:
    with pytest.raises(errors.InputError, match=says) as error:
      waveform.read(tmp_path / name)
    assert '\n' not in str(error.value)
