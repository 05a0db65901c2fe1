"""Several performances of one portrait and one voice, and a contact sheet of them."""

import pathlib

import cv2
import numpy as np
from PIL import Image

from ifmdm_jax import files
from ifmdm_jax.video import read as films

MOST = 64
TIMES, SIDE = 6, 192  # pictures of each take on the sheet, and their longer side, pixels


def make(output, count, seed, load, make_one, *, overwrite=False):
  """Writes `count` videos beside each other, o_take1.mp4 and so on, and o_takes.jpg.

  Args:
    output: *.mp4, that they are named after.
    count: performances, of seeds that follow each other.
    seed: of the first.
    load: () -> the generator.
    make_one: (output, seed, generator) -> `talk.Result`.
    overwrite: whether they may exist.

  Returns:
    A `talk.Result` each, and the path of the contact sheet.
  """
  output = pathlib.Path(output).expanduser()
  named = lambda end: output.with_name(f'{output.stem}_{end}')
  sheet = files.check_output(named('takes.jpg'), [], overwrite, ('.jpg',))
  paths = [
    files.check_output(named(f'take{number}.mp4'), [], overwrite) for number in range(1, count + 1)
  ]  # all of them before the work
  generator = load()
  results = [make_one(path, seed + number, generator) for number, path in enumerate(paths)]
  rows = [np.concatenate(_some(result), axis=1) for result in results]
  with files.atomic(sheet) as half:
    Image.fromarray(np.concatenate(rows)).save(half, 'JPEG', quality=92)
  return results, sheet


def _some(result):
  """Reads TIMES pictures of a video, from its first to its last, small."""
  wanted = np.linspace(0, result.frames - 1, TIMES).round().astype(int)
  found = {
    number: _small(frame)
    for number, frame in enumerate(films.frames(result.path))
    if number in wanted
  }
  return [found[min(number, max(found))] for number in wanted]


def _small(frame):
  scale = SIDE / max(frame.shape[:2])
  size = tuple(max(1, round(side * scale)) for side in frame.shape[1::-1])
  return cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
