"""Measures how often the lag estimator of `prepare` finds by how much a voice was moved.

  python experiments/data_engine/sync.py --cache runs/cache     # --format folder, with features

Clips of five seconds or more, the voice late by 0, 3, 6 and 12 frames; found: within one frame.
"""

import numpy as np
from absl import flags

from ifmdm_jax import errors, prepare
from ifmdm_jax.evaluation import sync
from ifmdm_jax.face import points
from ifmdm_jax.pipeline import cache

_CACHE = flags.DEFINE_string('cache', 'runs/cache', 'Plain arrays.', **errors.SHARED)
SHIFTS = (0, 3, 6, 12)
FEWEST = 125  # frames


def main(_):
  judge = prepare.SyncJudge.__new__(prepare.SyncJudge)  # features are there already: no encoder
  judge._judge, judge._sync = sync.load().judge, sync
  print('| split | clips | ' + ' | '.join(f'{s} frames' for s in SHIFTS) + ' | worst r |')
  print('| --- | --- |' + ' --- |' * (len(SHIFTS) + 1))
  for split in ('train', 'val'):
    found, scores = {s: [] for s in SHIFTS}, []
    for clip in cache.clips(_CACHE.value, split):
      path = clip.folder / 'features_whisper_tiny.npy'
      if not path.exists():
        continue
      speech, opening = np.load(path), points.mouth_opening(clip.landmarks)
      count = min(len(speech) // 2, len(opening))
      if count < FEWEST or not np.isfinite(opening).all():
        continue
      for shift in SHIFTS:
        lag, r = judge.shift(speech[: 2 * (count - shift)], opening[shift:count])
        found[shift].append(abs(lag - shift) <= 1)
        scores.append(r)
    cells = ' | '.join(f'{sum(f)} of {len(f)}' for f in found.values())
    print(f'| {split} | {len(found[0])} | {cells} | {min(scores):.2f} |')


if __name__ == '__main__':
  errors.run(main)
