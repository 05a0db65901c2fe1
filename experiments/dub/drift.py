"""Measures a long dub minute by minute: does the last minute follow its voice as the first does?

  python -m ifmdm_jax.dub --video talk.mp4 --audio ten.wav --longer pingpong --output long.mp4
  python experiments/dub/drift.py --dub long.mp4 --voice ten.wav --output out/drift

Lips are read off the drawn frames by the landmarker. Written: drift.csv, to which a row a minute is
added, where r is of the opening with the one that the voice predicts (`face/lag.py`), spread and
mean are of the opening in distances of the eyes' outer corners; and strip.png, eight frames of the
first second above eight of the last.
"""

import itertools
import pathlib

import cv2
import numpy as np
from absl import flags

from ifmdm_jax import errors, files
from ifmdm_jax.audio import features, waveform
from ifmdm_jax.evaluation import drift
from ifmdm_jax.face import lag
from ifmdm_jax.face.crop import crop_square, cut
from ifmdm_jax.face.detect import FaceDetector
from ifmdm_jax.face.landmarker import FaceLandmarker
from ifmdm_jax.face.points import mouth_opening
from ifmdm_jax.generator import Motion
from ifmdm_jax.rates import FPS, SAMPLE_RATE
from ifmdm_jax.video import read

_DUB = flags.DEFINE_string('dub', None, 'The film as it was dubbed.', **errors.SHARED)
_VOICE = flags.DEFINE_string('voice', None, 'The voice it was given.', **errors.SHARED)
_NAME = flags.DEFINE_string('name', 'lite', 'Of the dub, in the table.', **errors.SHARED)
_OUTPUT = flags.DEFINE_string('output', None, 'Folder of what is written.', **errors.SHARED)
BLOCK = 20 * FPS  # frames
SIDE, TILES = 256, 8


def opening_of(path):
  """Reads lips off a film: ([T] opening, NaN without a face; first second, last second).

  Seconds are lists of (frame, landmarks).

  Raises:
    InputError: no frame shows a face.
  """
  landmarker, detector = FaceLandmarker(squares=1), FaceDetector()
  found, first, last = [], [], []
  frames = read.frames(path)
  while block := list(itertools.islice(frames, 2 * FPS)):
    points = landmarker.track(np.stack(block), detector)[..., :2]
    found.append(mouth_opening(points))
    both = list(zip(block, points))
    first, last = first or both[:FPS], [*last, *both][-FPS:]
  opening = np.concatenate(found)
  if not np.isfinite(opening).any():
    raise errors.InputError(f'no frame of {path} shows a face: expected a film of a person')
  return opening, first, last


def predicted_by(voice, count):
  """Predicts the opening [count] from a voice."""
  speech = features.load('whisper_tiny', layer=2).features(voice, SAMPLE_RATE)
  judge = lag.load()
  parts = [judge.predict(speech[i : i + 2 * BLOCK]) for i in range(0, len(speech), 2 * BLOCK)]
  return np.concatenate(parts)[:count]


def strip(*rows):
  """Puts frames, evenly chosen, below each other."""
  chosen = np.linspace(0, FPS - 1, TILES).astype(int)
  tile = lambda frame, points: cut(frame, crop_square(points[None], frame.shape), SIDE)
  return np.vstack([np.hstack([tile(*row[t]) for t in chosen]) for row in rows])


def main(_):
  output = pathlib.Path(_OUTPUT.value)
  output.mkdir(parents=True, exist_ok=True)
  opening, first, last = opening_of(_DUB.value)
  predicted = predicted_by(waveform.prepare(*waveform.read(_VOICE.value)), len(opening))
  opening = opening[: len(predicted)]
  seen = np.isfinite(opening)
  opening = np.interp(np.arange(len(opening)), np.flatnonzero(seen), opening[seen])
  found = drift.table(Motion(opening, np.ones((len(opening), 1))), predicted, 60.0)
  rows = [
    {
      'dub': _NAME.value,
      'minute': minute + 1,
      **{name: f'{found[name][minute]:.4f}' for name in FIGURES},
    }
    for minute in range(len(found['r']))
  ]
  files.add_rows(output / 'drift.csv', rows)
  cv2.imwrite(str(output / 'strip.png'), strip(first, last)[..., ::-1])
  for row in rows:
    print(*row.values())
  print(f'a face in {seen.mean():.1%} of the frames')


FIGURES = ('r', 'spread', 'mean')

if __name__ == '__main__':
  errors.run(main)
