"""Draws pairs of frames for stage 1: one source, K targets of the same person, moved alike.

Clips give real pairs. Stills have one picture each and give two kinds of synthetic pairs: the
picture moved as a whole, and another person's expression borrowed through the landmarks, for
which there is no picture (`seen` = 0), only the flow that should arise.
"""

import cv2
import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.face.crop import indexed, warp
from ifmdm_jax.face.points import MIRROR, eye_distance, mouth_opening
from ifmdm_jax.pipeline import loader, records
from ifmdm_jax.pipeline.blur import blur_background

AUGMENT = dict(scale=0.12, turn=0.12, shift=0.05, gain=0.1, offset=10.0)
STILL_MOTION = dict(scale=0.06, turn=0.12, shift=0.04)


def affine(rng, scale, turn, shift, **_):
  """Draws a random similarity about the centre, on fractions of the side: [2, 3]."""
  size = np.exp(rng.normal(0, scale / 2))
  angle = np.clip(rng.normal(0, turn / 2), -turn, turn)
  linear = size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
  moved = np.clip(rng.normal(0, shift / 2, 2), -shift, shift)
  return np.column_stack([linear, 0.5 - linear @ [0.5, 0.5] + moved])


def flip(matrix):
  """Adds a mirror in the vertical axis to a matrix [2, 3]."""
  return np.column_stack([-matrix[:, 0], matrix[:, 1], matrix[:, 2] + matrix[:, 0]])


def move_points(points, matrix):
  """Moves points [..., N, 2], fractions of the side."""
  return (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def move_picture(picture, matrix, size=None):
  """Moves a picture [R, R, 3] as `move_points` its points, to another size; the edge repeats."""
  side = picture.shape[0]
  size = size or side
  pixels = np.column_stack([matrix[:, :2] * (size / side), size * matrix[:, 2]])
  return warp(picture, indexed(pixels), size)


def recolour(rng, gain, offset, **_):
  """Draws one random tone curve per channel, as a table uint8 [256, 3]."""
  gains = np.exp(rng.normal(0, gain) + rng.normal(0, gain / 2, 3))
  offsets = rng.normal(0, offset) + rng.normal(0, offset / 2, 3)
  levels = (np.arange(256)[:, None] - 128.0) * gains + 128.0 + offsets
  return np.clip(levels, 0, 255).astype(np.uint8)


def fractions(clip):
  """Returns the landmarks of a clip as fractions of the side, float32 [T, 468, 2]."""
  return clip.landmarks / np.float32(clip.frames.side)


class Pairs(loader.Listed):
  """Offers every clip and still; `draw` makes an example of one."""

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
    """Opens the clips and stills of a set.

    Args:
      folder: of the set, or of several.
      split: 'train' or 'val'.
      targets: K, pictures per source.
      stills: share of examples made of stills, where there are some.
      augment: whether place, size and colours are varied.
      licence: pattern that has to be found in the licence or provenance.
      gap: frames that targets are at most away from their source; 0: the whole clip.
      size: side that pictures are brought to, pixels; None: as stored.
      blur: share of examples whose background is blurred in source and targets alike, in training
        and validation; 1 is the published training.

    Raises:
      InputError: no such set, no clip in it, or backgrounds are to be blurred without mattes.
    """
    which = dict(split=split, size=size, licence=licence, sound=False)
    self.clips = records.clips(folder, **which)
    self.stills = records.clips(folder, stills=True, **which)
    self.targets, self.augment, self.gap, self.blur = targets, augment, gap, blur
    if not len(self.clips):
      raise InputError(
        f'{folder} has no clip of split {split} with a licence like {licence!r}: prepare more '
        'films, or change data.licence'
      )
    if blur and not all(e.matte for e in (*self.clips.entries, *self.stills.entries)):
      raise InputError(
        f'expected mattes in {folder} since data.blur is {blur}: make them with python -m '
        f'ifmdm_jax.prepare --source FILMS --output {folder} --matte'
      )
    # Long clips count more, but less than their length: people matter more than minutes.
    weights = np.sqrt([e.count for e in self.clips.entries])
    slots = 1000
    counts = np.ceil(slots * weights / weights.sum()).astype(int)
    self.items = [('clip', i) for i, n in enumerate(counts) for _ in range(n)]
    if len(self.stills) and stills:
      wanted = int(len(self.items) * stills / (1 - stills))
      copies = -(-len(self.stills) // wanted)  # whole rounds of all stills
      self.items = self.items * copies + [('still', i) for i in range(len(self.stills))]

  def draw(self, item, rng):
    """Makes an example, see `make_loader` for its keys."""
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
    clip = self.clips[index]
    points = fractions(clip)
    count = len(points)
    chosen = rng.integers(count, size=1 + self.targets)
    first, stop = 0, count
    if self.gap:
      first, stop = max(0, chosen[0] - self.gap), min(count, chosen[0] + self.gap + 1)
      chosen[1:] = rng.integers(first, stop, size=self.targets)
    # Half of the examples: one target as far as possible from the source in mouth opening.
    if rng.random() < 0.5:
      opening = mouth_opening(points)
      some = rng.integers(first, stop, size=16)
      chosen[1] = some[np.argmax(np.abs(opening[some] - opening[chosen[0]]))]
    pictures = np.asarray(clip.frames[chosen])
    if blur:
      mattes = clip.mattes[chosen][..., 0]
      pictures = np.stack([blur_background(p, m) for p, m in zip(pictures, mattes)])
    return pictures, points[chosen], np.ones(self.targets, np.float32)

  def _still(self, index, rng, blur):
    still = self.stills[index]
    picture, points = still.frames[0], fractions(still)[0]
    if blur:
      picture = blur_background(picture, still.mattes[0][..., 0])
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
    """Returns what another face's landmarks did between two moments, in this face's size."""
    track = fractions(self.clips[rng.integers(len(self.clips))])
    opening = mouth_opening(track)
    some = rng.integers(len(track), size=12)
    start = some[np.argmin(np.abs(opening[some] - mouth_opening(points)))]
    end = rng.choice(some)
    return (track[end] - track[start]) * (eye_distance(points) / eye_distance(track[start]))

  def _augment(self, pictures, points, rng):
    matrix, table = affine(rng, **AUGMENT), recolour(rng, **AUGMENT)
    if rng.random() < 0.5:
      matrix, points = flip(matrix), points[:, MIRROR]
    moved = [cv2.LUT(move_picture(p, matrix), table[None]) for p in pictures]
    return np.stack(moved), move_points(points, matrix)


def make_loader(config, *, batch, seed, split, process_index=0, process_count=1, kind=Pairs):
  """Returns endless batches; see `loader.endless` for whose rows they are.

  source uint8 [B, R, R, 3], target uint8 [B, K, R, R, 3], *_points float32 [B, (K,) 468, 2] as
  fractions of the side, seen float32 [B, K]. `config.cache` is the folder of a set; optional
  `config.gap`, `config.size` and `config.blur`: see `Pairs`. `kind` is the class of the source.
  """
  train = split == 'train'
  licence = config.get('licence', '') if train else ''
  source = kind(
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
