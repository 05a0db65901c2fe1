"""Draws frames of a film above those of its edit, cut around the face, the mouth or the eyes.

python experiments/vlogger_edit/strip.py --film take.mp4 --edited fixed.mp4 --end 1 --output a.png
"""

import argparse
import pathlib

import cv2
import numpy as np

from ifmdm_jax.face import points
from ifmdm_jax.face.units import FaceUnits
from ifmdm_jax.video import read

PARTS = {  # points that are in the middle, and heights of the face across and down
  'face': (np.arange(points.POINTS), 1.3, 1.3),
  'mouth': (points.LIPS, 0.75, 0.75),
  'eyes': (points.EYES, 0.9, 0.36),
}


def strip(film, edited, start, end, count, part, side, fps=25):
  """Returns uint8 RGB: `count` frames from `start` to `end` seconds, before and after."""
  numbers = np.linspace(start * fps, end * fps, count).round().astype(int)
  numbers = np.clip(numbers, 0, min(len(film), len(edited)) - 1)
  found = FaceUnits().track(film[numbers])[0]
  some, across, down = PARTS[part]
  tall = points.height(found[:, : points.POINTS])
  size = side, round(side * down / across)
  rows = [[], []]
  for number, face in zip(numbers, found):
    middle = face[some].mean(0)
    scale = side / (across * tall)
    matrix = np.array([[scale, 0, side / 2 - scale * middle[0]],
                       [0, scale, size[1] / 2 - scale * middle[1]]])  # fmt: skip
    for row, frames in zip(rows, (film, edited)):
      row.append(cv2.warpAffine(frames[number], matrix, size, flags=cv2.INTER_AREA))
  return np.concatenate([np.concatenate(row, 1) for row in rows])


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--film', required=True)
  parser.add_argument('--edited', required=True)
  parser.add_argument('--start', type=float, default=0.0)
  parser.add_argument('--end', type=float, default=1.0)
  parser.add_argument('--count', type=int, default=8)
  parser.add_argument('--part', choices=list(PARTS), default='face')
  parser.add_argument('--side', type=int, default=200)
  parser.add_argument('--output', type=pathlib.Path, required=True)
  args = parser.parse_args()
  film, edited = (read.read_frames(path) for path in (args.film, args.edited))
  picture = strip(film, edited, args.start, args.end, args.count, args.part, args.side)
  args.output.parent.mkdir(parents=True, exist_ok=True)
  cv2.imwrite(str(args.output), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))


if __name__ == '__main__':
  main()
