"""Says what was done with a film: a line for each part, and for each second in a file."""

import collections
import json
from typing import NamedTuple

import numpy as np

from ifmdm_jax import files
from ifmdm_jax.dubbing import fates

LIPS, EDITED = 'new lips', 'edited'  # what is done


class Segment(NamedTuple):
  """Consecutive frames of the result that have one fate.

  Attributes:
    start, stop: numbers of its first frame in the result, and of the one after its last.
    fate: number of `fates.NAMES`.
    begins, ends: seconds.
    fades: whether the new lips fade in, and out, as the same take goes on with its own.
  """

  start: int
  stop: int
  fate: int
  begins: float
  ends: float
  fades: tuple[bool, bool]

  @property
  def dubbed(self):
    """Says whether its lips are made anew."""
    return self.fate == fates.DUBBED

  def line(self, did=LIPS):
    """Says it in a line; `did`: what was done with a segment that is not as it was."""
    what = did if self.dubbed else f'as it was: {fates.NAMES[self.fate]}'
    count = self.stop - self.start
    return f'{self.begins:9.2f} to {self.ends:9.2f} s  {count:6d} frames  {what}'


def segments(plan, fate, takes):
  """Divides a result into segments.

  Args:
    plan: `timeline.Timeline`.
    fate: int [T], of the film's frames.
    takes: int [T], the part between two cuts that each belongs to.

  Returns:
    List of `Segment`.
  """
  fate, takes = fate[plan.numbers], takes[plan.numbers]
  jumps = np.abs(np.diff(plan.numbers, prepend=plan.numbers[:1])) > 1
  parts = np.cumsum(jumps)
  ends = np.append(plan.times[1:], plan.end)
  same = lambda a, b: takes[a] == takes[b] and parts[a] == parts[b]
  return [
    Segment(
      start, stop, int(fate[start]), float(plan.times[start]), float(ends[stop - 1]),
      (start > 0 and bool(same(start - 1, start)),
       stop < len(fate) and bool(same(stop - 1, stop))),
    )
    for start, stop in fates.runs(fate, takes, parts)
  ]  # fmt: skip


def write(path, plan, parts, facts, did=LIPS):
  """Writes a report as JSON: `facts`, the segments, and for each second how many frames had which
  fate; `did`: see `Segment.line`."""
  fate = np.concatenate([np.full(part.stop - part.start, part.fate) for part in parts])
  seconds = collections.defaultdict(collections.Counter)
  for second, each in zip(plan.times.astype(int).tolist(), fate.tolist()):
    named = did if each == fates.DUBBED and did != LIPS else fates.NAMES[each]
    seconds[second][named] += 1
  report = dict(
    facts,
    segments=[
      dict(start=round(part.begins, 3), end=round(part.ends, 3), frames=part.stop - part.start,
           first_film_frame=int(plan.numbers[part.start]),
           last_film_frame=int(plan.numbers[part.stop - 1]),
           did=did if part.dubbed else 'as it was', why=fates.NAMES[part.fate])
      for part in parts
    ],
    seconds=[dict(second=second, **counts) for second, counts in sorted(seconds.items())],
  )  # fmt: skip
  files.write_text(path, json.dumps(report, indent=1) + '\n')
