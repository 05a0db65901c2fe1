"""Writes marked videos of real clips, does to them what platforms do, and reads the mark again.

  python experiments/mark/attacks.py --data ../shared/data --output experiments/mark

Clips: four seconds of each of the ten of split `val`, played back and forth where they are shorter,
and what `--also` names. Written by the package's own writer (H.264, CRF 18), then attacked;
encoders are libx264, preset veryfast. One row of attacks.csv is one attack on one clip; unseen.csv
has PSNR and flicker of the marked frames before any encoding.
"""

import csv
import io
import pathlib
import tempfile
import time
from fractions import Fraction

import av
import cv2
import numpy as np
from absl import app, flags

from ifmdm_jax import video
from ifmdm_jax.trust import mark, mark_reader
from ifmdm_jax.trust.origin import Origin
from ifmdm_jax.video import read

DATA = flags.DEFINE_string('data', None, 'Folder of the data pack.', required=True)
ALSO = flags.DEFINE_list('also', [], 'More videos, e.g. of make demo without provenance.')
OUTPUT = flags.DEFINE_string('output', 'experiments/mark', 'Folder of the tables.')
NUMBER, COUNT, FPS = 0x5A5A5A5, 100, 25


def encoded(frames, crf, fps=FPS, preset='veryfast'):
  """Encodes and decodes frames uint8 RGB."""
  memory = io.BytesIO()
  height, width = (side // 2 * 2 for side in frames[0].shape[:2])
  with av.open(memory, 'w', format='mp4') as container:
    stream = container.add_stream('libx264', rate=Fraction(fps))
    stream.width, stream.height, stream.pix_fmt = width, height, 'yuv420p'
    stream.options = {'crf': str(crf), 'preset': preset}
    stream.codec_context.thread_count = 1
    for frame in frames:
      picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[:height, :width]), 'rgb24')
      container.mux(stream.encode(picture))
    container.mux(stream.encode(None))
  memory.seek(0)
  with av.open(memory) as container:
    return [frame.to_ndarray(format='rgb24') for frame in container.decode(video=0)]


def cropped(frames, share):
  """Cuts a rectangle whose sides are a share of the whole, off the middle."""
  height, width = (round(side * share) for side in frames[0].shape[:2])
  top, left = (frames[0].shape[0] - height) // 3, 2 * (frames[0].shape[1] - width) // 3
  return [frame[top : top + height, left : left + width] for frame in frames]


def scaled(frames, factor):
  height, width = (round(side * factor) for side in frames[0].shape[:2])
  return [cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in frames]


def faster(frames, fps):
  """Repeats frames, as a converter of rates does."""
  count = len(frames) * fps // FPS
  return [frames[min(len(frames) - 1, k * FPS // fps)] for k in range(count)]


ATTACKS = {  # name -> function of frames to (frames, frames a second)
  'as written': lambda f: (f, FPS),
  'CRF 23': lambda f: (encoded(f, 23), FPS),
  'CRF 28': lambda f: (encoded(f, 28), FPS),
  'CRF 28, preset medium': lambda f: (encoded(f, 28, preset='medium'), FPS),
  'CRF 33': lambda f: (encoded(f, 33), FPS),
  'x 0.75, crop 80 %, CRF 28': lambda f: (encoded(scaled(cropped(f, 0.8), 0.75), 28), FPS),
  'x 0.5, CRF 28': lambda f: (encoded(scaled(f, 0.5), 28), FPS),
  'crop 60 %, CRF 28': lambda f: (encoded(cropped(f, 0.6), 28), FPS),
  '25 to 30 frames a second, CRF 28': lambda f: (encoded(faster(f, 30), 28, 30), 30),
  'two generations, CRF 23 and 28': lambda f: (encoded(encoded(f, 23), 28), FPS),
}


def clips(root):
  """Yields (name, frames uint8 RGB [100, H, W, 3])."""
  with open(root / 'MANIFEST.csv', newline='') as file:
    rows = [row for row in csv.DictReader(file) if row['split'] == 'val']
  paths = [root / row['file'] for row in rows if row['file'].startswith('clips/')]
  for path in [*paths, *map(pathlib.Path, ALSO.value)]:
    frames = read.read_frames(path)[:COUNT]
    there = np.arange(COUNT) % (2 * len(frames) - 2)
    yield path.stem, frames[np.minimum(there, 2 * len(frames) - 2 - there)]


def unsteadiness(frames):
  """Averages |I(t+1) - 2 I(t) + I(t-1)| over cheeks, nose and mouth of a centred face."""
  height, width = frames.shape[1:3]
  rows, columns = (
    slice(int(0.45 * height), int(0.8 * height)),
    slice(width * 3 // 10, width * 7 // 10),
  )
  light = np.float32([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[rows, columns] for frame in frames])
  return float(np.abs(light[:-2] - 2 * light[1:-1] + light[2:]).mean())


def unseen(name, frames):
  """Measures the marked frames before any encoding."""
  marker = mark.Marker(NUMBER)
  marker.mark(frames[0], 0.0)
  began = time.thread_time()
  light = cv2.cvtColor(frames[0], cv2.COLOR_RGB2GRAY)
  for k in range(50):
    marker.mark_light(light.copy(), 0.2 + k / FPS)
  ms = 20 * (time.thread_time() - began)
  marked = np.stack([marker.mark(frame, k / FPS) for k, frame in enumerate(frames)])
  errors = [float(np.mean((a.astype(np.float32) - b) ** 2)) for a, b in zip(frames, marked)]
  psnr = [10 * np.log10(255**2 / each) for each in (np.mean(errors), np.max(errors))]
  ratio = unsteadiness(marked) / unsteadiness(frames)
  return dict(clip=name, side=frames.shape[1], psnr=f'{psnr[0]:.2f}', psnr_lowest=f'{psnr[1]:.2f}',
              flicker_ratio=f'{ratio:.4f}', cpu_ms=f'{ms:.2f}')  # fmt: skip


def attacked(name, frames):
  """Yields a row an attack."""
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / 'a.mp4'
    video.write(path, frames, provenance=Origin(number=NUMBER))
    marked, size = list(read.read_frames(path)), path.stat().st_size
    video.write(path, frames, provenance=False)
    larger = size / path.stat().st_size
  for attack, function in ATTACKS.items():
    result, fps = function(marked)
    began = time.thread_time()
    lights = [mark_reader.reduced(cv2.cvtColor(each, cv2.COLOR_RGB2GRAY)) for each in result]
    found = mark_reader.read(lights, np.arange(len(lights)) / fps)
    took = time.thread_time() - began
    right = found.found and found.number == NUMBER
    yield dict(clip=name, side=frames.shape[1], attack=attack, right=int(right),
               score=f'{found.score:.2f}', scale=f'{found.scale:.3f}', cpu_s=f'{took:.2f}',
               file_over_unmarked=f'{larger:.3f}')  # fmt: skip


def main(_):
  cv2.setNumThreads(1)
  folder, tables = pathlib.Path(OUTPUT.value), {'unseen': [], 'attacks': []}
  for name, frames in clips(pathlib.Path(DATA.value)):
    tables['unseen'].append(unseen(name, frames))
    tables['attacks'] += attacked(name, frames)
    print(tables['unseen'][-1], [row['right'] for row in tables['attacks'][-len(ATTACKS) :]],
          flush=True)  # fmt: skip
    for table, rows in tables.items():
      with open(folder / f'{table}.csv', 'w', newline='') as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)


if __name__ == '__main__':
  app.run(main)
