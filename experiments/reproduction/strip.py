"""Eight frames of a talking video, mouths open and closed in turn, with close-ups below.

python experiments/reproduction/strip.py --video out/demo.mp4 --output strip.jpg
"""

import cv2
import numpy as np
from absl import flags

from ifmdm_jax import errors
from ifmdm_jax.face import points
from ifmdm_jax.face.mesh import FaceMesh
from ifmdm_jax.video import read

_VIDEO = flags.DEFINE_string('video', 'out/demo.mp4', 'Any video of one face.', **errors.SHARED)
_OUTPUT = flags.DEFINE_string('output', 'strip.jpg', 'Picture to write.', **errors.SHARED)
COUNT, SIDE = 8, 200


def main(_):
  frames = np.stack(list(read.frames(_VIDEO.value)))
  landmarks = FaceMesh(1).track(iter(frames))
  opening = points.mouth_opening(landmarks)
  tiles = []
  # The most open and the most closed moment of each eighth, in turn.
  for number, part in enumerate(np.array_split(np.arange(len(frames)), COUNT)):
    index = part[np.argmin(opening[part]) if number % 2 == 0 else np.argmax(opening[part])]
    x, y = landmarks[index, points.LIPS_BOX].mean(0).astype(int)
    half = int(0.8 * np.ptp(landmarks[index, points.LIPS_BOX, 0]))
    mouth = frames[index, max(0, y - half // 2) : y + half // 2, max(0, x - half) : x + half]
    tiles.append(
      np.concatenate(
        [
          cv2.resize(frames[index], (SIDE, SIDE), interpolation=cv2.INTER_AREA),
          cv2.resize(mouth, (SIDE, SIDE // 2), interpolation=cv2.INTER_AREA),
        ]
      )
    )
  cv2.imwrite(_OUTPUT.value, np.concatenate(tiles, axis=1)[..., ::-1])


if __name__ == '__main__':
  errors.run(main)
