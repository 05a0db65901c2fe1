"""Puts frames of a film above the same frames with new lips.

python experiments/dub/strip.py --film talk.mp4 --dub talk_de.mp4 --output strip.jpg
"""

import cv2
import numpy as np
from absl import flags

from ifmdm_jax import errors
from ifmdm_jax.face.mesh import FaceMesh
from ifmdm_jax.video import read

_FILM = flags.DEFINE_string('film', None, 'The film.', **errors.SHARED)
_DUB = flags.DEFINE_string('dub', None, 'The film as it was dubbed.', **errors.SHARED)
_COUNT = flags.DEFINE_integer('count', 8, 'Frames, evenly spread.', **errors.SHARED)
_OUTPUT = flags.DEFINE_string('output', 'strip.jpg', 'Picture to write.', **errors.SHARED)
SIDE, ROOM = 200, 1.5  # of a tile, pixels; of the face's height


def main(_):
  films = [list(read.frames(path)) for path in (_FILM.value, _DUB.value)]
  last = min(map(len, films)) - 1
  chosen = np.linspace(0.04 * last, 0.96 * last, _COUNT.value).astype(int)
  track, rows = FaceMesh(refinements=1).track, []
  places = track([films[0][t] for t in chosen])
  for film in films:
    rows.append(np.hstack([tile(film[t], points) for t, points in zip(chosen, places)]))
  cv2.imwrite(_OUTPUT.value, cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


def tile(frame, points):
  """Cuts a square around a face."""
  low, high = points.min(0), points.max(0)
  (x, y), half = (low + high) / 2, ROOM * (high - low).max() / 2
  zoom = SIDE / (2 * half)
  matrix = np.array([[zoom, 0, SIDE / 2 - zoom * x], [0, zoom, SIDE / 2 - zoom * y]])
  return cv2.warpAffine(frame, matrix, (SIDE, SIDE), flags=cv2.INTER_AREA)


if __name__ == '__main__':
  errors.run(main)
