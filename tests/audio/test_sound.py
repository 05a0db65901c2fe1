"""Sound of phones, recorders and downloads stays at its time, and voices stay audible."""

import os
import pathlib
import threading

import av
import numpy as np
import pytest
import soundfile

from ifmdm_jax import media
from ifmdm_jax.audio import mix, sound
from ifmdm_jax.errors import InputError
from tests.audio import recordings
from tests.audio.recordings import RATE, raw, starts, tones, write

BEEPS = [0.5, 1.5]


def heard(path, **options):
  return starts(sound.audio(path, **options))


def level(waveform):
  return np.sqrt(np.square(waveform, dtype=np.float64).mean())


@pytest.mark.parametrize('suffix', ['mp4', 'mov', 'mkv', 'ts'])
def test_a_hole_is_silence_and_what_follows_stays_at_its_time(tmp_path, suffix):
  lost = lambda packet, number: None if 40 <= number < 60 else packet
  path = write(tmp_path / f'a.{suffix}', tones(2, BEEPS), change=lost, film=True)
  flaws = media.Flaws()
  assert heard(path, flaws=flaws) == pytest.approx(BEEPS, abs=0.04)
  assert flaws.missing == pytest.approx(20 * 1024 / RATE, abs=0.05)
  assert 'missing, from 0.8' in flaws.sentence()


def test_a_damaged_packet_costs_itself_and_is_counted(tmp_path):
  def damage(packet, number):
    if not 40 <= number < 44:
      return packet
    bad = av.Packet(b'\xff' * packet.size)
    bad.pts, bad.dts, bad.duration = packet.pts, packet.dts, packet.duration
    bad.time_base, bad.stream = packet.time_base, packet.stream
    return bad

  path, flaws = write(tmp_path / 'a.mp4', tones(2, BEEPS), change=damage), media.Flaws()
  assert heard(path, flaws=flaws) == pytest.approx(BEEPS, abs=0.04)
  assert flaws.damaged == 4 and '4 packets of sound cannot be decoded' in flaws.sentence()


def test_a_sound_without_flaws_is_said_to_have_none(tmp_path):
  flaws = media.Flaws()
  sound.audio(write(tmp_path / 'a.mp4', tones(2, BEEPS)), flaws=flaws)
  assert flaws.sentence() == '' and flaws.end == pytest.approx(2, abs=0.05)


def test_times_a_little_off_leave_the_samples_as_they_are(tmp_path):
  """Matroska rounds to milliseconds."""
  steady = tones(1, [0], length=1)
  ours = sound.audio(write(tmp_path / 'a.mkv', steady, codec='flac'), RATE)
  np.testing.assert_allclose(ours, steady, atol=1e-4)


def test_what_comes_twice_is_heard_once(tmp_path):
  def early(packet, number):
    if number >= 40:  # from here on each begins in the middle of the one before it
      packet.pts = packet.dts = 40 * 1024 + (number - 40) * 512
    return packet

  path = write(tmp_path / 'a.mkv', tones(2, BEEPS), change=early, codec='pcm_s16le')
  assert heard(path) == pytest.approx([0.5, (1.5 + 40 * 1024 / RATE) / 2], abs=0.03)


def test_times_that_start_again_in_joined_recordings_go_on(tmp_path):
  part = (write(tmp_path / 'a.ts', tones(1, [0.5]), film=True)).read_bytes()
  (tmp_path / 'b.ts').write_bytes(part + part)
  assert heard(tmp_path / 'b.ts') == pytest.approx([0.5, 1.5], abs=0.08)


@pytest.mark.parametrize('codec', ['mp3', 'aac'])
@pytest.mark.parametrize('first', [(48_000, 1), (48_000, 2), (24_000, 1)])
def test_a_rate_and_channels_that_change_on_the_way_are_followed(tmp_path, codec, first):
  def part(rate, channels):
    wave = tones(1, [0.5], rate)
    return raw(wave if channels == 1 else np.stack([wave, wave], 1), codec, rate, {
      'aac': 'adts', 'mp3': 'mp3'}[codec])  # fmt: skip

  for number, second in enumerate([(48_000, 2), (24_000, 1), (24_000, 2)]):
    path = tmp_path / f'{number}.{codec}'
    path.write_bytes(part(*first) + part(*second))
    assert heard(path) == pytest.approx([0.5, 1.5], abs=0.12)  # encoders delay
    rate, blocks = sound.audio_blocks(path)
    whole = np.concatenate(list(blocks))
    assert rate in (first[0], second[0]) and whole.shape[1] == first[1]
    assert len(whole) / rate == pytest.approx(2, abs=0.2)


def test_the_default_track_is_taken_and_another_may_be_chosen(tmp_path):
  path = write(tmp_path / 'a.mp4', tones(2, [0.5]), tones(2, [1.5]), default=1)
  assert heard(path) == pytest.approx([1.5], abs=0.04)
  assert heard(path, track=1) == pytest.approx([0.5], abs=0.04)
  with pytest.raises(InputError, match='--track 1 to 2, got 3'):
    sound.audio(path, track=3)


@pytest.mark.parametrize('gain', [-1.0, -0.7, 1.0, 0.0])
def test_a_voice_is_heard_whatever_the_phase_of_its_channels(tmp_path, gain):
  rng = np.random.default_rng(0)
  voice, room = tones(1, [0], 16_000, length=1), 0.01 * rng.standard_normal(16_000)
  both = np.stack([voice + room, gain * voice + room], 1)
  soundfile.write(tmp_path / 'a.wav', both, 16_000, subtype='FLOAT')
  mono = sound.audio(tmp_path / 'a.wav')
  assert abs(np.corrcoef(mono, voice)[0, 1]) > 0.99
  assert level(mono) > 0.45 * level(voice)  # of one channel there is half
  _, blocks = sound.audio_blocks(tmp_path / 'a.wav')  # of the video: as recorded
  np.testing.assert_array_equal(np.concatenate(list(blocks)), np.float32(both))


def test_how_channels_are_mixed_is_decided_for_the_whole_file(tmp_path):
  """Music in phase comes first, the voice in opposite phase later."""
  music, voice = tones(1, [0], 16_000, 300, 0.3), tones(1, [0.4], 16_000, length=0.6)
  soundfile.write(tmp_path / 'a.wav', np.stack([music + voice, music - voice], 1), 16_000)
  mono = sound.audio(tmp_path / 'a.wav')
  assert level(mono[8_000:]) > 0.3 and level(mono[:3_000]) < 0.01


def test_a_mix_does_not_depend_on_how_the_sound_is_cut():
  stereo = np.random.default_rng(0).standard_normal((1000, 2)).astype(np.float32)
  gram = mix.Gram()
  for block in np.split(stereo, [10, 500]):
    gram.add(block)
  np.testing.assert_allclose(mix.apply(stereo, gram), mix.mono(stereo), atol=1e-6)


@pytest.mark.parametrize('channels', [3, 6, 24, 64])
def test_many_channels_are_read(tmp_path, channels):
  many = np.zeros((4_800, channels))
  many[:, 0] = tones(0.1, [0], length=0.1)
  soundfile.write(tmp_path / 'a.wav', many, RATE)
  mono = sound.audio(tmp_path / 'a.wav')
  assert len(mono) == 1_600 and np.abs(mono).max() > 0.1


def test_too_many_channels_are_named(tmp_path):
  soundfile.write(tmp_path / 'a.wav', np.zeros((800, 70)), 8_000)
  with pytest.raises(InputError, match='has 70: mix'):
    sound.audio(tmp_path / 'a.wav')


def test_a_header_of_one_hertz_is_no_sound_of_hours(tmp_path):
  soundfile.write(tmp_path / 'a.wav', np.zeros(8_000), 1)
  with pytest.raises(InputError, match='1 Hz'):
    sound.audio(tmp_path / 'a.wav')


def test_a_sound_of_days_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
  monkeypatch.setattr(sound, 'MOST_SAMPLES', 9_000)
  soundfile.write(tmp_path / 'a.wav', np.zeros(10_000), 16_000)
  for reader in (sound.read, sound.audio):
    with pytest.raises(InputError, match='--stream'):
      reader(tmp_path / 'a.wav')
  assert sum(map(len, sound.mono_blocks(tmp_path / 'a.wav'))) == 10_000


@pytest.mark.parametrize('claimed', [0, 2**32, 2**36 - 1])
def test_a_length_that_a_header_claims_is_not_believed(tmp_path, claimed):
  """Encoders that stream write 0; the rest would not fit into any memory."""
  wave = tones(0.5, [0.1])
  soundfile.write(tmp_path / 'a.flac', wave, RATE)
  data = bytearray((tmp_path / 'a.flac').read_bytes())
  data[21] = data[21] & 0xF0 | claimed >> 32  # 36 bits of STREAMINFO
  data[22:26] = (claimed & 0xFFFFFFFF).to_bytes(4, 'big')
  (tmp_path / 'a.flac').write_bytes(data)
  ours, rate = sound.read(tmp_path / 'a.flac')
  assert rate == RATE and len(ours) == len(wave)
  np.testing.assert_allclose(ours, wave, atol=1e-4)


def test_a_codec_that_nobody_decodes_is_one_line(tmp_path):
  soundfile.write(tmp_path / 'a.wav', np.zeros(8_000), 8_000)
  data = bytearray((tmp_path / 'a.wav').read_bytes())
  for tag in (0, 0xFFFE, 0xFFFF):
    data[20:22] = tag.to_bytes(2, 'little')
    (tmp_path / 'a.wav').write_bytes(data)
    with pytest.raises(InputError, match='expected a file with sound'):
      sound.audio(tmp_path / 'a.wav')


def test_a_file_that_was_cut_short_says_so(tmp_path):
  path = write(tmp_path / 'a.mkv', tones(4, BEEPS), codec='flac')
  path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
  flaws = media.Flaws()
  assert 0 < len(sound.audio(path, flaws=flaws)) < 3.5 * 16_000
  assert 'was it cut' in flaws.sentence()


def test_times_that_jump_by_hours_are_refused(tmp_path):
  def late(packet, number):
    if number > 40:
      packet.pts, packet.dts = packet.pts + 10**4 * RATE, packet.dts + 10**4 * RATE
    return packet

  with pytest.raises(InputError, match='times of .* jump'):
    sound.audio(write(tmp_path / 'a.mkv', tones(2, BEEPS), change=late))


@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='no named pipes here')
def test_a_pipe_that_nobody_writes_to_is_one_line(tmp_path):
  os.mkfifo(tmp_path / 'a.wav')
  said = []

  def read():
    with pytest.raises(InputError) as error:
      sound.audio(tmp_path / 'a.wav')
    said.append(str(error.value))

  thread = threading.Thread(target=read, daemon=True)
  thread.start()
  thread.join(10)
  assert said and 'is a pipe' in said[0]


@pytest.mark.skipif(os.name == 'nt', reason='names are text there')
def test_a_name_that_is_not_utf_8_or_looks_like_an_address_is_read(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  for name in (b'lat\xe9.wav', b'10:30.wav', b'http:a.wav'):
    path = pathlib.Path(os.fsdecode(name))
    try:
      path.write_bytes(b'')
    except OSError:
      pytest.skip('this file system takes no such names')
    with open(path, 'wb') as file:
      soundfile.write(file, tones(0.5, [0]), RATE, format='WAV')
    assert len(sound.audio(path)) == 8_000 and len(sound.read(path)[0]) == 24_000


@pytest.mark.parametrize('name', ['a.m3u8', 'a.wav', 'a.ffconcat', 'a.mpd', 'a.sdp'])
def test_a_list_of_other_files_is_not_followed(tmp_path, name):
  write(tmp_path / 'private.mp4', tones(1, [0.5]))
  secret = tmp_path / 'private.mp4'
  lists = {
    'hls': f'#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{secret}\n#EXT-X-ENDLIST\n',
    'relative': '#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nprivate.mp4\n#EXT-X-ENDLIST\n',
    'concat': 'ffconcat version 1.0\nfile private.mp4\n',
    'address': '#EXTM3U\n#EXTINF:2,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n',
    'sdp': 'v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n',
  }
  for text in lists.values():
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match='cannot be read'):
      sound.audio(tmp_path / name)


def test_every_format_on_the_list_is_one_that_opens_no_others():
  names = set(media.FORMATS.split(','))
  assert not names & {'hls', 'dash', 'concat', 'sdp', 'rtsp', 'image2', 'lavfi', 'tty', 'data'}


def test_recordings_of_the_tests_are_what_they_say(tmp_path):
  assert heard(write(tmp_path / 'a.mp4', tones(2, BEEPS))) == pytest.approx(BEEPS, abs=0.03)
  assert recordings.starts(tones(2, BEEPS, 16_000)) == pytest.approx(BEEPS, abs=0.011)
