"""Do the motion codes hold the mouth? Opening read from the codes against the real one.

python experiments/reproduction/codes.py --cache runs/cache --run runs/codes

Per clip of the split, the taught code is fitted to the mouth opening by least squares; the same
weights read the opening from the network's own codes. Prints the median r over the clips.
"""

import jax
import numpy as np
from absl import flags

from ifmdm_jax import errors, face_mesh, release
from ifmdm_jax.pipeline import cache, landmark_code

_CACHE = flags.DEFINE_string('cache', 'runs/cache', 'Made by prepare.', **errors.SHARED)
_RUN = flags.DEFINE_string('run', 'runs/codes', 'Workdir of stage 1.', **errors.SHARED)
_SPLIT = flags.DEFINE_string('split', 'val', 'train or val.', **errors.SHARED)
LONGEST = 128  # every second frame of about 10 s


def tracks(split):
  """(clip, smoothed landmarks) of the clips whose face was found throughout."""
  for clip in cache.clips(_CACHE.value, split):
    points = landmark_code.smooth(clip.landmarks)
    if np.isfinite(points).all():
      yield clip, points


def main(_):
  module, config, params = release.trained(_RUN.value)
  read = jax.jit(lambda frames: module.motion(params, frames, config))
  taught_code = landmark_code.fit([points for _, points in tracks('train')])
  found = []
  for clip, points in tracks(_SPLIT.value):
    frames = np.asarray(clip.frames)[::2][:LONGEST]
    whole = np.pad(frames, ((0, LONGEST - len(frames)), (0, 0), (0, 0), (0, 0)), mode='edge')
    own = np.asarray(read(whole))[: len(frames)]
    taught = taught_code(points)[::2][: len(frames)]
    opening = face_mesh.mouth_opening(points)[::2][: len(frames)]
    weights = np.linalg.lstsq(taught - taught.mean(0), opening - opening.mean(), rcond=None)[0]
    found.append(np.corrcoef(own @ weights, opening)[0, 1])
  print(f'mouth opening in the codes, {_SPLIT.value}: median r {np.median(found):.2f}')


if __name__ == '__main__':
  errors.run(main)
