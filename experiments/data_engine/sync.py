"""Measures how often the lag estimator of `prepare` finds by how much a voice was moved.

  python experiments/data_engine/sync.py --cache runs/cache     # prepared with --features

Clips of five seconds or more, the voice late by 0, 3, 6 and 12 frames; found: within one frame.
"""

from absl import flags

from ifmdm_jax import errors
from ifmdm_jax.face import lag
from ifmdm_jax.face.points import mouth_opening
from ifmdm_jax.pipeline import features, records
from ifmdm_jax.pipeline.prep.lag import MOST

_CACHE = flags.DEFINE_string('cache', 'runs/cache', 'The set.', **errors.SHARED)
SHIFTS = (0, 3, 6, 12)
FEWEST = 125  # frames


def main(_):
  ridge = lag.load()
  print('| split | clips | ' + ' | '.join(f'{s} frames' for s in SHIFTS) + ' | worst r |')
  print('| --- | --- |' + ' --- |' * (len(SHIFTS) + 1))
  for split in ('train', 'val'):
    found, scores = {s: [] for s in SHIFTS}, []
    clips = records.clips(_CACHE.value, split, sound=False)
    for clip in features.attach(clips, _CACHE.value, 'whisper_tiny'):
      if clip.features is None:
        continue
      speech, opening = clip.features, mouth_opening(clip.landmarks)
      count = min(len(speech) // 2, len(opening))
      if count < FEWEST:
        continue
      for shift in SHIFTS:
        late = ridge.lag(speech[: 2 * (count - shift)], opening[shift:count], MOST)
        found[shift].append(abs(late.frames - shift) <= 1)
        scores.append(late.r)
    cells = ' | '.join(f'{sum(f)} of {len(f)}' for f in found.values())
    print(f'| {split} | {len(found[0])} | {cells} | {min(scores):.2f} |')


if __name__ == '__main__':
  errors.run(main)
