r"""Fits the motion code of `lite` to the landmarks of a cache.

  python experiments/release/landmark_code.py --cache runs/cache \
      --licence '^HDTF|^GRID|White House|US Government|UK government'

Only clips of the split `train` whose licence or provenance the pattern finds are used; the
bundled code was fitted to clips under CC BY 4.0 and works of the US Government alone.
"""

import numpy as np
from absl import flags

from ifmdm_jax import errors
from ifmdm_jax.errors import InputError
from ifmdm_jax.face.points import smooth
from ifmdm_jax.pipeline import landmark_code, records

_CACHE = flags.DEFINE_string('cache', 'runs/cache', 'Made by ifmdm_jax.prepare.', **errors.SHARED)
_LICENCE = flags.DEFINE_string('licence', '', 'Pattern that has to be found.', **errors.SHARED)
_LIKE = flags.DEFINE_string(
  'like', '', 'Code.npz whose directions those of the new one shall resemble.', **errors.SHARED
)
_OUTPUT = flags.DEFINE_string('output', str(landmark_code.BUNDLED), 'File.npz.', **errors.SHARED)


def tracks(split, licence=''):
  """Returns smoothed landmarks [T, 468, 2] of all clips, fractions of the side."""
  clips = records.clips(_CACHE.value, split, licence=licence, sound=False)
  return [smooth(c.landmarks / np.float32(c.frames.side)) for c in clips]


def lost(code, track, side=512):
  """Root mean square over the points of what the code forgets of their motion, pixels."""
  moved = (track - track[:1]).reshape(len(track), -1)
  kept = (code(track) - code(track[:1])) @ code.decode
  return side * float(np.sqrt(np.square(moved - kept).mean()))


def main(_):
  taught = tracks('train', _LICENCE.value)
  if not taught:
    raise InputError(f'no clip under {_CACHE.value} has a licence like {_LICENCE.value!r}')
  code = landmark_code.fit(taught)
  if _LIKE.value:
    before = landmark_code.load(_LIKE.value)
    code = landmark_code.aligned(code, before, taught)
    same = [
      np.corrcoef(a, b)[0, 1]
      for a, b in zip(
        *(np.concatenate([c(t) - c(t).mean(0) for t in taught]).T for c in (code, before))
      )
    ]
    print('r with the directions before:', ' '.join(f'{r:.2f}' for r in same))
  code.save(_OUTPUT.value)
  print(f'{_OUTPUT.value}: fitted to {len(taught)} clips, {sum(map(len, taught))} frames')
  for split in ('train', 'val'):
    errors_of = [lost(code, t) for t in tracks(split)]
    print(f'{split}: {np.mean(errors_of):.2f} of 512 pixels lost, at most {max(errors_of):.2f}')


if __name__ == '__main__':
  errors.run(main)
