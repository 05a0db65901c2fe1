"""A folder of forty odd films: what became of each is told truthfully, and voices stay at lips."""

import json
import os
import pathlib
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
import soundfile

from ifmdm_jax.face import points
from ifmdm_jax.pipeline import landmarks
from ifmdm_jax.pipeline.prep import filters, layouts, process, report, results
from tests.pipeline import films

SETTINGS = results.Settings(size=32, limits=filters.Limits(seconds=0.5, face=40, sync=-1.0))
SECONDS, RATE, SIDE = 0.96, films.RATE, 128
BASE = Fraction(1, 90_000)
VOICE, OPENING = films.voice(SECONDS, seed=3)
SHOWN = films.frames(OPENING, np.arange(round(25 * SECONDS)) / 25, side=SIDE)
BLACK = [np.zeros((96, 128, 3), np.uint8)] * 6


def film(path, pictures=SHOWN, tracks=(VOICE,), lost=(), start=0, default=0, late=0.0, codec=None,
         sound=None, pixels='yuv420p', aspect=None, damaged=(), torn=()):  # fmt: skip
  """Writes a film.

  Args:
    lost, damaged: packets of sound that are left out, and that are spoiled.
    torn: packets of pictures that are spoiled.
    start: time at which all begins, in 1/90000 s.
    late: seconds by which the sound begins later than the pictures.
  """
  with av.open(str(path), 'w') as file:
    video = file.add_stream(codec or 'libx264', rate=25)
    video.height, video.width = pictures[0].shape[:2]
    video.pix_fmt = pixels
    video.options = {'preset': 'ultrafast', 'crf': '20'} if codec is None else {}
    if codec is None:
      video.codec_context.time_base = BASE
    if aspect:
      video.codec_context.sample_aspect_ratio = aspect
    streams = []
    for number, track in enumerate(tracks):
      layout = 'mono' if track.ndim == 1 else 'stereo'
      streams.append(file.add_stream(sound or 'aac', rate=RATE, layout=layout))
      on = av.stream.Disposition.default if number == default else av.stream.Disposition(0)
      streams[-1].disposition = on
    packets = []
    for number, picture in enumerate(pictures):
      frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), 'rgb24')
      if codec is None:
        frame.pts, frame.time_base = start + 3600 * number, BASE
      packets += video.encode(frame)
    for number, packet in enumerate(packets + video.encode(None)):
      file.mux(spoiled(packet) if number in torn else packet)
    for stream, track in zip(streams, tracks):
      layout, track = stream.layout.name, track.reshape(len(track), -1)
      packets = []
      for first in range(0, len(track), 1024):
        block = np.ascontiguousarray(track[first : first + 1024].T)
        frame = av.AudioFrame.from_ndarray(block, 'fltp', layout)
        frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
        frame.pts = first + round(start * RATE / 90_000 + late * RATE)
        packets += stream.encode(frame)
      for number, packet in enumerate(packets + stream.encode(None)):
        if number not in lost:
          file.mux(spoiled(packet) if number in damaged else packet)
  return path


def spoiled(packet):
  """A packet in whose place nothing can be decoded."""
  noise = av.Packet(b'\xff' * packet.size)
  noise.pts, noise.dts, noise.duration = packet.pts, packet.dts, packet.duration
  noise.time_base, noise.stream = packet.time_base, packet.stream
  return noise


def song(path):
  with av.open(str(path), 'w') as file:
    films.put_sound(file, file.add_stream('aac', rate=RATE, layout='mono'), VOICE)


def black(codec, sound=None, pixels='yuv420p'):
  return lambda path: film(path, BLACK, () if sound is None else (VOICE,), codec=codec, sound=sound,
                           pixels=pixels)  # fmt: skip


def cut(path):
  data = film(path, BLACK).read_bytes()
  path.write_bytes(data[: len(data) // 2])


def wide(path):
  squeezed = [np.ascontiguousarray(cv2.resize(frame, (SIDE // 2, SIDE))) for frame in SHOWN]
  film(path, squeezed, aspect=Fraction(2, 1))


LISTED = f'#EXTM3U\n#EXTINF:2,\n{films.PORTRAIT}\n#EXT-X-ENDLIST\n'
ODD = {
  # name: (how it is made, what becomes of it)
  'empty.mp4': (pathlib.Path.touch, 'unreadable'),
  'text.mp4': (lambda path: path.write_text('no film'), 'unreadable'),
  'page.webm': (lambda path: path.write_text('<html>' * 99), 'unreadable'),
  'zeros.avi': (lambda path: path.write_bytes(bytes(9_999)), 'unreadable'),
  'noise.mpg': (lambda path: path.write_bytes(b'\x17\x2a\xe1' * 3_333), 'unreadable'),
  'list.ts': (lambda path: path.write_text(LISTED), 'unreadable'),
  'list.mkv': (lambda path: path.write_text('ffconcat version 1.0\nfile plain.mp4\n'),
               'unreadable'),
  'picture.mp4': (lambda path: path.write_bytes(films.PORTRAIT.read_bytes()), 'unreadable'),
  'cut.mp4': (cut, 'unreadable'),
  'song.mp4': (song, 'no video in it'),
  'sound.mov': (lambda path: soundfile.write(path.with_suffix('.wav'), VOICE, RATE) or
                path.with_suffix('.wav').rename(path), 'no video in it'),
  'black.mp4': (black(None, 'aac'), 'no face'),
  'black.mov': (black('mjpeg', 'pcm_s16le', 'yuvj420p'), 'no face'),
  'black.mkv': (black('ffv1', 'flac'), 'no face'),
  'black.webm': (black('libvpx', 'libopus'), 'no face'),
  'black.avi': (black('mpeg4', 'mp2'), 'no face'),
  'black.ts': (black('mpeg2video', 'mp2'), 'no face'),
  'black.MTS': (black('mpeg2video', 'mp2'), 'no face'),
  'black.m2ts': (black('mpeg2video'), 'no face'),
  'black.mpg': (black('mpeg1video', 'mp2'), 'no face'),
  'black.vob': (black('mpeg2video', 'mp2'), 'no face'),
  'black.wmv': (black('wmv2', 'mp3'), 'no face'),
  'black.asf': (black('msmpeg4'), 'no face'),
  'black.flv': (black('flv'), 'no face'),
  'black.3gp': (black('mpeg4', 'aac'), 'no face'),
  'black.m4v': (black('mpeg4'), 'no face'),
  'black.nut': (black('mpeg4', 'pcm_s16le'), 'no face'),
  'black.y4m': (black('wrapped_avframe'), 'no face'),
  'black.gif': (black('gif', pixels='rgb8'), 'no face'),
  'black.h264': (black(None), 'no face'),
  'mute.mp4': (lambda path: film(path, tracks=()), 'no sound'),
  'plain.mp4': (film, 'kept'),
  'lat\xe9.mkv': (film, 'kept'),  # not UTF-8 on the disk, see below
  'hole.mkv': (lambda path: film(path, lost=range(6, 9)), 'kept'),
  'damaged.mp4': (lambda path: film(path, damaged=range(6, 9)), 'kept'),
  'torn.mov': (lambda path: film(path, codec='mjpeg', pixels='yuvj420p', torn=(19, 20)), 'kept'),
  'later.mov': (lambda path: film(path, tracks=(VOICE[4_800:],), late=0.3), 'kept'),
  'hour.mkv': (lambda path: film(path, start=90_000 * 3600), 'kept'),
  'wraps.ts': (lambda path: film(path, start=2**33 - 40_000), 'kept'),
  'opposite.mp4': (lambda path: film(path, tracks=(np.stack([VOICE, -VOICE], 1),)), 'kept'),
  'second.mp4': (lambda path: film(path, tracks=(0 * VOICE, VOICE), default=1), 'kept'),
  'wide.mp4': (wide, 'kept'),
}  # fmt: skip


@pytest.fixture(scope='module')
def fates(tmp_path_factory):
  """(folder of the set, {name: result})."""
  folder, output = tmp_path_factory.mktemp('odd'), tmp_path_factory.mktemp('set')
  for name, (make, _) in ODD.items():
    make(folder / name)
  try:
    os.rename(folder / 'lat\xe9.mkv', os.fsencode(folder / 'lat') + b'\xe9.mkv')
  except OSError:  # a file system of names in UTF-8
    pass
  lag = films.LevelLag()
  done = [process.guarded(s, output, SETTINGS, lag) for s in layouts.find(folder)]
  report.write(output, done, dict(limits=vars(SETTINGS.limits)))
  return output, {result['source'].replace('\\xe9', '\xe9'): result for result in done}


def test_every_film_has_a_true_fate(fates):
  output, done = fates
  assert len(ODD) >= 40 and done.keys() == ODD.keys()
  told = {
    name: 'kept' if result['kept'] else result['dropped'][0]['reason']
    for name, result in done.items()
  }
  assert told == {name: fate for name, (_, fate) in ODD.items()}
  text = (output / 'report.json').read_text()
  assert {entry['source'] for entry in json.loads(text)['sources']} >= {'plain.mp4', 'empty.mp4'}
  assert 'failed' not in text and 'Traceback' not in text


def test_what_is_damaged_or_missing_is_told(fates):
  output, done = fates
  damage = {name: result['damage'] for name, result in done.items() if result['damage']}
  assert damage.keys() == {'hole.mkv', 'damaged.mp4', 'torn.mov'}
  assert '2 packets of pictures cannot be decoded, 0.08 s' in damage['torn.mov']
  (kept,) = done['torn.mov']['kept']
  assert (kept['start'], kept['stop']) == (0, 19)  # no face stands still in it
  assert 'of sound are missing, from 0.3' in damage['hole.mkv']
  assert '3 packets of sound cannot be decoded' in damage['damaged.mp4']
  page = (output / 'report.html').read_text()
  assert 'hole.mkv' in page.split('Damaged')[1].split('<h2>')[0]


def shift(series, truth, rate):
  """Seconds by which a series begins later than the film that it was made of, to 5 ms.

  Args:
    series: numbers, `rate` a second.
    truth: function of the time in the film, seconds, array to array.
  """
  times, scores = np.arange(len(series)) / rate, {}
  for late in np.arange(-0.15, 0.151, 0.005):
    there = times - late
    inside = (there >= 0) & (there <= SECONDS - 0.04)
    scores[late] = np.corrcoef(series[inside], truth(there[inside]))[0, 1]
  return max(scores, key=scores.get)


@pytest.mark.parametrize('name', [name for name, (_, fate) in ODD.items() if fate == 'kept'])
def test_no_kept_clip_is_out_of_sync_by_more_than_a_frame(fates, name):
  output, done = fates
  folder = output / 'videos' / done[name]['key']
  sound, _ = soundfile.read(folder / '000.flac')
  with np.load(folder / '000.npz') as file:
    opening = points.mouth_opening(landmarks.unpack(file['landmarks']))
  level = np.sqrt((sound[: len(sound) // 80 * 80].reshape(-1, 80) ** 2).mean(1))
  level = np.convolve(level, np.ones(4) / 4, 'same')
  lips = shift(opening, OPENING, 25)
  voice = shift(level, lambda t: np.where(level_is_there(name, t), OPENING(t), 0), 200)
  assert abs(voice - lips) <= 0.045


def level_is_there(name, times):
  """Whether the voice was not lost: of two films three packets are."""
  lost = name in ('hole.mkv', 'damaged.mp4')
  return ~((times > 5 * 0.064) & (times < 8 * 0.064)) | (not lost)
