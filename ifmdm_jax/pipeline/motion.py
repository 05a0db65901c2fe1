"""Windows of motion codes and speech features for stage 2.

cache/motion/            written by python -m ifmdm_jax.prepare --autoencoder
  index.json               one entry per clip with sound: name, person, split
  NAME.npz                 codes [T, M], mirrored [T, M], features [2T, A], all float32
  statistics.npz           means and deviations over the training clips, see `statistics`
of records, the arrays are in records/ (`pipeline.records.MotionCodes`) and read when asked for
"""

import json
import pathlib
import re

import grain
import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.pipeline import cache, loader


def statistics(codes, features, frames):
  """What stage 2 needs to know to see numbers near 0 and 1.

  Args:
    codes: list of [T, M], one per clip.
    features: list of [2T, A].
    frames: length of a window.

  Returns:
    {'code_mean', 'code_std': of all codes; 'change_std': of a code less the one before its window;
    'window_std': typical deviation within a window, all [M]; 'feature_mean', 'feature_std': [A]}.
  """
  windows = [
    c[s : s + frames] for c in codes for s in range(0, max(1, len(c) - frames), frames // 2)
  ]
  every, sound = np.concatenate(codes), np.concatenate(features)
  return {
    'code_mean': every.mean(0),
    'code_std': every.std(0),
    'change_std': np.sqrt(np.concatenate([(w - w[:1]) ** 2 for w in windows]).mean(0)),
    'window_std': np.mean([w.std(0, ddof=1) for w in windows], axis=0),
    'feature_mean': sound.mean(0),
    'feature_std': sound.std(0),
  }


AUGMENT = dict(speed=0.12, noise=0.1)


def resample(track, count):
  """[T, ...] -> [count, ...] by straight lines; the ends stay."""
  place = np.linspace(0, len(track) - 1, count, dtype=np.float32)
  before = np.minimum(place.astype(int), max(len(track) - 2, 0))
  after = np.minimum(before + 1, len(track) - 1)
  share = (place - before).astype(np.float32)[:, None]
  return (1 - share) * track[before] + share * track[after]


class Windows(grain.sources.RandomAccessDataSource):
  """Item i is a clip, as often as windows fit into it; `draw` cuts one at random."""

  def __init__(self, folder, split, frames, augment=False, licence=''):
    folder = pathlib.Path(folder) / 'motion'
    if not (folder / 'index.json').exists():
      raise InputError(
        f'{folder} should hold motion codes, found none: make them with python -m '
        f'ifmdm_jax.prepare --output {folder.parent} --autoencoder RUN'
      )
    entries = json.loads((folder / 'index.json').read_text())
    entries = [e for e in entries if e['split'] == split]
    if split == 'train':
      entries = [e for e in entries if re.search(licence, e.get('licence', ''))]
    if cache.is_records(folder):
      from ifmdm_jax.pipeline import records  # plain arrays need no tensorflow-datasets

      self.clips = records.codes(folder, split, entries)
      lengths = [e['count'] for e in entries]
    else:
      self.clips = [dict(np.load(folder / f'{e["name"]}.npz')) for e in entries]
      lengths = [len(c['codes']) for c in self.clips]
    self.frames = frames  # one more than the window: frame 0 is the hint
    self.augment = augment
    counts = [max(1, round(count / frames)) for count in lengths]
    self.items = [i for i, n in enumerate(counts) for _ in range(n)]

  def __len__(self):
    return len(self.items)

  def __getitem__(self, index):
    return self.items[index]

  def draw(self, item, rng):
    """One window; a shorter clip is filled up by its last frame, which `mask` tells."""
    clip = self.clips[item]
    codes = clip['mirrored'] if rng.random() < 0.5 else clip['codes']
    speed = 1 + (rng.uniform(-1, 1) * AUGMENT['speed'] if self.augment else 0)
    wanted = round(self.frames * speed)
    start = rng.integers(max(1, len(codes) - wanted + 1))
    codes = codes[start : start + wanted]
    features = clip['features'][2 * start : 2 * start + 2 * wanted]
    if self.augment:
      real = min(self.frames, round(len(codes) / speed))
      codes, features = resample(codes, real), resample(features, 2 * real)
      noise = AUGMENT['noise'] * features.std(0)
      features = features + noise * rng.standard_normal(features.shape, np.float32)
    real, missing = len(codes), self.frames - len(codes)
    mean, std = codes.mean(0, keepdims=True), codes.std(0, ddof=1, keepdims=True)
    codes = np.pad(codes, ((0, missing), (0, 0)), mode='edge')
    features = np.pad(features, ((0, 2 * missing), (0, 0)))
    mask = (np.arange(1, self.frames) < real).astype(np.float32)
    return dict(x=codes[1:], y=features[2:], hint=codes[:1], mean=mean, std=std, mask=mask)


def make_loader(config, *, batch, seed, split, process_index=0, process_count=1):
  """Endless batches, the same for any number of processes, see `loader.endless`.

  x [B, T, M] codes of frames 1..T, y [B, 2T, A] their speech features, hint [B, 1, M] the code of
  frame 0, mean and std [B, 1, M] over all T + 1 frames (std with n - 1), mask [B, T].
  """
  licence = config.get('licence', '')
  source = Windows(config.cache, split, config.frames, split == 'train', licence)
  where = dict(process_index=process_index, process_count=process_count)
  return loader.endless(source, batch=batch, seed=seed, **where)
