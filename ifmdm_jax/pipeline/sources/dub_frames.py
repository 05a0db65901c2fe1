"""Draws frames to be dubbed: a frame, a far one of the same person, landmarks and the voice.

The far frame, the reference, is drawn anew at every access. It is at least `gap` frames away, so
that its mouth says nothing of this one's.
"""

import collections
import functools

import cv2
import numpy as np

from ifmdm_jax.audio import blocks
from ifmdm_jax.errors import InputError
from ifmdm_jax.face import steady
from ifmdm_jax.face.points import MIRROR
from ifmdm_jax.pipeline import features, loader, records
from ifmdm_jax.pipeline.sources import pairs

GAP = 60  # frames between a frame and its reference, at least
AUGMENT = dict(scale=0.08, turn=0.08, shift=0.03, gain=0.08, offset=8.0)
ELSEWHERE = -1  # distance of a reference that another clip gave


def far_frames(count, frame, gap=GAP):
  """Lists the frames of a clip of `count` that are at least `gap` away from a frame."""
  return np.concatenate([np.arange(0, frame - gap + 1), np.arange(frame + gap, count)])


class DubFrames(loader.Listed):
  """Offers a clip as often as blocks of 8 frames fit into it, and stills; `draw` makes an example.

  Where a clip is too short for a reference of its own the person's other clips give it, and without
  them the end of the clip that is farther away; `distance` says what it was.
  """

  def __init__(
    self,
    folder,
    split,
    size=None,
    *,
    face=0,
    gap=GAP,
    audio='',
    standardise=False,
    augment=False,
    stills=0.0,
    licence='',
  ):
    """Opens the clips of a set.

    Args:
      folder: of the set, or of several.
      split: 'train' or 'val'.
      size: side that frames are brought to, pixels; None: as stored.
      face: side of the squares around the face, held still, that are cut out of frames; 0: frames
        are shown whole.
      gap: frames that a reference is away, at least.
      audio: speech encoder whose features `prepare --features` wrote; '': no voice is read.
      standardise: whether each of its numbers has mean 0 and deviation 1 over a clip.
      augment: whether place, size, side and colours are varied, of both frames alike.
      stills: share of examples made of single pictures, which are their own references.
      licence: pattern that has to be found in the licence or provenance.

    Raises:
      InputError: there is no such clip, or there are no features of it.
    """
    which = dict(split=split, size=size, licence=licence, sound=False)
    self.clips, self.gap, self.augment = records.clips(folder, **which), gap, augment
    self.face, self._squares = face, functools.cache(self._squares_of)
    self.stills = records.clips(folder, stills=True, **which) if stills else []
    self.voiced, self.standardise = bool(audio), standardise
    if audio:
      if stills:
        raise InputError(f'data.stills is {stills} with a voice, expected 0: pictures say nothing')
      self.clips = features.attach(self.clips, folder, audio)
    usable = [i for i, e in enumerate(self.clips.entries) if not audio or e.sound]
    if not usable:
      raise InputError(
        f'{folder} has no clip of split {split} with a licence like {licence!r}'
        f'{" and a voice" if audio else ""}: prepare more films, or change data.licence'
      )
    self.of_person = collections.defaultdict(list)
    for i in usable:
      self.of_person[self.clips.entries[i].person].append(i)
    counts = loader.by_windows([self.clips.entries[i].count for i in usable], blocks.NEIGHBOURS)
    self.items = [('clip', usable[i]) for i in counts]
    if len(self.stills):
      wanted = max(1, int(len(self.items) * stills / (1 - stills)))
      self.items += [('still', i % len(self.stills)) for i in range(wanted)]

  def draw(self, item, rng):
    """Makes an example, see `make_loader` for its keys."""
    kind, index = item
    example = self._clip(index, rng) if kind == 'clip' else self._still(index)
    return self._placed(example, rng)

  def _clip(self, index, rng):
    clip = self.clips[index]
    frame = int(rng.integers(len(clip.frames)))
    where, reference, distance = self.reference(index, frame, rng)
    example = dict(
      target=(clip.frames[frame], self._squares('clip', index)[frame]),
      reference=(
        self.clips[where].frames[reference],
        self._squares('clip', where)[reference],
      ),
      points=pairs.fractions(clip)[frame],
      distance=np.int32(distance),
    )
    if self.voiced:
      speech = blocks.standardised(clip.features) if self.standardise else clip.features
      example['speech'] = blocks.blocks(speech, [frame])[0]
    return example

  def reference(self, index, frame, rng):
    """Draws a reference for a frame of clip `index`: (clip, frame, distance in frames)."""
    entries = self.clips.entries
    far = far_frames(entries[index].count, frame, self.gap)
    if len(far):
      chosen = int(rng.choice(far))
      return index, chosen, abs(chosen - frame)
    others = [i for i in self.of_person[entries[index].person] if i != index]
    if others:
      where = int(rng.choice(others))
      return where, int(rng.integers(entries[where].count)), ELSEWHERE
    last = entries[index].count - 1
    chosen = 0 if frame > last - frame else last
    return index, chosen, abs(chosen - frame)

  def _still(self, index):
    still = self.stills[index]
    picture = still.frames[0], self._squares('still', index)[0]
    points = pairs.fractions(still)[0]
    return dict(target=picture, reference=picture, points=points, distance=np.int32(0))

  def _squares_of(self, kind, index):
    """Places what is shown of the frames of a clip: [T, 2, 3], fractions to fractions."""
    points = pairs.fractions((self.clips if kind == 'clip' else self.stills)[index])
    if self.face:
      return steady.squares(points)
    return np.broadcast_to(np.eye(2, 3), (len(points), 2, 3))

  def _placed(self, example, rng):
    """Cuts the squares out, with place, size, side and colours varied where that is wanted."""
    points, moved, table = example['points'], np.eye(2, 3), None
    if self.augment:
      moved, table = pairs.affine(rng, **AUGMENT), pairs.recolour(rng, **AUGMENT)
      if rng.random() < 0.5:
        moved, points = pairs.flip(moved), points[MIRROR]
    shown = {}
    for name in ('target', 'reference'):
      picture, square = example[name]
      matrix = _after(moved, square)
      if name == 'target':
        points = pairs.move_points(points, matrix)
      if self.augment or self.face:
        picture = pairs.move_picture(picture, matrix, self.face)
      shown[name] = picture if table is None else cv2.LUT(picture, table[None])
    return {**example, **shown, 'points': points}


def _after(second, first):
  """Composes two affine maps [2, 3]: the first, then the second."""
  linear = second[:, :2] @ first[:, :2]
  return np.column_stack([linear, second[:, :2] @ first[:, 2] + second[:, 2]])


def make_loader(config, *, batch, seed, split, process_index=0, process_count=1):
  """Returns endless batches; see `loader.endless` for whose rows they are.

  target, reference uint8 [B, R, R, 3]; points float32 [B, 468, 2] of the target as fractions of the
  side; distance int32 [B], frames between the two, -1 where the reference is of another clip;
  speech float32 [B, 8, 16, A], the block of `audio.blocks`, where `config.audio` names an encoder.

  Reads `config.cache`, the folder of a set, `config.size`, `config.face`, `config.gap`,
  `config.audio`, `config.standardise`, `config.augment`, `config.stills` and `config.licence`: see
  `DubFrames`.
  """
  train = split == 'train'
  source = DubFrames(
    config.cache,
    split,
    config.size or None,
    face=config.get('face', 0),
    gap=config.gap,
    audio=config.audio,
    standardise=config.get('standardise', False),
    augment=train and config.augment,
    stills=config.stills if train else 0.0,
    licence=config.licence if train else '',
  )
  where = dict(process_index=process_index, process_count=process_count)
  return loader.endless(source, batch=batch, seed=seed, **where, threads=2, ahead=4)
