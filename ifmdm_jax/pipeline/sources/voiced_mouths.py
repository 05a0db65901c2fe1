"""Draws frames for a network that hears: the mouth's shape, and the voice around it.

The shape is that of 20 points about their mean over the clip, in the square that holds the face
still (`face.steady`): how the mouth moves, and not whose it is.
"""

import functools

import numpy as np

from ifmdm_jax.audio import blocks
from ifmdm_jax.errors import InputError
from ifmdm_jax.face import steady
from ifmdm_jax.face.points import IBUG_MOUTH
from ifmdm_jax.pipeline import features, loader, records

KEPT = 256  # clips, whose shapes and voices stay in memory


def mouth_shapes(landmarks):
  """Measures how the mouth of a clip moves: [T, N, 2] -> float32 [T, 20, 2], shares of the side."""
  mouth = steady.within(steady.squares(landmarks), landmarks[:, IBUG_MOUTH])
  return np.float32(mouth - mouth.mean(0))


class VoicedMouths(loader.Listed):
  """Offers a clip as often as it has seconds; `draw` makes an example of one of its frames."""

  def __init__(self, folder, split, *, audio, standardise=False, licence=''):
    """Opens the clips of a set that have a voice; see `dub_frames.DubFrames` for the arguments.

    Raises:
      InputError: there is no such clip, or there are no features of it.
    """
    clips = records.clips(folder, split=split, licence=licence, sound=False)
    self.clips, self.standardise = features.attach(clips, folder, audio), standardise
    self._of = functools.lru_cache(KEPT)(self._read)
    usable = [i for i, entry in enumerate(self.clips.entries) if entry.sound]
    if not usable:
      raise InputError(
        f'{folder} has no clip of split {split} with a licence like {licence!r} and a voice: '
        'prepare more films, or change data.licence'
      )
    counts = loader.by_windows([self.clips.entries[i].count for i in usable], 25)
    self.items = [usable[i] for i in counts]

  def draw(self, item, rng):
    """Makes an example, see `make_loader` for its keys."""
    mouths, voice = self._of(item)
    frame = int(rng.integers(len(mouths)))
    return dict(mouth=mouths[frame], speech=blocks.blocks(voice, [frame])[0])

  def _read(self, index):
    clip = self.clips[index]
    voice = blocks.standardised(clip.features) if self.standardise else clip.features
    return mouth_shapes(clip.landmarks), voice


def make_loader(config, *, batch, seed, split, process_index=0, process_count=1):
  """Returns endless batches; see `loader.endless` for whose rows they are.

  mouth float32 [B, 20, 2], shares of the face's square from the clip's mean; speech float32
  [B, 8, 16, A], the block of `audio.blocks`.

  Reads `config.cache`, the folder of a set, `config.audio`, `config.standardise`, `config.licence`.
  """
  source = VoicedMouths(
    config.cache,
    split,
    audio=config.audio,
    standardise=config.standardise,
    licence=config.licence if split == 'train' else '',
  )
  where = dict(process_index=process_index, process_count=process_count)
  return loader.endless(source, batch=batch, seed=seed, **where, threads=2, ahead=4)
