"""Edits clips, reads the results again, and writes a line a clip to edits.csv.

  python experiments/vlogger_edit/measure.py --clips a.mp4 b.mp4 --output out/edits

Of each clip the mouth is closed over the span in which it is open most, eyes are closed where they
are open, and blinks become open eyes in the rest. Everything is read off the written files by the
landmark network, but for the pixels outside the masks, which are compared before they are encoded.
"""

import argparse
import csv
import pathlib

import av
import cv2
import numpy as np

import ifmdm_jax as ifm
from ifmdm_jax import dubbing
from ifmdm_jax.dubbing import edits, make, planes
from ifmdm_jax.dubbing.film import Film
from ifmdm_jax.face import points, units
from ifmdm_jax.shot import Change
from ifmdm_jax.systems.vlogger.edit import Editor
from ifmdm_jax.video import read

CSV = pathlib.Path(__file__).parent / 'edits.csv'
FPS, MOUTH, EYES = 25, 1.2, 0.8  # frames a second, and seconds of the spans
CORNERS = np.array([points.LEFT_LIDS.inner, points.RIGHT_LIDS.inner])
BLINK, APART = 0.5, 0.3  # score of a closed eye, and seconds between two spans


class Watch:
  """Compares what is handed to the encoder with the film, where no mask lies."""

  def __init__(self, path):
    self.frames, self.masks, self.wrong, self.changed = Film(path).all_times(), {}, 0, 0

  def paint(self, frame, matrix, square, mask):
    self.masks[id(frame)] = matrix, mask
    planes.paint(frame, matrix, square, mask)

  def compare(self, frame):
    old, (matrix, mask) = next(self.frames), self.masks.pop(id(frame), (None, None))
    may = np.zeros((frame.height, frame.width), bool)
    if mask is not None:
      y, x = np.mgrid[: frame.height, : frame.width] + 0.5
      back = planes.inverted(matrix)
      u, v = (back[i, 0] * x + back[i, 1] * y + back[i, 2] - 0.5 for i in (0, 1))
      near = cv2.dilate(mask, np.ones((3, 3)))
      may = cv2.remap(near, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR) > 0
    for a, b in zip(planes.planes(old), planes.planes(frame)):
      here = may
      if a.shape != may.shape:
        here = may[: 2 * a.shape[0], : 2 * a.shape[1]]
        here = here.reshape(a.shape[0], 2, a.shape[1], 2).any((1, 3))
      self.wrong += int((a != b)[~here].sum())
      self.changed += int((a != b).sum())


def edited(path, output, editor, changes):
  """Edits a film; returns the result and the `Watch`."""
  watch, writer, room = Watch(path), edits.FilmWriter, make.planes

  class Spy(writer):
    def add(self, frame, moment):
      watch.compare(frame)
      super().add(frame, moment)

  edits.FilmWriter = Spy
  make.planes = type('planes', (), {'copied': planes.copied, 'paint': watch.paint})
  try:
    return dubbing.edit(path, output, editor, changes, overwrite=True), watch
  finally:
    edits.FilmWriter, make.planes = writer, room


def gaps(face):
  """Measures between the middles of the inner lips, in eye distances: [T]."""
  way = face[:, points.LOWER_MIDDLE] - face[:, points.UPPER_MIDDLE]
  return np.linalg.norm(way, axis=1) / points.eye_distance(face)


def jitter(face, some, span):
  """Measures how unsteady points are before the nose: second differences, in eye distances."""
  nose, across = face[:, points.NOSE_RIDGE].mean(1), points.eye_distance(face)[:, None]
  way = np.diff(((face[:, some].mean(1) - nose) / across)[span], 2, axis=0)
  return float(np.sqrt(np.square(way).sum(1).mean()))


def window(values, seconds, best):
  """Finds the seconds at which a window begins whose mean is `best` (np.argmax, np.argmin)."""
  count = round(seconds * FPS)
  return (
    float(best(np.convolve(values[5:-5], np.ones(count) / count, 'valid')) + 5) / FPS,
    seconds,
  )


def sound(path):
  """Reads the packets of the sound."""
  with av.open(str(path)) as container:
    return [bytes(p) for p in container.demux(container.streams.audio) if p.size]


def measure(path, output, editor):
  """Edits and measures one clip: a row of the table."""
  face, score = units.FaceUnits().track(read.read_frames(path))
  blink, opening = units.blink(score), units.opening(face).mean(1)
  mouth, _ = window(gaps(face), MOUTH, np.argmax)
  eyes, _ = window(blink, EYES, np.argmin)
  length = len(face) / FPS
  changes = [Change('close_mouth', 1, mouth, mouth + MOUTH),
             Change('close_eyes', 1, eyes, eyes + EYES)]  # fmt: skip
  rest = [(0, eyes - APART), (eyes + EYES + APART, length)]
  changes += [Change('no_blink', 1, a, b) for a, b in rest if b - a > 0.2]
  result, watch = edited(path, output, editor, changes)
  again, score_again = units.FaceUnits().track(read.read_frames(output))
  blink_again, opening_again = units.blink(score_again), units.opening(again).mean(1)
  times, usual = np.arange(len(face)) / FPS, np.percentile(opening, 75)
  inside = lambda start, seconds: (times >= start) & (times < start + seconds)
  span, closed = inside(mouth, MOUTH), inside(eyes, EYES)
  others = np.zeros(len(times), bool)
  for a, b in rest:
    others |= (times >= a) & (times < b)
  shut = others & (blink > BLINK)
  before, after = gaps(face), gaps(again)
  name = pathlib.Path(path).stem.split('_')[0]
  mean = lambda values: round(float(values.mean()), 4) if len(values) else ''
  return dict(
    clip=name, mouth_from=round(mouth, 2), gap=mean(before[span]), gap_after=mean(after[span]),
    share=mean(after[span]) / mean(before[span]), gap_closed=float(np.percentile(before, 3)),
    blink_frames=int(shut.sum()), blink_frames_after=int((others & (blink_again > BLINK)).sum()),
    blink_score=mean(blink[shut]), blink_score_after=mean(blink_again[shut]),
    opening=mean(opening[shut] / usual), opening_after=mean(opening_again[shut] / usual),
    eyes_from=round(eyes, 2), eyes_score=mean(blink[closed]),
    eyes_score_after=mean(blink_again[closed]),
    eyes_opening_after=mean(opening_again[closed] / usual),
    lips_jitter=jitter(face, points.LIPS_OUTER, span),
    lips_jitter_after=jitter(again, points.LIPS_OUTER, span),
    eyes_jitter_after=jitter(again, CORNERS, span),
    samples_outside_that_differ=watch.wrong, samples_that_differ=watch.changed,
    sound_is_the_same=sound(path) == sound(output), frames=result.frames, edited=result.dubbed,
    seconds=round(result.seconds, 1),
  )  # fmt: skip


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--clips', nargs='+', required=True)
  parser.add_argument('--output', type=pathlib.Path, required=True)
  args = parser.parse_args()
  args.output.mkdir(parents=True, exist_ok=True)
  editor, rows = Editor(ifm.load()), []
  for path in args.clips:
    row = measure(path, args.output / pathlib.Path(path).name, editor)
    rows.append({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()})
    print(rows[-1], flush=True)
    with CSV.open('w', newline='') as file:
      writer = csv.DictWriter(file, rows[0])
      writer.writeheader()
      writer.writerows(rows)


if __name__ == '__main__':
  main()
