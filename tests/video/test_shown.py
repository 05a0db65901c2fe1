"""Frames as players show them, whatever a film says about its pixels, colours and times."""

import struct
from fractions import Fraction

import av
import numpy as np
import pytest

from ifmdm_jax import media
from ifmdm_jax.errors import InputError
from ifmdm_jax.video import read

COLOURS = [(200, 60, 50), (60, 160, 80), (60, 80, 190), (225, 185, 160)]


def film(path, pictures, codec='libx264', pixels='yuv420p', options=None, times=None, **settings):
  """Writes frames, arrays RGB or `av.VideoFrame`, at 25 a second or at `times` in 1/90000 s."""
  with av.open(str(path), 'w') as container:
    stream = container.add_stream(codec, rate=25, options=options or {})
    first = pictures[0]
    stream.width = first.width if isinstance(first, av.VideoFrame) else first.shape[1]
    stream.height = first.height if isinstance(first, av.VideoFrame) else first.shape[0]
    stream.pix_fmt, stream.codec_context.time_base = pixels, Fraction(1, 90_000)
    for name, value in settings.items():
      setattr(stream.codec_context, name, value)
    for number, picture in enumerate(pictures):
      frame = picture
      if not isinstance(picture, av.VideoFrame):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), 'rgb24')
      frame.pts = 3600 * number if times is None else times[number]
      frame.time_base = Fraction(1, 90_000)
      for packet in stream.encode(frame):
        container.mux(packet)
    container.mux(stream.encode(None))
  return path


def grey(level, height=64, width=64):
  return np.full((height, width, 3), level, np.uint8)


def shown(path):
  return [round(frame.mean() / 10) for frame in read.frames(path)]


@pytest.mark.parametrize('aspect', [Fraction(16, 9), Fraction(1, 2)])
def test_pixels_that_are_not_square_are_made_square_and_none_is_lost(tmp_path, aspect):
  path = film(tmp_path / 'a.mp4', [grey(90, 96, 64)] * 2, sample_aspect_ratio=aspect)
  height, width, _ = next(read.frames(path)).shape
  assert width / height == pytest.approx(64 / 96 * aspect, rel=0.02)
  assert height >= 96 and width >= 64


def hdr(transfer, high=128, wide=256):
  """A frame of `COLOURS`, white at 203 cd/m2, in PQ or HLG of BT.2020, by BT.2100."""
  srgb = np.repeat(np.array(COLOURS) / 255, wide // 4, 0)[None].repeat(high, 0)
  linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
  to_2020 = [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]
  light = 203 * linear @ np.array(to_2020).T  # cd/m2
  if transfer == 16:
    power = (light / 10_000) ** 0.1593017578125
    signal = ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
  else:
    luma = light @ [0.2627, 0.6780, 0.0593]
    scene = light / 1000 * ((luma / 1000) ** (1 / 1.2 - 1))[..., None]
    root = np.sqrt(3 * scene)
    curve = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    signal = np.where(scene <= 1 / 12, root, curve)
  y = signal @ [0.2627, 0.6780, 0.0593]
  blue, red = (signal[..., 2] - y) / 1.8814, (signal[..., 0] - y) / 1.4746
  planes = [64 + 876 * y, 512 + 896 * blue[::2, ::2], 512 + 896 * red[::2, ::2]]
  frame = av.VideoFrame(wide, high, 'yuv420p10le')
  for plane, values in zip(frame.planes, planes):
    rows = np.frombuffer(plane, np.uint16).reshape(plane.height, -1)
    rows[:, : plane.width] = np.round(values)
  frame.colorspace, frame.color_range, frame.color_trc, frame.color_primaries = 9, 1, transfer, 9
  return frame


def test_hdr_films_have_the_colours_that_were_filmed(tmp_path, transfer=18):
  path = film(
    tmp_path / 'a.mp4', [hdr(transfer)] * 2, pixels='yuv420p10le', options={'crf': '5'},
    colorspace=9, color_trc=transfer, color_primaries=9, color_range=1,
  )  # fmt: skip
  frame = next(read.frames(path))
  for x, colour in zip((32, 96, 160, 224), COLOURS):
    assert frame[60:68, x - 4 : x + 4].mean((0, 1)) == pytest.approx(colour, abs=25)


def test_where_hdr_cannot_be_converted_it_is_refused_by_name(tmp_path, monkeypatch):
  path = film(
    tmp_path / 'a.mp4', [hdr(16)] * 2, pixels='yuv420p10le', colorspace=9, color_trc=16,
    color_primaries=9, color_range=1,
  )  # fmt: skip
  monkeypatch.setattr(av, '__version__', '14.0.0')
  with pytest.raises(InputError, match=r'is HDR \(PQ\)'):
    next(read.frames(path))


def test_half_frames_of_different_times_leave_no_combs(tmp_path):
  def woven(left):
    fields = grey(20, 128, 128)
    for row in range(128):
      x = left + 3 * (row % 2)
      fields[row, x : x + 40] = 220
    return fields

  pictures = [woven(6 * number) for number in range(12)]
  path = film(tmp_path / 'a.mp4', pictures, options={'x264-params': 'tff=1', 'crf': '5'})
  frames = read.read_frames(path)
  assert len(frames) == 12
  combs = lambda frame: np.abs(np.diff(frame[..., 1].astype(int), axis=0)).mean()
  assert combs(frames[6]) < 0.2 * combs(pictures[6])
  for number in (2, 6, 10):  # and times are as they were
    place = np.flatnonzero(frames[number][64, :, 1] > 120)[0]
    assert abs(place - 6 * number) <= 6


def test_all_frames_have_the_size_of_the_first(tmp_path):
  small = film(tmp_path / 'a.ts', [grey(90)] * 20).read_bytes()
  large = film(tmp_path / 'b.ts', [grey(180, 96, 128)] * 20).read_bytes()
  (tmp_path / 'c.ts').write_bytes(small + large)
  frames = read.read_frames(tmp_path / 'c.ts')
  assert frames.shape[1:] == (64, 64, 3) and abs(len(frames) - 40) <= 1
  assert frames[-1].mean() == pytest.approx(180, abs=4)


def test_times_that_wrap_round_go_on(tmp_path):
  before = 2**33 - 12 * 3600
  times = [before + 3600 * number for number in range(25)]
  path = film(tmp_path / 'a.ts', [grey(10 * number) for number in range(25)], times=times)
  numbers = shown(path)
  assert abs(len(numbers) - 25) <= 1 and np.abs(numbers[:25] - np.arange(25)).max() <= 1


def test_joined_films_go_on(tmp_path):
  part = film(tmp_path / 'a.ts', [grey(10 * number) for number in range(20)]).read_bytes()
  (tmp_path / 'b.ts').write_bytes(part + part)
  numbers = shown(tmp_path / 'b.ts')
  assert abs(len(numbers) - 40) <= 1 and max(numbers[:20]) >= 18 and max(numbers[20:]) >= 18


TURNS = {  # (a, b, c, d) of x' = a x + c y, y' = b x + d y -> what is shown
  (1, 0, 0, 1): lambda p: p,
  (-1, 0, 0, 1): lambda p: p[:, ::-1],  # as a mirror
  (1, 0, 0, -1): lambda p: p[::-1],
  (-1, 0, 0, -1): lambda p: np.rot90(p, 2),
  (0, 1, -1, 0): lambda p: np.rot90(p, -1),  # a phone held upright
  (0, -1, 1, 0): lambda p: np.rot90(p, 1),
  (0, 1, 1, 0): lambda p: p.swapaxes(0, 1),
  (0, -1, -1, 0): lambda p: np.rot90(p, 2).swapaxes(0, 1),
}


@pytest.mark.parametrize('matrix', TURNS)
def test_films_are_turned_and_mirrored_as_they_say(tmp_path, matrix):
  picture = grey(90, 64, 96)
  picture[:32, :48], picture[:32, 48:], picture[32:, :48] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
  path = film(tmp_path / 'a.mp4', [picture] * 2)
  data, (a, b, c, d) = bytearray(path.read_bytes()), matrix
  at = data.index(b'tkhd') + 44  # 16.16
  one = 1 << 16
  data[at : at + 36] = struct.pack('>9i', a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
  path.write_bytes(data)
  shown, expected = next(read.frames(path)), TURNS[matrix](picture)
  assert shown.shape == expected.shape
  assert np.abs(shown.astype(int) - expected).mean() < 12  # H.264 with half-size colour


def test_times_that_jump_by_hours_are_refused(tmp_path):
  times = [0, 3600, 7200, 90_000 * 10_000]
  path = film(tmp_path / 'a.mkv', [grey(90)] * 4, times=times)
  with pytest.raises(InputError, match='times of .* jump'):
    read.read_frames(path)


def test_a_film_that_breaks_off_is_one_line(tmp_path):
  path = film(tmp_path / 'a.mkv', [grey(10 * n) for n in range(20)], codec='ffv1')
  data = bytearray(path.read_bytes())
  for place in range(len(data) // 2, len(data), 7):
    data[place] ^= 0xFF
  path.write_bytes(data)
  numbers = []
  with pytest.raises(InputError, match='cannot be decoded further than|cannot be read'):
    numbers.extend(frame.mean() for frame in read.frames(path))


def spoiled(path, numbers, codec, pixels='yuv420p'):
  """A film of 50 frames, each 5 brighter than the one before, some of whose packets are noise."""
  with av.open(str(path), 'w') as container:
    stream = container.add_stream(codec, rate=25)
    stream.width = stream.height = 64
    stream.pix_fmt, stream.codec_context.gop_size = pixels, 10
    packets = []
    for number in range(50):
      frame = av.VideoFrame.from_ndarray(grey(5 * number), 'rgb24')
      frame.pts = number
      packets += stream.encode(frame)
    for number, packet in enumerate(packets + stream.encode(None)):
      if number in numbers:
        noise = av.Packet(np.random.default_rng(number).bytes(packet.size))
        noise.pts, noise.dts, noise.duration = packet.pts, packet.dts, packet.duration
        noise.time_base, noise.stream = packet.time_base, packet.stream
        packet = noise
      container.mux(packet)
  return path


SPOILED = {  # film, codec, pixels -> the frame after the hole: needs no other one
  ('a.avi', 'mjpeg', 'yuvj420p'): 24,
  ('a.avi', 'mpeg4', 'yuv420p'): 30,
  ('a.webm', 'libvpx-vp9', 'yuv420p'): 30,
  ('a.mp4', 'libx265', 'yuv420p'): 31,
}


@pytest.mark.parametrize('threads', [1, 0])
@pytest.mark.parametrize('kind', SPOILED, ids=[kind[1] for kind in SPOILED])
def test_a_damaged_packet_of_pictures_costs_what_depends_on_it(tmp_path, kind, threads):
  name, codec, pixels = kind
  path, flaws, back = spoiled(tmp_path / name, [23], codec, pixels), media.Flaws(), SPOILED[kind]
  levels = np.array([f.mean() / 5 for f in read.frames(path, threads=threads, flaws=flaws)])
  expected = np.arange(50)
  expected[23:back] = 22  # the last good one stands; after it all is at its time
  near = np.abs(levels - expected) <= 2  # lossy
  assert len(levels) == 50 and near[:18].all() and near[back + 1 :].all()
  assert near.mean() > 0.9 or threads == 0  # threads give up some that are good
  assert flaws.damaged == 1 and flaws.missing > 0
  assert '1 packet of pictures cannot be decoded' in flaws.sentence('pictures')


def test_where_pictures_are_damaged_nobody_is_seen_by_who_wants_to_know(tmp_path):
  path = spoiled(tmp_path / 'a.avi', [23, 24, 25, 26], 'mjpeg', 'yuvj420p')
  levels = [frame.mean() for frame in read.frames(path, blank=True)]
  assert [number for number, level in enumerate(levels) if level < 3] == [0, 23, 24, 25, 26]


def test_damage_after_which_nothing_can_be_decoded_is_said(tmp_path):
  path = spoiled(tmp_path / 'a.avi', range(23, 50), 'mjpeg', 'yuvj420p')
  numbers = []
  with pytest.raises(media.Damaged, match=r'further than 0\.9'):
    numbers.extend(frame.mean() for frame in read.frames(path))
  assert len(numbers) >= 22


def test_the_cover_of_a_song_is_no_film(tmp_path):
  with av.open(str(tmp_path / 'a.mp4'), 'w') as container:
    cover = container.add_stream('mjpeg', rate=25)
    cover.width = cover.height = 64
    cover.pix_fmt, cover.disposition = 'yuvj420p', av.stream.Disposition.attached_pic
    song = container.add_stream('aac', rate=16_000, layout='mono')
    picture = av.VideoFrame.from_ndarray(grey(90), 'rgb24').reformat(format='yuvj420p')
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), 'fltp', 'mono')
    frame.sample_rate = 16_000
    for stream, content in ((cover, picture), (song, frame)):
      container.mux(stream.encode(content))
      container.mux(stream.encode(None))
  with pytest.raises(read.MissingStream):
    next(read.frames(tmp_path / 'a.mp4'))
  assert len(read.audio(tmp_path / 'a.mp4')) >= 16_000


def test_the_endings_of_every_container_for_films_are_known():
  for name in ('mov', 'matroska', 'avi', 'h264', 'hevc', 'vvc', 'mjpeg', 'nut', 'flv', 'dv', 'gif'):
    known = {f'.{ending}' for ending in av.format.ContainerFormat(name, 'r').extensions}
    sounds_and_pictures = {'.m4a', '.m4b', '.mka', '.mks', '.avif', '.heic', '.heif', '.isma',
                           '.mpo', '.psp'}  # fmt: skip
    assert known - sounds_and_pictures <= read.SUFFIXES
  assert {'.ts', '.mts', '.mpg', '.wmv', '.flv', '.3gp', '.ogv', '.vob', '.mxf'} <= read.SUFFIXES
