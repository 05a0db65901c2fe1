"""Draws episodes: K frames of one clip that show a person, and one more frame to be made.

Frames are those of the records, squares that `face.crop.crop_square` placed, brought to another
side by `face.crop.resized`: the same two functions that a portrait goes through when it is used.
"""

import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.face.crop import resized
from ifmdm_jax.face.points import MIRROR
from ifmdm_jax.pipeline import loader, records
from ifmdm_jax.pipeline.sources import pairs

AUGMENT = dict(scale=0.08, turn=0.08, shift=0.03)
FRAMES = 32  # of a clip, for each time that it stands in an epoch
UNKNOWN = -1  # number of a clip that is not trained on


class Episodes(loader.Listed):
  """Offers a clip as often as pieces of FRAMES fit into it; `draw` makes an episode.

  Attributes:
    clips: `records.Records`.
    items: numbers of clips.
  """

  def __init__(self, folder, split, size, shots, *, augment=False, licence=''):
    """Opens the clips of a set.

    Args:
      folder: of the set, or of several.
      split: 'train' or 'val'.
      size: side that frames are brought to, pixels.
      shots: K.
      augment: whether place, size and side of a whole episode are varied.
      licence: pattern that has to be found in the licence or provenance.

    Raises:
      InputError: there is no such clip, or no such K.
    """
    if shots < 1:
      raise InputError(f'data.shots is {shots}, expected 1 or more')
    self.clips = records.clips(folder, split=split, licence=licence, sound=False)
    self.size, self.shots, self.split, self.augment = size, shots, split, augment
    if not len(self.clips):
      raise InputError(
        f'{folder} has no clip of split {split} with a licence like {licence!r}: prepare more '
        'films, or change data.licence'
      )
    self.items = loader.by_windows([entry.count for entry in self.clips.entries], FRAMES)

  def draw(self, item, rng):
    """Makes an episode, see `make_loader` for its keys."""
    clip = self.clips[item]
    chosen = self.frames(len(clip.frames), rng)
    pictures = np.stack([resized(clip.frames[i], self.size) for i in chosen])
    points = pairs.fractions(clip)[chosen].astype(np.float32)
    if self.augment:
      matrix = pairs.affine(rng, **AUGMENT)
      if rng.random() < 0.5:
        matrix, points = pairs.flip(matrix), points[:, MIRROR]
      pictures = np.stack([pairs.move_picture(picture, matrix) for picture in pictures])
      points = pairs.move_points(points, matrix)
    return dict(
      shots=pictures[1:],
      shot_points=points[1:],
      target=pictures[0],
      target_points=points[0],
      video=np.int32(item if self.split == 'train' else UNKNOWN),
    )

  def frames(self, count, rng):
    """Draws K + 1 frames of `count`, none of them twice while there are enough: int [K + 1]."""
    wanted = self.shots + 1
    return rng.choice(count, wanted, replace=count < wanted)


def make_loader(config, *, batch, seed, split, process_index=0, process_count=1):
  """Returns endless batches; see `loader.endless` for whose rows they are.

  shots uint8 [B, K, S, S, 3], target uint8 [B, S, S, 3]; shot_points [B, K, 468, 2] and
  target_points [B, 468, 2], float32, fractions of the side; video int32 [B], number of the clip
  among those that are trained on, -1 of one that is held out.

  Reads `config.cache`, the folder of a set, `config.size`, `config.shots`, `config.augment`,
  `config.licence`, see `Episodes`, and `config.videos`: clips that the model has a row for.

  Raises:
    InputError: the set has more clips than that.
  """
  train = split == 'train'
  source = Episodes(
    config.cache,
    split,
    config.size,
    config.shots,
    augment=train and config.augment,
    licence=config.licence if train else '',
  )
  if train and len(source.clips) > config.videos:
    raise InputError(
      f'{config.cache} has {len(source.clips)} clips to train on, expected at most '
      f'{config.videos}: raise data.videos and model.videos'
    )
  where = dict(process_index=process_index, process_count=process_count)
  return loader.endless(source, batch=batch, seed=seed, **where, threads=2, ahead=4)
