"""Pairs of frames for stage 1: one source, K targets of the same person, seen the same way.

Clips give real pairs. Stills have one picture each and give two kinds of made pairs: the
picture moved as a whole, and another person's expression borrowed through the landmarks, for
which there is no picture (`seen` = 0), only the flow that should arise.
"""

import pathlib
import re

import cv2
import grain
import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.face.points import MIRROR, mouth_opening
from ifmdm_jax.pipeline import cache, loader

AUGMENT = dict(scale=0.12, turn=0.12, shift=0.05, gain=0.1, offset=10.0)
STILL_MOTION = dict(scale=0.06, turn=0.12, shift=0.04)


def affine(rng, scale, turn, shift, **_):
  """A random similarity about the centre, on fractions of the side: [2, 3]."""
  size = np.exp(rng.normal(0, scale / 2))
  angle = np.clip(rng.normal(0, turn / 2), -turn, turn)
  linear = size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
  moved = np.clip(rng.normal(0, shift / 2, 2), -shift, shift)
  return np.column_stack([linear, 0.5 - linear @ [0.5, 0.5] + moved])


def flip(matrix):
  """The same after a mirror in the vertical axis."""
  return np.column_stack([-matrix[:, 0], matrix[:, 1], matrix[:, 2] + matrix[:, 0]])


def move_points(points, matrix):
  return (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def move_picture(picture, matrix):
  side = picture.shape[0]
  pixels = matrix.copy()  # fraction f is pixel f side - 1/2
  pixels[:, 2] = side * matrix[:, 2] + matrix[:, :2] @ [0.5, 0.5] - 0.5
  return cv2.warpAffine(
    picture, pixels, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
  )


def recolour(rng, gain, offset, **_):
  """One random tone curve per channel, as a table [256, 3]."""
  gains = np.exp(rng.normal(0, gain) + rng.normal(0, gain / 2, 3))
  offsets = rng.normal(0, offset) + rng.normal(0, offset / 2, 3)
  levels = (np.arange(256)[:, None] - 128.0) * gains + 128.0 + offsets
  return np.clip(levels, 0, 255).astype(np.uint8)


def blur_background(picture, matte):
  """Background out of focus: uint8 [R, R, 3], matte [S, S] of any S, over 127 where a person is.

  The published one: a Gaussian of 3.5 pixels at 512, 21 taps, the edge mirrored; no soft border.
  """
  side = picture.shape[0]
  taps = 2 * round(10 * side / 512) + 1
  blurred = cv2.GaussianBlur(
    picture, (taps, taps), 3.5 * side / 512, borderType=cv2.BORDER_REFLECT_101
  )
  person = cv2.resize(matte, (side, side), interpolation=cv2.INTER_NEAREST) > 127
  return np.where(person[..., None], picture, blurred)


class Pairs(grain.sources.RandomAccessDataSource):
  """Item i is the i-th clip or still; `draw(item, rng)` makes an example of it."""

  def __init__(
    self,
    folder,
    split,
    targets=4,
    stills=0.25,
    augment=True,
    licence='',
    gap=0,
    size=None,
    blur=0.0,
  ):
    """`gap`: frames that targets are at most away from their source, 0: the whole clip; `size`:
    side that pictures out of records are brought to; `blur`: share of examples whose background is
    blurred in source and targets alike, in training and validation; 1 is the published training."""
    self.clips = [c for c in cache.clips(folder, split, size) if re.search(licence, c.licence)]
    if cache.is_records(folder):
      lengths = self._open_records()
    else:
      landmarks = [c.landmarks for c in self.clips]
      whole = [i for i, track in enumerate(landmarks) if np.isfinite(track).all()]
      self.clips = [self.clips[i] for i in whole]
      self.landmarks = [landmarks[i] for i in whole]
      self.frames = [c.frames for c in self.clips]
      self.openings = [mouth_opening(track) for track in self.landmarks]
      lengths = [len(track) for track in self.landmarks]
    self.stills = cache.stills(folder, split, licence)
    self.targets, self.augment, self.gap, self.size = targets, augment, gap, size
    self.blur, self.still_mattes = blur, cache.read_mattes(pathlib.Path(folder) / 'stills')
    if blur and not (all(c.matted for c in self.clips) and (self.still_mattes or not self.stills)):
      raise InputError(
        f'expected mattes in {folder} since data.blur is {blur}: make them with python -m '
        f'ifmdm_jax.prepare --source FILMS --output {folder} --matte'
      )
    # Long clips count more, but less than their length: people matter more than minutes.
    weights = np.sqrt(lengths)
    slots = 1000
    counts = np.ceil(slots * weights / weights.sum()).astype(int)
    self.items = [('clip', i) for i, n in enumerate(counts) for _ in range(n)]
    if self.stills and stills:
      chosen = self.stills[2]
      wanted = int(len(self.items) * stills / (1 - stills))
      copies = -(-len(chosen) // wanted)  # whole rounds of all stills
      self.items = self.items * copies + [('still', i) for i in chosen]

  def _open_records(self):
    """The same attributes, read when asked for: a set of records may be larger than the memory."""
    from ifmdm_jax.pipeline.records import Lazy  # plain arrays need no tensorflow-datasets

    count = len(self.clips)
    landmarks = lambda i: self.clips[i].landmarks
    self.landmarks = Lazy(landmarks, count)
    self.frames = Lazy(lambda i: self.clips[i].frames, count)
    self.openings = Lazy(lambda i: mouth_opening(landmarks(i)), count)
    return [len(clip) for clip in self.clips]

  def __len__(self):
    return len(self.items)

  def __getitem__(self, index):
    return self.items[index]

  def draw(self, item, rng):
    kind, index = item
    blur = bool(self.blur) and rng.random() < self.blur
    pictures, points, seen = (self._clip if kind == 'clip' else self._still)(index, rng, blur)
    if self.augment:
      pictures, points = self._augment(pictures, points, rng)
    return dict(
      source=pictures[0],
      source_points=points[0],
      target=pictures[1:],
      target_points=points[1:],
      seen=seen,
    )

  def _clip(self, index, rng, blur):
    landmarks = self.landmarks[index]
    count = len(landmarks)
    chosen = rng.integers(count, size=1 + self.targets)
    first, stop = 0, count
    if self.gap:
      first, stop = max(0, chosen[0] - self.gap), min(count, chosen[0] + self.gap + 1)
      chosen[1:] = rng.integers(first, stop, size=self.targets)
    # Half of the examples: one target as far as possible from the source in mouth opening.
    if rng.random() < 0.5:
      opening = self.openings[index]
      some = rng.integers(first, stop, size=16)
      chosen[1] = some[np.argmax(np.abs(opening[some] - opening[chosen[0]]))]
    pictures = np.asarray(self.frames[index][chosen])
    if blur:
      mattes = self.clips[index].mattes[chosen][..., 0]
      pictures = np.stack([blur_background(p, m) for p, m in zip(pictures, mattes)])
    return pictures, landmarks[chosen], np.ones(self.targets, np.float32)

  def _still(self, index, rng, blur):
    frames, landmarks, _ = self.stills
    picture, points = frames[index], landmarks[index]
    if self.size and self.size != picture.shape[0]:
      picture = cv2.resize(picture, (self.size, self.size), interpolation=cv2.INTER_AREA)
    if blur:
      picture = blur_background(picture, self.still_mattes[index][..., 0])
    seen = (np.arange(self.targets) < self.targets // 2).astype(np.float32)
    pictures, tracks = [picture], [points]
    for target in range(self.targets):
      if seen[target]:
        matrix = affine(rng, **STILL_MOTION)
        pictures.append(move_picture(picture, matrix))
        tracks.append(move_points(points, matrix))
      else:
        pictures.append(picture)
        tracks.append(points + self._borrowed(points, rng))
    return np.stack(pictures), np.stack(tracks).astype(np.float32), seen

  def _borrowed(self, points, rng):
    """What another face's landmarks did between two moments, in this face's size."""
    index = rng.integers(len(self.landmarks))
    track, opening = self.landmarks[index], self.openings[index]
    some = rng.integers(len(track), size=12)
    start = some[np.argmin(np.abs(opening[some] - mouth_opening(points)))]
    size = lambda p: np.linalg.norm(p[33] - p[263])
    end = rng.choice(some)
    return (track[end] - track[start]) * (size(points) / size(track[start]))

  def _augment(self, pictures, points, rng):
    matrix, table = affine(rng, **AUGMENT), recolour(rng, **AUGMENT)
    if rng.random() < 0.5:
      matrix, points = flip(matrix), points[:, MIRROR]
    moved = [cv2.LUT(move_picture(p, matrix), table[None]) for p in pictures]
    return np.stack(moved), move_points(points, matrix)


def make_loader(config, *, batch, seed, split, process_index=0, process_count=1):
  """Endless batches; see `Pairs.draw` for the keys and `loader.endless` for whose rows they are.

  source uint8 [B, R, R, 3], target uint8 [B, K, R, R, 3], *_points float32 [B, (K,) 468, 2] as
  fractions of the side, seen float32 [B, K]. `config.cache` is a folder of plain arrays or of
  records; optional `config.gap`, `config.size` and `config.blur`: see `Pairs`.
  """
  train = split == 'train'
  licence = config.get('licence', '') if train else ''
  source = Pairs(
    config.cache,
    split,
    config.targets,
    config.stills,
    train,
    licence,
    config.get('gap', 0),
    config.get('size', None),
    config.get('blur', 0.0),
  )
  where = dict(process_index=process_index, process_count=process_count)
  return loader.endless(source, batch=batch, seed=seed, **where, threads=2, ahead=4)
