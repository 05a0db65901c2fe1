"""Brings the landmarks of one face to the size, the place and the proportions of another's.

Drawn with the landmarks of somebody else, a person takes on that face: its width, its chin, the
distance of its eyes. What is wanted of a driver is how the face moves.

  none        landmarks as they are: for a film of the person
  similarity  scaled and shifted as a whole: the distance of the eyes and the height of the face
              become the person's, by their geometric mean where these two disagree
  mean_shape  besides, each point is shifted by what the mean shapes differ in, turned and scaled
              with the head; the gap of the lips stays the driver's, a closed mouth stays closed

`fit` looks at the driver once, and what it returns moves any frames of that driver.
"""

from typing import NamedTuple

import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.face import align, points
from ifmdm_jax.face.points import (
  LOWER_LIP_INNER,
  LOWER_LIP_OUTER,
  RIGID,
  UPPER_LIP_INNER,
  UPPER_LIP_OUTER,
)

KINDS = 'none', 'similarity', 'mean_shape'
CLOSED = 25  # percentile of the mouth's opening: shapes are compared over frames up to it


class Retarget(NamedTuple):
  """Moves frames of one driver, `retarget(landmarks)`: [T, 468, 2] -> [T, 468, 2].

  Attributes:
    scale: from the driver's unit to the person's.
    start: [2], the middle of the driver's head.
    end: [2], where that goes.
    shape: [468, 2], mean shape of the driver, and
    offset: [468, 2], how far from there the person's is, in the person's unit; None: not used.
  """

  scale: float
  start: np.ndarray
  end: np.ndarray
  shape: np.ndarray | None = None
  offset: np.ndarray | None = None

  def __call__(self, landmarks):
    track = np.asarray(landmarks, np.float64)
    moved = (track - self.start) * self.scale + self.end
    if self.offset is not None:
      head = align.similarity(np.broadcast_to(self.shape[RIGID], track[:, RIGID].shape),
                              track[:, RIGID])  # fmt: skip
      moved = moved + self.offset @ np.swapaxes(head.matrix[:, :, :2], -1, -2)
    return moved.astype(np.float32)


def fit(driver, person, kind='similarity'):
  """Measures a driver against a person.

  Args:
    driver: [T, 468, 2], landmarks of a film, in any unit; NaN where there is no face.
    person: [K, 468, 2], landmarks of pictures of the person, in the unit of the result.
    kind: of KINDS.

  Returns:
    `Retarget`; for kind 'none' it moves nothing, and both units have to be the same.

  Raises:
    InputError: there is no such kind, or no frame of either has a face.
  """
  if kind not in KINDS:
    raise InputError(f'expected retarget to be one of {", ".join(KINDS)}, got {kind!r}')
  if kind == 'none':
    return Retarget(1.0, np.zeros(2), np.zeros(2))
  driver, person = _seen(driver), _seen(person)
  eyes = [np.median(points.eye_distance(track)) for track in (person, driver)]
  heights = [points.height(track) for track in (person, driver)]
  scale = float(np.sqrt(eyes[0] / eyes[1] * heights[0] / heights[1]))
  start, end = (np.median(track[:, RIGID].mean(1), axis=0) for track in (driver, person))
  if kind == 'similarity':
    return Retarget(scale, start, end)
  shape, wanted = mean_shape(driver), mean_shape(person)
  turn = align.similarity(wanted[RIGID], shape[RIGID])
  size = np.hypot(turn.along, turn.across)  # turned alone: how large the person is stays
  upright = turn._replace(along=turn.along / size, across=turn.across / size)(wanted)
  offset = upright - upright[RIGID].mean(0) - scale * (shape - shape[RIGID].mean(0))
  return Retarget(scale, start, end, shape, _with_the_gap_as_it_was(offset))


def mean_shape(track):
  """Averages the shape of a face, heads laid on each other: [T, 468, 2] -> [468, 2].

  Of the frames it takes those in which the mouth is nearly as closed as it gets.
  """
  opening = points.mouth_opening(track)
  track = track[opening <= np.percentile(opening, CLOSED)]
  still = np.median(track[:, RIGID], axis=0)
  held = align.similarity(track[:, RIGID], np.broadcast_to(still, (len(track), *still.shape)))
  return held(track).mean(0)


def _seen(track):
  track = np.asarray(track, np.float64)
  track = track[np.isfinite(track).all((1, 2))]
  if not len(track):
    raise InputError('no face in any frame: expected landmarks of at least one frame')
  return track


def _with_the_gap_as_it_was(offset):
  """Makes both inner lips go the same way, and each outer one along with its inner one."""
  offset = offset.copy()
  middle = (offset[UPPER_LIP_INNER] + offset[LOWER_LIP_INNER]) / 2
  for inner, outer in ((UPPER_LIP_INNER, UPPER_LIP_OUTER), (LOWER_LIP_INNER, LOWER_LIP_OUTER)):
    more = middle - offset[inner]
    offset[inner] = middle
    offset[outer[1:-1]] += more[1:-1]  # the corners belong to both
  return offset
