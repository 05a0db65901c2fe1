"""H.264 or WebP inside the records? Bytes per frame, and time to read frames out of order.

python experiments/data_engine/codec.py --film CLIP.mp4 [--film ...] [--frames 100]
"""

import io
import resource

import h264 as codec  # beside this file
import numpy as np
from absl import flags
from PIL import Image

from ifmdm_jax import errors
from ifmdm_jax.video import read

_FILM = flags.DEFINE_multi_string('film', None, 'Square 512 px clips.', **errors.SHARED)
_FRAMES = flags.DEFINE_integer('frames', 100, 'Of every clip.', **errors.SHARED)
PICKED = 4  # frames of one track: a source and three targets


def cpu():
  """User and system seconds of this process: fair on a shared machine."""
  used = resource.getrusage(resource.RUSAGE_SELF)
  return used.ru_utime + used.ru_stime


class WebP:
  """One picture per frame."""

  def __init__(self, frames, quality):
    self.pictures = []
    for frame in frames:
      file = io.BytesIO()
      Image.fromarray(frame).save(file, 'WEBP', quality=quality, method=4)
      self.pictures.append(file.getvalue())
    self.bytes = sum(map(len, self.pictures))

  def __getitem__(self, chosen):
    return np.stack([np.asarray(Image.open(io.BytesIO(self.pictures[i]))) for i in chosen])


class H264:
  """As `pipeline.frames` has it, with another distance of keyframes."""

  def __init__(self, frames, keyframe):
    data = codec.encode(frames, keyframe=keyframe)
    self.bytes, self.keyframe, self.frames = len(data), keyframe, codec.Frames(data, len(frames))

  def __getitem__(self, chosen):
    kept, codec.KEYFRAME = codec.KEYFRAME, self.keyframe
    try:
      return self.frames[list(chosen)]
    finally:
      codec.KEYFRAME = kept


def psnr(a, b):
  return 10 * np.log10(255**2 / np.mean((a.astype(np.float32) - b) ** 2))


def main(_):
  if not _FILM.value:
    raise errors.InputError('expected --film CLIP.mp4')
  kinds = {f'H.264 crf 18, keyframe every {k}': (H264, k) for k in (1, 8, 25)}
  kinds |= {f'WebP quality {q}': (WebP, q) for q in (80, 90)}
  rows = {name: [] for name in kinds}
  for film in _FILM.value:
    frames = [frame for frame, _ in zip(read.frames(film), range(_FRAMES.value))]
    for name, (kind, option) in kinds.items():
      before = cpu()
      stored = kind(frames, option)
      written = (cpu() - before) / len(frames)
      rng, times, chosen = np.random.default_rng(0), 10, None
      before = cpu()
      for _ in range(times):
        chosen = rng.integers(len(frames), size=PICKED)
        got = stored[chosen]
      read_ms = (cpu() - before) / times
      quality = psnr(got, np.stack([frames[i] for i in chosen]))
      rows[name].append((stored.bytes / len(frames) / 1e3, 1e3 * written, 1e3 * read_ms, quality))
  print(f'| stored as | kB a frame | write, ms a frame | read {PICKED} at random, ms | PSNR, dB |')
  print('| --- | --- | --- | --- | --- |')
  for name, found in rows.items():
    size, written, read_ms, quality = np.mean(found, axis=0)
    print(f'| {name} | {size:.1f} | {written:.1f} | {read_ms:.1f} | {quality:.1f} |')


if __name__ == '__main__':
  errors.run(main)
