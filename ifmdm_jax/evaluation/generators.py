"""What is evaluated: weights, a folder of videos, and the two rows that every table has.

A generator has a `name`, a `fingerprint` (what its videos depend on besides the clip, for resuming)
and three methods, each of which may raise InputError to say why there is nothing to score:

  driven(clip, seed)   -> Video   from the clip's first frame and its voice
  reenact(clip)        -> Video   from the clip's first frame and its own motion
  samples(clip, seeds) -> uint8 [K, len(INSTANTS), R, R, 3], the driven video at INSTANTS
"""

import dataclasses
import hashlib
import pathlib
import time

import numpy as np

from ifmdm_jax.clip import Clip
from ifmdm_jax.errors import InputError
from ifmdm_jax.evaluation import protocol
from ifmdm_jax.evaluation.types import FPS, SAMPLE_RATE
from ifmdm_jax.face.crop import crop_square
from ifmdm_jax.pipeline.cache import VIDEO
from ifmdm_jax.video import read

INSTANTS = (1, 2, 3, 4)  # seconds


@dataclasses.dataclass(frozen=True)
class Video:
  """A video to score.

  Attributes:
    frames: uint8 [T, R, R, 3].
    landmarks: [T, 468, 2] in pixels where they are known already, else None.
    notes: what was done to the video.
    cost: figures of METRICS in `cost`, where it was generated here.
  """

  frames: np.ndarray
  landmarks: np.ndarray | None = None
  notes: tuple[str, ...] = ()
  cost: dict = dataclasses.field(default_factory=dict)


class GroundTruth:
  """The clip itself: what a perfect generator would score."""

  name = fingerprint = 'ground_truth'

  def driven(self, clip, seed):
    return Video(clip.frames, clip.landmarks)

  def reenact(self, clip):
    return Video(clip.frames, clip.landmarks)

  def samples(self, clip, seeds):
    raise InputError('there is one ground truth only')


class FirstFrame:
  """The first frame repeated: what doing nothing scores."""

  name = fingerprint = 'first_frame'

  def driven(self, clip, seed):
    still = lambda array: np.broadcast_to(array[:1], array.shape)
    return Video(still(clip.frames), still(clip.landmarks))

  def reenact(self, clip):
    return self.driven(clip, 0)

  def samples(self, clip, seeds):
    size = clip.frames.shape[1]
    return np.broadcast_to(clip.frames[0], (len(seeds), len(INSTANTS), size, size, 3))


class Weights:
  """A `Sampler`; handed in, since metrics know no models."""

  def __init__(self, name, sampler, fingerprint):
    self.name, self.sampler, self.fingerprint = name, sampler, fingerprint
    self.warm = False

  def driven(self, clip, seed):
    portrait, voice = clip.frames[0], self._voice(clip)
    if not self.warm:  # compiling is no part of the speed
      self.sampler.warm(plan=self.sampler.whole)
      self.warm = True
    _reset_peak()
    start, first, blocks = time.monotonic(), None, []
    for block in self.sampler.frames(portrait, voice, SAMPLE_RATE, seed):
      first = first or time.monotonic() - start
      blocks.append(np.asarray(block))
    seconds, frames = time.monotonic() - start, np.concatenate(blocks)
    cost = {'speed': len(frames) / seconds, 'first_frame_s': first, 'memory': _peak()}
    return Video(protocol.bring(frames, clip.frames.shape[1]), cost=cost)

  def reenact(self, clip):
    shown = Clip(image=clip.frames[0], frames=clip.frames)
    frames = np.concatenate(list(self.sampler.reenact(shown)))
    return Video(protocol.bring(frames, clip.frames.shape[1]))

  def samples(self, clip, seeds):
    if len(clip.frames) < INSTANTS[-1] * FPS:
      raise InputError(f'the clip is shorter than {INSTANTS[-1]} s')
    portrait = self.sampler.portrait(clip.frames[0])
    voice = self._voice(clip)[: INSTANTS[-1] * SAMPLE_RATE]
    place = np.array(INSTANTS) * FPS - 1
    result = []
    for seed in seeds:
      codes = self.sampler.codes(clip.frames[0], voice, SAMPLE_RATE, seed)[place]
      drawn = np.concatenate(list(self.sampler.drawn(portrait, codes, 1)))
      result.append(protocol.bring(drawn, clip.frames.shape[1]))
    return np.stack(result)

  def _voice(self, clip):
    if clip.waveform is None:
      raise InputError('the clip has no sound to drive it')
    return clip.waveform


class Folder:
  """Videos that were made elsewhere: FOLDER/NAME.mp4, and FOLDER/reenact/NAME.mp4 where there.

  NAME is the clip's name in the protocol or its file's stem. Any frame rate, size and colour that
  FFmpeg decodes; what was changed is noted.
  """

  def __init__(self, folder, track):
    self.folder, self.track = pathlib.Path(folder), track
    self.name = self.folder.resolve().name
    self.fingerprint = fingerprint(self.folder)

  def driven(self, clip, seed):
    return self._read(clip, self.folder)

  def reenact(self, clip):
    return self._read(clip, self.folder / 'reenact')

  def samples(self, clip, seeds):
    raise InputError('a folder holds one sample of each clip')

  def _read(self, clip, folder):
    names = {clip.name, pathlib.Path(clip.video).stem}
    found = [
      path
      for path in sorted(folder.glob('*'))
      if path.stem in names and path.suffix.lower() in VIDEO
    ]
    if not found:
      raise InputError(f'no video {clip.name}.mp4 in {folder.name}/')
    notes, frames = [], list(read.frames(found[0]))
    rate = frame_rate(found[0])
    if abs(rate - FPS) > 0.01:
      notes.append(f'{rate:g} frames per second brought to {FPS} by their times')
    if len(frames) != len(clip.frames):
      notes.append(f'{len(frames)} frames instead of {len(clip.frames)}: the shorter counts')
    height, width = frames[0].shape[:2]
    size, square = clip.frames.shape[1], None
    if (height, width) == clip.shape and clip.square is not None:
      square = clip.square
    elif abs(height - width) > 0.02 * max(height, width):
      notes.append(f'{width} x {height} pixels are not square: cut around the face')
      square = crop_square(self.track(frames), frames[0].shape)
    elif (height, width) != (size, size):
      notes.append(f'{width} x {height} pixels brought to {size} x {size}')
    return Video(protocol.bring(frames, size, square), notes=tuple(notes))


def frame_rate(path):
  """Average frames per second that a file states; 25 where it states none."""
  import av

  with av.open(str(path)) as container:
    return float(container.streams.video[0].average_rate or FPS)


def fingerprint(folder, pattern='*'):
  """Hash of the names, sizes and times of the files in a folder, at any depth."""
  folder = pathlib.Path(folder)
  files = sorted(path for path in folder.rglob(pattern) if path.is_file())
  facts = [(str(p.relative_to(folder)), p.stat().st_size, p.stat().st_mtime_ns) for p in files]
  return hashlib.sha256(repr(facts).encode()).hexdigest()


def _reset_peak():
  """Forgets the highest memory of this process so far (Linux; elsewhere it stays)."""
  try:
    pathlib.Path('/proc/self/clear_refs').write_text('5')
  except OSError:
    pass


def _peak():
  """Highest memory in MB: of the accelerator if there is one, else of this process."""
  import jax

  stats = jax.devices()[0].memory_stats() or {}
  if 'peak_bytes_in_use' in stats:
    return stats['peak_bytes_in_use'] / 1e6
  import resource

  try:
    lines = pathlib.Path('/proc/self/status').read_text().splitlines()
    return next(float(line.split()[1]) / 1e3 for line in lines if line.startswith('VmHWM'))
  except (OSError, StopIteration):
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
