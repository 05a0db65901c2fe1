"""Windows of motion codes and speech features for stage 2."""

import numpy as np

from ifmdm_jax.pipeline import codes, loader
from ifmdm_jax.pipeline.statistics import window_statistics

AUGMENT = dict(speed=0.12, noise=0.1, altered=0.45, short=0.3)  # the latter two: how often
SHORTEST = 28  # frames of a window of a live voice, about


def resample(track, count):
  """Stretches [T, ...] to [count, ...] by straight lines; the ends stay."""
  place = np.linspace(0, len(track) - 1, count, dtype=np.float32)
  before = np.minimum(place.astype(int), max(len(track) - 2, 0))
  after = np.minimum(before + 1, len(track) - 1)
  share = (place - before).astype(np.float32)[:, None]
  return (1 - share) * track[before] + share * track[after]


class Windows(loader.Listed):
  """Offers a clip as often as windows fit into it; `draw` cuts one at random."""

  def __init__(self, folder, split, frames, augment=False, licence='', part=codes.FOLDER):
    """Opens the codes of a set.

    Args:
      folder: of the set, or of several.
      split: 'train' or 'val'.
      frames: one more than the window: frame 0 is the hint.
      augment: whether speed and sound are varied.
      licence: pattern that has to be found in a clip's licence or provenance.
      part: of the set, what the codes are, see `codes.write`.
    """
    self.clips = codes.read(folder, split, licence, part)
    self.frames, self.augment = frames, augment
    self.items = loader.by_windows([entry.count for entry in self.clips.entries], frames)

  def draw(self, item, rng):
    """Cuts one window; a shorter clip is filled up by its last frame, where `mask` is 0."""
    clip = self.clips[item]
    whole = clip.mirrored if rng.random() < 0.5 else clip.codes
    sound, quiet = self._sound(clip, rng)
    reference = whole[rng.integers(len(whole))][None]  # any portrait of the person
    speed = 1 + (rng.uniform(-1, 1) * AUGMENT['speed'] if self.augment else 0)
    length = self.frames
    if self.augment and length > SHORTEST and rng.random() < AUGMENT['short']:
      length = int(rng.integers(SHORTEST, length))
    wanted = round(length * speed)
    start = rng.integers(max(1, len(whole) - wanted + 1))
    track, quiet = whole[start : start + wanted], quiet[start : start + wanted, None]
    features = sound[2 * start : 2 * start + 2 * wanted]
    if self.augment:
      real = min(length, round(len(track) / speed))
      track, features = resample(track, real), resample(features, 2 * real)
      quiet = resample(quiet, real)
      noise = AUGMENT['noise'] * features.std(0)
      features = features + noise * rng.standard_normal(features.shape, np.float32)
    real, missing = len(track), self.frames - len(track)
    mean, std = window_statistics(track)
    track = np.pad(track, ((0, missing), (0, 0)), mode='edge')
    quiet = np.pad(quiet[:, 0], (0, missing), mode='edge')
    features = np.pad(features, ((0, 2 * missing), (0, 0)))
    mask = (np.arange(1, self.frames) < real).astype(np.float32)
    return dict(
      x=track[1:], y=features[2:], hint=track[:1], mean=mean, std=std, mask=mask,
      reference=reference, quiet=quiet,
    )  # fmt: skip

  def _sound(self, clip, rng):
    """Chooses the clip's own voice or another sound: features [2T, A], quiet [T]."""
    if self.augment and len(clip.altered) and rng.random() < AUGMENT['altered']:
      which = rng.integers(len(clip.altered))
      return clip.altered[which], clip.quiet[which]
    return clip.features, np.zeros(len(clip.codes), np.float32)


def make_loader(config, *, batch, seed, split, process_index=0, process_count=1):
  """Returns endless batches, the same for any number of processes, see `loader.endless`.

  x [B, T, M] codes of frames 1..T, y [B, 2T, A] their speech features, hint [B, 1, M] the code of
  frame 0, mean and std [B, 1, M] over all T + 1 frames (std with n - 1), mask [B, T]; reference
  [B, 1, M], the code of any frame of the clip, quiet [B, T + 1], 1 where lips shall rest.
  """
  train = split == 'train'
  licence = config.get('licence', '') if train else ''
  part = config.get('folder', codes.FOLDER)
  source = Windows(config.cache, split, config.frames, train, licence, part)
  where = dict(process_index=process_index, process_count=process_count)
  return loader.endless(source, batch=batch, seed=seed, **where)
