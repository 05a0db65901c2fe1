"""Draws what the mark does to a face, for eyes: strip.jpg.

  python experiments/mark/strip.py --video out/demo.mp4 --output experiments/mark/strip.jpg

The video has no mark. Above: a frame as it is, marked with either sign, and eight times the
difference. Below: one row of pixels of the cheeks over four seconds, unmarked and marked; a pulse
would be seen as bands across.
"""

import cv2
import numpy as np
from absl import app, flags

from ifmdm_jax.trust import mark
from ifmdm_jax.video import read

VIDEO = flags.DEFINE_string('video', None, 'Without a mark.', required=True)
OUTPUT = flags.DEFINE_string('output', 'experiments/mark/strip.jpg', 'Picture to write.')
ROW = flags.DEFINE_float('row', 0.58, 'Of the slice, share of the height.')
TILE = 384  # pixels


def main(_):
  frames = read.read_frames(VIDEO.value)[:100]
  marker = mark.Marker(0x5A5A5A5)
  marked = np.stack([marker.mark(frame, k / 25) for k, frame in enumerate(frames)])
  side = frames.shape[1]
  near = slice(side // 5, side * 4 // 5)
  large = lambda picture: cv2.resize(picture[near, near], (TILE, TILE))
  change = np.clip(128 + 8 * (marked[6].astype(int) - frames[6]), 0, 255).astype(np.uint8)
  above = np.hstack([large(each) for each in (frames[6], marked[6], marked[18], change)])
  row = int(ROW.value * side)
  slices = [np.repeat(each[:, row, side // 4 : 3 * side // 4], 2, 0) for each in (frames, marked)]
  below = np.hstack([cv2.resize(each, (2 * TILE, 200)) for each in slices])
  cv2.imwrite(OUTPUT.value, np.vstack([above, below])[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])


if __name__ == '__main__':
  app.run(main)
