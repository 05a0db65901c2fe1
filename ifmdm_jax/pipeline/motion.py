"""Windows of motion codes and speech features for stage 2.

cache/motion/            written by python -m ifmdm_jax.prepare --autoencoder
  index.json               one entry per clip with sound: name, person, split
  NAME.npz                 codes [T, M], mirrored [T, M], features [2T, A], all float32; the same
                           clip with other sound: altered [V, 2T, A] float16, quiet [V, T], how
                           far lips are at rest then, see `pipeline.quiet`
  statistics.npz           means and deviations over the training clips, see `statistics`
of records, the arrays are in records/ (`pipeline.records.MotionCodes`) and read when asked for
"""

import json
import pathlib
import re

import grain
import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.pipeline import cache, landmark_code, loader


def statistics(codes, features, frames, openings=None, lips=landmark_code.BLOCK['lips']):
  """What stage 2 needs to know to see numbers near 0 and 1.

  Args:
    codes: list of [T, M], one per clip.
    features: list of [2T, A].
    frames: length of a window.
    openings: list of [T], how far the mouth is open; None leaves out what a fixed reference needs.
    lips: the directions that open it.

  Returns:
    {'code_mean', 'code_std': of all codes; 'change_std': of a code less the one before its window;
    'window_std': typical deviation within a window, all [M]; 'feature_mean', 'feature_std': [A]},
    and those of `references`.
  """
  windows = [
    c[s : s + frames] for c in codes for s in range(0, max(1, len(c) - frames), frames // 2)
  ]
  every, sound = np.concatenate(codes), np.concatenate(features)
  found = {
    'code_mean': every.mean(0),
    'code_std': every.std(0),
    'change_std': np.sqrt(np.concatenate([(w - w[:1]) ** 2 for w in windows]).mean(0)),
    'window_std': np.mean([w.std(0, ddof=1) for w in windows], axis=0),
    'feature_mean': sound.mean(0),
    'feature_std': sound.std(0),
  }
  return found | (references(codes, openings, lips) if openings is not None else {})


CLOSED = 0.05  # opening, in distances of the eyes, that the mesh sees at lips that may be closed
RANGE = 0.0005, 0.9995  # 99.9 % of what people do
RIDGE = 1e-3  # times the number of frames


def references(codes, openings, lips):
  """How the codes of a clip lie around one frame of it with its lips closed.

  Returns:
    {'opening_weight' [M], 'opening_bias' [1]: how far a mouth is open beyond what may be closed is
    code @ weight + bias; 'opening_way' [M]: how lips move by an opening of 1; 'reference_std' [M]:
    of a code less the rest of another frame; 'lowest', 'highest' [M]: `RANGE` of the same}.
  """
  seen = [np.isfinite(opening) for opening in openings]
  codes = [c[s].astype(np.float64) for c, s in zip(codes, seen)]
  openings = [o[s].astype(np.float64) for o, s in zip(openings, seen)]
  every, opening = np.concatenate(codes), np.concatenate(openings)
  inputs = np.c_[every, np.ones(len(every))]
  gram = inputs.T @ inputs + RIDGE * len(every) * np.diag([1.0] * every.shape[1] + [0.0])
  weight = np.linalg.solve(gram, inputs.T @ opening)
  weight, bias = weight[:-1], weight[-1:] - CLOSED
  within = np.concatenate([c - c.mean(0) for c in codes])
  apart = np.concatenate([o - o.mean() for o in openings])
  way = np.zeros(every.shape[1])
  way[lips] = (apart @ within / (apart @ apart))[lips]
  way /= max(weight @ way, 1e-6)

  def rest(reference):
    open_by = reference @ weight + bias
    return reference - np.maximum(open_by, 0.0)[:, None] * way

  away = np.concatenate(
    [(c[::3, None] - rest(c[::20])[None]).reshape(-1, c.shape[1]) for c in codes if len(c)]
  )
  lowest, highest = np.quantile(away, RANGE, axis=0)
  return {
    'opening_weight': weight,
    'opening_bias': bias,
    'opening_way': way,
    'reference_std': np.sqrt((away**2).mean(0)),
    'lowest': np.minimum(lowest, 0.0),
    'highest': np.maximum(highest, 0.0),
  }


AUGMENT = dict(speed=0.12, noise=0.1, altered=0.45, short=0.3)  # the latter two: how often
SHORTEST = 28  # frames of a window of a live voice, about


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
    whole = clip['mirrored'] if rng.random() < 0.5 else clip['codes']
    sound, quiet = self._sound(clip, rng)
    reference = whole[rng.integers(len(whole))][None]  # any portrait of the person
    speed = 1 + (rng.uniform(-1, 1) * AUGMENT['speed'] if self.augment else 0)
    length = self.frames
    if self.augment and length > SHORTEST and rng.random() < AUGMENT['short']:
      length = int(rng.integers(SHORTEST, length))
    wanted = round(length * speed)
    start = rng.integers(max(1, len(whole) - wanted + 1))
    codes, quiet = whole[start : start + wanted], quiet[start : start + wanted, None]
    features = sound[2 * start : 2 * start + 2 * wanted].astype(np.float32)
    if self.augment:
      real = min(length, round(len(codes) / speed))
      codes, features = resample(codes, real), resample(features, 2 * real)
      quiet = resample(quiet, real)
      noise = AUGMENT['noise'] * features.std(0)
      features = features + noise * rng.standard_normal(features.shape, np.float32)
    real, missing = len(codes), self.frames - len(codes)
    mean, std = codes.mean(0, keepdims=True), codes.std(0, ddof=1, keepdims=True)
    codes = np.pad(codes, ((0, missing), (0, 0)), mode='edge')
    quiet = np.pad(quiet[:, 0], (0, missing), mode='edge').astype(np.float32)
    features = np.pad(features, ((0, 2 * missing), (0, 0)))
    mask = (np.arange(1, self.frames) < real).astype(np.float32)
    return dict(
      x=codes[1:], y=features[2:], hint=codes[:1], mean=mean, std=std, mask=mask,
      reference=reference, quiet=quiet,
    )  # fmt: skip

  def _sound(self, clip, rng):
    """(features [2T, A], quiet [T]) of the clip: its own sound, or one of the altered ones."""
    if self.augment and 'altered' in clip and rng.random() < AUGMENT['altered']:
      which = rng.integers(len(clip['altered']))
      return clip['altered'][which], clip['quiet'][which]
    return clip['features'], np.zeros(len(clip['codes']), np.float32)


def make_loader(config, *, batch, seed, split, process_index=0, process_count=1):
  """Endless batches, the same for any number of processes, see `loader.endless`.

  x [B, T, M] codes of frames 1..T, y [B, 2T, A] their speech features, hint [B, 1, M] the code of
  frame 0, mean and std [B, 1, M] over all T + 1 frames (std with n - 1), mask [B, T]; reference
  [B, 1, M], the code of any frame of the clip, quiet [B, T + 1], 1 where lips shall rest.
  """
  licence = config.get('licence', '')
  source = Windows(config.cache, split, config.frames, split == 'train', licence)
  where = dict(process_index=process_index, process_count=process_count)
  return loader.endless(source, batch=batch, seed=seed, **where)
