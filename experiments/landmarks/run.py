"""Compares two readers of faces by how well the mouths that they see follow the voice.

  python experiments/landmarks/run.py --read --clips CLIPS --tracks TRACKS    # 60 ms a frame
  python experiments/landmarks/run.py --clips CLIPS --tracks TRACKS --output experiments/landmarks

CLIPS: the folder of the research pack, with MANIFEST.csv. Neither reader hears the voice, so where
the opening of one follows it better, that one sees the mouth better. Rows of landmarks.csv: a
measure of a group of people, its mean for either reader and the difference, clip by clip, with 95 %
intervals over clips.
"""

import csv
import dataclasses
import itertools
import pathlib
import time

import cv2
import numpy as np
from absl import flags

from ifmdm_jax import errors
from ifmdm_jax.audio import features, logmel, waveform
from ifmdm_jax.evaluation import sync
from ifmdm_jax.face import align, lag, points, units
from ifmdm_jax.face.mesh import FaceMesh
from ifmdm_jax.rates import FPS, SAMPLE_RATE
from ifmdm_jax.video import read

HERE = pathlib.Path(__file__).parent
READERS = ('mesh', 'landmarker')  # of 468 and of 478 points
PEOPLE, LENGTH, SHORTEST = 22, 6 * FPS, 3 * FPS  # of each group; frames
GROUPS = {'train': ('train',), 'val': ('val', 'val2')}  # splits of each group
SPEECH = 300, 3400  # Hz
QUIET, FEWEST = 30, 10  # dB below the loud frames of a clip; silent frames of a clip, at least
MIDDLE = slice(4, 7)  # of the inner lips: the middle pair of points and its neighbours
OUTER_MIDDLE = 0, 17  # of the outer lips
FOLDS = 5
BESIDE = 0.012  # of the height of the face: where colours beside an outline are compared
OPEN = 0.03  # of the height: an opening that both readers see, for the outline of the inner lips
MEASURES = {
  'opening_voice': 'r of opening and voice',
  'jaw_voice': 'r of chin and voice',
  'opening_ridge': 'r of opening and its regression on the voice',
  'width_ridge': 'r of width and its regression on the voice',
  'voice_ridge': 'r of the voice and its regression on all points of the lips',
  'outer_edge': 'redness within the outer outline less beyond it, levels of 255',
  'inner_edge': 'redness around the inner outline less within it, levels of 255',
  'opening_outer': 'r of opening and height of the outer lips',
  'opening_spread': 'deviation of the opening, % of the height of the face',
  'opening_widest': '95th percentile of the opening, %',
  'width_spread': 'deviation of the width of the mouth, %',
  'crossed': 'frames in which inner lips cross, %',
  'jitter': 'jitter of the opening in silence, %',
}
_READ = flags.DEFINE_bool('read', False, 'Read the faces of the clips first.', **errors.SHARED)
_CLIPS = flags.DEFINE_string('clips', None, 'The research pack.', **errors.SHARED)
_TRACKS = flags.DEFINE_string('tracks', None, 'Folder of what was read.', **errors.SHARED)
_OUTPUT = flags.DEFINE_string('output', str(HERE), 'Folder of landmarks.csv.', **errors.SHARED)


def listed(root):
  """Lists one clip each of up to PEOPLE people of each group, evenly through the pack, in sync."""
  with open(root / 'MANIFEST.csv', newline='', encoding='utf-8') as file:
    rows = [row for row in csv.DictReader(file) if row['kind'] == 'clip']
  rows = [r for r in rows if 'sync clear' in r['notes'] and float(r['seconds']) * FPS > SHORTEST]
  groups = {}
  for group, splits in GROUPS.items():
    people = {}
    for row in rows:
      if row['split'] in splits:
        people.setdefault(row['identity'], row)
    each = list(people.values())
    kept = np.unique(np.linspace(0, len(each) - 1, PEOPLE).round().astype(int))
    groups[group] = [each[i] for i in kept]
  return groups


def first(path):
  """Lists the frames that are read of a film."""
  return list(itertools.islice(read.frames(path), LENGTH))


def read_tracks(root, rows, folder):
  """Writes the points that either reader sees in the first seconds of each clip, once."""
  folder.mkdir(parents=True, exist_ok=True)
  cv2.setNumThreads(1)
  track = {'mesh': FaceMesh(1).track, 'landmarker': lambda f: units.FaceUnits().track(f)[0]}
  for row in rows:
    path = folder / f'{pathlib.Path(row["file"]).stem}.npz'
    if not path.exists():
      frames = first(root / row['file'])
      found, cost = {}, []
      for reader in READERS:
        start = time.process_time()
        found[reader] = track[reader](frames)
        cost.append((time.process_time() - start) / len(frames))
      print(path.stem, *(f'{1000 * each:.1f} ms' for each in cost), flush=True)
      np.savez(path, **found)


@dataclasses.dataclass(frozen=True)
class Mouth:
  """What one reader sees of a clip, as fractions of the height of the face.

  Attributes:
    opening: gap of the middle of the inner lips along the face, negative where they cross, [T].
    least: the smallest gap of the middle pair of points and its neighbours, [T].
    outer: height of the outer lips, [T].
    width: from corner to corner, [T].
    jaw: from the tip of the nose to that of the chin, [T].
    shape: points of the lips on a face that stands still, [T, 84].
    outlines: redness within an outline less beyond it, outer; beyond less within, inner. Levels.
  """

  opening: np.ndarray
  least: np.ndarray
  outer: np.ndarray
  width: np.ndarray
  jaw: np.ndarray
  shape: np.ndarray
  outlines: tuple = (np.nan, np.nan)


def mouth(found, height):
  """Measures the `Mouth` of points [T, 468 or 478, 2] on a face of that height, pixels."""
  down = found[:, points.CHIN_TIP] - found[:, points.FOREHEAD]
  down = down / np.linalg.norm(down, axis=-1, keepdims=True)
  way = lambda a, b: np.linalg.norm(found[:, a] - found[:, b], axis=-1) / height
  gaps = found[:, points.LOWER_LIP_INNER] - found[:, points.UPPER_LIP_INNER]
  gaps = (gaps * down[:, None]).sum(-1)[:, MIDDLE] / height
  rigid = found[:, points.RIGID]
  still = align.similarity(rigid, np.broadcast_to(rigid.mean(0), rigid.shape))
  return Mouth(
    opening=gaps[:, 1],
    least=gaps.min(1),
    outer=way(*OUTER_MIDDLE),
    width=way(points.LEFT_MOUTH_CORNER, points.RIGHT_MOUTH_CORNER),
    jaw=way(points.NOSE_TIP, points.CHIN_TIP),
    shape=still(found[:, points.LIPS]).reshape(len(found), -1) / height,
  )


def step(redness, found, lower, upper, beside):
  """Measures redness within a closed outline less that beyond it, mean along it. [T]."""
  ring = found[:, [*lower, *upper[-2:0:-1]]]
  along = np.roll(ring, -1, 1) - np.roll(ring, 1, 1)
  outward = np.stack([-along[..., 1], along[..., 0]], -1)
  outward = beside * outward / np.maximum(np.linalg.norm(outward, axis=-1, keepdims=True), 1e-6)
  look = lambda image, places: cv2.remap(
    image, places.astype(np.float32)[None], None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
  )
  sides = [[look(*each) for each in zip(redness, ring + s * outward)] for s in (-1, 1)]
  return np.subtract(*(np.array(side, np.float64).reshape(len(ring), -1) for side in sides)).mean(1)


def outlined(frames, found, mouths, height):
  """Adds to {reader: `Mouth`} how sharply colours change at the outlines of the lips."""
  redness = [cv2.cvtColor(frame, cv2.COLOR_RGB2Lab)[..., 1] for frame in frames]
  beside = BESIDE * height
  gaping = np.min([each.least for each in mouths.values()], axis=0) > OPEN
  ends = {
    reader: (
      step(redness, each, points.LOWER_LIP_OUTER, points.UPPER_LIP_OUTER, beside).mean(),
      -step(redness, each, points.LOWER_LIP_INNER, points.UPPER_LIP_INNER, beside)[gaping].mean()
      if gaping.sum() >= FEWEST
      else np.nan,
    )
    for reader, each in found.items()
  }
  return {reader: dataclasses.replace(mouths[reader], outlines=ends[reader]) for reader in mouths}


@dataclasses.dataclass(frozen=True)
class Film:
  """One clip: {reader: `Mouth`}, mel features [2T, 160], energy and level [T] of the voice, dB."""

  mouths: dict
  speech: np.ndarray
  energy: np.ndarray
  level: np.ndarray


def film(root, row, folder):
  """Reads a `Film`, or None where one of the readers lost the face."""
  with np.load(folder / f'{pathlib.Path(row["file"]).stem}.npz') as file:
    found = {reader: file[reader].astype(np.float64) for reader in READERS}
  if not all(np.isfinite(each).all() for each in found.values()):
    return None
  height = np.mean([points.height(each) for each in found.values()])
  frames = len(found['mesh'])
  mouths = {reader: mouth(each, height) for reader, each in found.items()}
  mouths = outlined(first(root / row['file']), found, mouths, height)
  sound = waveform.prepare(*waveform.read(root / row['file']))
  sound = np.pad(sound, (0, max(0, frames * SAMPLE_RATE // FPS - len(sound))))
  speech = features.load('mel').features(sound, SAMPLE_RATE)[: 2 * frames]
  filters = logmel.Mel().filters()
  hertz = np.linspace(0, SAMPLE_RATE / 2, len(filters))[filters.argmax(0)]
  band = (hertz > SPEECH[0]) & (hertz < SPEECH[1])
  energy = speech.reshape(frames, -1, filters.shape[1])[..., band].mean((1, 2))
  loud = 20 * np.log10(sync.level(sound[: frames * SAMPLE_RATE // FPS], frames) + 1e-6)
  return Film(mouths, speech, energy, loud)


def jitter(opening, level):
  """Measures how far readings of a silent mouth scatter: second differences over root 6.

  Of frames that are silent as both their neighbours are; slow movements do not count. NaN where
  there are too few.
  """
  silent = level < np.percentile(level, 95) - QUIET
  still = silent[:-2] & silent[1:-1] & silent[2:]
  second = np.diff(opening, 2)[still]
  return np.sqrt((second**2).mean() / 6) if len(second) >= FEWEST else np.nan


def plain(one, reader):
  """Measures one film of one reader without a regression: {measure: number}."""
  seen = one.mouths[reader]
  outer_edge, inner_edge = seen.outlines
  return {
    'opening_voice': lag.find(one.energy, seen.opening, sync.MOST).r,
    'jaw_voice': lag.find(one.energy, seen.jaw, sync.MOST).r,
    'outer_edge': outer_edge,
    'inner_edge': inner_edge,
    'opening_outer': lag.correlation(seen.opening, seen.outer),
    'opening_spread': 100 * seen.opening.std(),
    'opening_widest': 100 * np.percentile(seen.opening, 95),
    'width_spread': 100 * seen.width.std(),
    'crossed': 100 * (seen.least < 0).mean(),
    'jitter': 100 * jitter(seen.opening, one.level),
  }


def examples(one, reader, measure):
  """Lists what a regression reads [2T, A], and what it is to predict [T]."""
  seen = one.mouths[reader]
  if measure == 'voice_ridge':
    return np.repeat(seen.shape, 2, axis=0), one.energy
  return one.speech, getattr(seen, measure.removesuffix('_ridge'))


def regressions(groups, reader, measure):
  """Scores a ridge regression on people that it was not fitted to: {group: [r of each film]}.

  Films of train by the regression of the other folds' people, all others by that of all of train.
  """
  pairs = {g: [examples(one, reader, measure) for one in films] for g, films in groups.items()}
  fit, train = lag.OpeningRidge.fit, pairs['train']
  score = lambda ridge, pair: ridge.lag(*pair, sync.MOST).r
  ridges = [fit([f for i, f in enumerate(train) if i % FOLDS != fold]) for fold in range(FOLDS)]
  whole = fit(train)
  scores = {group: [score(whole, pair) for pair in each] for group, each in pairs.items()}
  return scores | {'train': [score(ridges[i % FOLDS], pair) for i, pair in enumerate(train)]}


def interval(values):
  """Computes mean and 95 % interval over clips, by 10,000 resamplings; NaN is left out."""
  values = np.asarray(values)[np.isfinite(values)]
  drawn = np.random.default_rng(0).choice(values, (10_000, len(values))).mean(1)
  return (float(values.mean()), *np.percentile(drawn, [2.5, 97.5]).tolist())


def table(groups):
  """Lists the rows of landmarks.csv."""
  scores = {}  # [group, measure, reader]: a number for each clip
  for reader in READERS:
    for group, films in groups.items():
      for one in films:
        for measure, value in plain(one, reader).items():
          scores.setdefault((group, measure, reader), []).append(value)
    for measure in (name for name in MEASURES if name.endswith('_ridge')):
      for group, values in regressions(groups, reader, measure).items():
        scores[group, measure, reader] = values
  rows = []
  for group in groups:
    for measure in MEASURES:
      mesh, landmarker = (np.array(scores[group, measure, reader]) for reader in READERS)
      row = {'people': group, 'measure': measure, 'clips': int(np.isfinite(mesh).sum())}
      for name, values in zip((*READERS, 'difference'), (mesh, landmarker, landmarker - mesh)):
        row |= dict(zip((name, f'{name}_low', f'{name}_high'), interval(values)))
      row['higher'] = int((landmarker > mesh).sum())
      rows.append(row)
  return rows


def main(_):
  root, folder = pathlib.Path(_CLIPS.value), pathlib.Path(_TRACKS.value)
  listing = listed(root)
  if _READ.value:
    return read_tracks(root, [row for rows in listing.values() for row in rows], folder)
  groups = {
    group: list(filter(None, (film(root, row, folder) for row in rows)))
    for group, rows in listing.items()
  }
  rows = table(groups)
  with open(pathlib.Path(_OUTPUT.value) / 'landmarks.csv', 'w', newline='') as file:
    writer = csv.DictWriter(file, rows[0], lineterminator='\n')
    writer.writeheader()
    writer.writerows(
      {k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()} for row in rows
    )
  for row in rows:
    mean, low, high = (row[name] for name in ('difference', 'difference_low', 'difference_high'))
    both = f'{row["mesh"]:.3f} {row["landmarker"]:.3f}'
    print(f'{row["people"]} {row["clips"]} {MEASURES[row["measure"]]}: {both} '
          f'({mean:+.3f}, {low:+.3f} to {high:+.3f}; higher in {row["higher"]})')  # fmt: skip


if __name__ == '__main__':
  errors.run(main)
