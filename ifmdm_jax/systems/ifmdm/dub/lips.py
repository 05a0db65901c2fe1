"""Closed lips where a film has open ones: those of a frame of the shot that has them closed.

Lips that are warped together keep what was seen between them, as teeth that landmarks took for lip.
Where no frame of like pose has them closed, they stay as warped.
"""

import numpy as np

from ifmdm_jax.face.points import (
  LEFT_MOUTH_CORNER,
  LIPS_OUTER,
  LOWER_LIP_INNER,
  LOWER_LIP_OUTER,
  POINTS,
  RIGHT_MOUTH_CORNER,
  UPPER_LIP_INNER,
  UPPER_LIP_OUTER,
)
from ifmdm_jax.systems.ifmdm.dub import face, lend

BY = 0.01  # heights of the face by which lips move, from which on they are lent
ABOVE = 0.012  # and how far above closed ones they end where they are not lent
FEW, CLOSED = 8, 0.014  # percentile of a shot's openings, and heights of the face, of closed lips
MOST = 24  # frames of a shot that are looked at for closed lips
FAR = 15.0  # degrees of the head, from which on no lips are lent
OPENING, WIDTH, INSIDE = 0.01, 0.03, 0.04  # heights, and share of what is no lip, that are unlike
DARK, PALE = 0.6, 0.6  # light and redness of what is no lip, of a lip's
AROUND = np.array([2, 164, 167, 393, 18, 200, 43, 273, 106, 335, 57, 287, 186, 410, 92, 322])
# What holds them is beside them: lips that were open are thicker than closed ones.
CORNERS = np.array([LEFT_MOUTH_CORNER, RIGHT_MOUTH_CORNER])
HELD = np.concatenate([CORNERS, AROUND])
TRUST = np.concatenate([np.full(len(CORNERS), 4.0), np.ones(len(AROUND))])
LIPS = lend.Part(HELD, TRUST, LIPS_OUTER, tuple(CORNERS.tolist()), 0.1, 0.05, 0.08)


class Lips:
  """The lips of a shot, as they are to be drawn."""

  def __init__(self, film, own, landmarks, times, blocks):
    """Decides which frames lend their lips, and reads those.

    Args:
      film: `speech.Film`.
      own: [T, 478, 2], pixels.
      landmarks: wanted, [T, 478, 2].
      times: [T], seconds.
      blocks: of the shot, a function that iterates over them.
    """
    front = face.frontal(landmarks[:, :POINTS].astype(np.float64), film.poses)
    wanted = face.gaps(front)
    self._own, self._less = own, face.ease((film.gaps - wanted) / BY)
    moved = np.linalg.norm(landmarks[:, LIPS_OUTER] - own[:, LIPS_OUTER], axis=-1).max(1)
    shares = face.ease(moved / film.poses.scale / BY)
    shares = shares * face.ease(1 - (wanted - film.closed) / ABOVE)
    lends = (film.gaps <= min(np.percentile(film.gaps, FEW), CLOSED)) & (shares == 0)
    if not shares.any():
      lends[:] = False
    width = np.median(face.widths(front)[shares > 0]) if shares.any() else 0.0
    cost = film.gaps / OPENING + np.abs(film.widths - width) / WIDTH
    some = np.flatnonzero(lends)
    some = some[np.argsort(cost[some], kind='stable')[:MOST]]
    around = np.concatenate([HELD, LIPS_OUTER])
    self.glances = lend.glances(set(some.tolist()), own, around, blocks)
    cost[some] += [inside(self.glances[each]) / INSIDE for each in some.tolist()]
    lends[:] = False
    lends[some] = True
    common = film.poses.angles, np.asarray(times), FAR
    self._lending = lend.Lending(shares[:, None], lends, cost, *common)

  def paint(self, result, mask, picture, number, target):
    """Lays lips over a frame, in place; they were warped from a picture to `target` [468, 2]."""
    sources = [(self.glances[each], part) for each, part in self._lending.sources(number)]
    share = self._lending.of(number, 0)
    if not sources or not share:
      return
    # Points of lips that hardly part say that they are closed: the picture knows better.
    parted = inside(lend.Glance(picture, np.zeros(2), self._own[number])) / INSIDE - 1
    share *= max(self._less[number], face.ease(parted))
    if share > 0:
      lend.lay(result, mask, target, LIPS, share, sources)


def inside(glance):
  """Measures how much between the middles of both lips is no lip, but dark or teeth: 0 to 1."""
  middles = [
    (glance.points[inner] + glance.points[outer])[1:-1] / 2 - glance.corner
    for inner, outer in ((UPPER_LIP_INNER, UPPER_LIP_OUTER), (LOWER_LIP_INNER, LOWER_LIP_OUTER))
  ]
  rows = np.linspace(0, 1, 15)[:, None, None]
  places = ((1 - rows) * middles[0] + rows * middles[1]).astype(int)
  height, width = glance.picture.shape[:2]
  x, y = np.clip(places[..., 0], 0, width - 1), np.clip(places[..., 1], 0, height - 1)
  colours = glance.picture[y, x].astype(np.float32)  # [15, 9, 3]
  light = colours.sum(-1) + 1.0
  red = (colours[..., 0] - colours[..., 1]) / light
  dark = light < DARK * np.median(light[[0, -1]])
  pale = red < PALE * np.median(red[[0, -1]])
  return float((dark | pale).mean())
