"""Paints a frame with new lips: the lower face is warped, and the mouth filled."""

import cv2
import numpy as np

from ifmdm_jax.face.points import (
  LIPS_INNER,
  LOWER_LIP_INNER,
  LOWER_LIP_OUTER,
  UPPER_LIP_INNER,
  UPPER_LIP_OUTER,
)
from ifmdm_jax.systems.ifmdm.dub import face, mouth, warp
from ifmdm_jax.systems.ifmdm.dub.face import TRIANGLES

STEP = 2  # pixels of the picture for each of the mesh's
STILL = 0.05  # pixels, below which nothing moves
FULL = 0.6  # pixels from which on a place is all new
NEARER = 0.015  # heights of the face by which lips come together as far as counts
SEAM = 0.015  # heights of the face: half the width of the mask's soft edge
BORDER = 0.05  # of the side, in which all movement fades
ROLLED = 0.1, 0.2  # of upper and lower lips that were open: what is not seen when they are closed
PALE = 0.8, 0.6  # light and redness of teeth: more than, and less than such a share of the lip's
CONTACT = 0.25  # how dark the line is between lips that were open
INNER = UPPER_LIP_INNER[1:-1], LOWER_LIP_INNER[1:-1]
OUTER = UPPER_LIP_OUTER[1:-1], LOWER_LIP_OUTER[1:-1]


class Frame:
  """One frame of a film: what is known of it before its lips are drawn."""

  def __init__(self, landmarks, turn, end):
    self.landmarks, self.turn = landmarks, turn
    pose = face.Poses(turn[None], end[None])
    self.scale, self.view = float(pose.scale[0]), pose.view[0]
    self.bite = pose.place(mouth.BITE)[0]
    self.down = turn[:, 1] / np.linalg.norm(turn[:, 1])

  def target(self, way, closed):
    """Moves landmarks by `way` [468, 2], heights of the face: [468, 2], pixels."""
    return self.towards(way @ self.turn[:, :2].T, closed)

  def towards(self, ways, closed):
    """Moves landmarks by `ways` [468, 2], pixels, as far as the lower face goes: [468, 2]."""
    moved = self.landmarks + face.SHARES[:, None] * ways
    return face.parted(moved, self.landmarks, self.down, closed * self.scale)

  def closing(self, target, closed):
    """Says how far lips are brought nearer than the film has them, 0 to 1."""
    middle = UPPER_LIP_INNER[face.UPPER_MIDDLE], LOWER_LIP_INNER[face.UPPER_MIDDLE]
    gap = lambda points: float((points[middle[1]] - points[middle[0]]) @ self.down) / self.scale
    return float(np.clip((gap(self.landmarks) - max(gap(target), closed)) / NEARER, 0.0, 1.0))


def border(side, box):
  """1 within a picture, falling to 0 at its border, in a box: [h, w]."""
  away = lambda first, last: np.minimum(
    np.arange(first, last) + 0.5, side - 0.5 - np.arange(first, last)
  )
  x, y = away(box.x0, box.x1), away(box.y0, box.y1)
  return np.minimum(np.minimum(x[None], y[:, None]) / (BORDER * side), 1.0).astype(np.float32)


def paint(picture, frame, target, closed, sources):
  """Paints one frame.

  Args:
    picture: uint8 [S, S, 3].
    frame: `Frame`.
    target: landmarks with new lips, [468, 2].
    closed: heights of the face between the inner lips' landmarks where they are closed.
    sources: function that lists (share, `mouth.Glimpse` or `mouth.Prior`); shares sum to 1.

  Returns:
    uint8 [S, S, 3], and what of it is new, float32 [S, S].
  """
  result, mask = picture.copy(), np.zeros(picture.shape[:2], np.float32)
  if np.abs(target - frame.landmarks).max() < STILL:
    return result, mask
  closing = frame.closing(target, closed)
  box, flow, share, inner = _moved(picture, frame, target, closing)
  moved = warped(picture, box, flow)
  window = inner.box.inside(box)
  if closing:
    moved[window] *= 1.0 - CONTACT * closing * inner.contact[..., None]
  if inner.cover.any():
    colours = sum(
      part * _between(picture, frame, target, inner, source) for part, source in sources()
    )
    moved[window] += inner.cover[..., None] * (colours - moved[window])
    share[window] = np.maximum(share[window], inner.cover)
  before = box.of(result)
  mixed = before + share[..., None] * (moved - before)
  before[...] = np.clip(np.round(mixed), 0, 255).astype(np.uint8)
  box.of(mask)[...] = share
  return result, mask


def teeth_on_lip(picture, inside, lip):
  """Finds how much of a lip is teeth, which landmarks of a smile take for it.

  Args:
    picture: uint8 [S, S, 3].
    inside: points of its inner edge, [P, 2],
    lip: ways from there to the outer one, [P, 2].

  Returns:
    [P], shares of those ways.
  """
  shares = np.linspace(0.0, 0.9, 10)
  places = inside[None] + shares[:, None, None] * lip[None]
  x, y = np.clip(places.astype(int), 0, len(picture) - 1).transpose(2, 0, 1)
  colours = picture[y, x].astype(np.float32)  # [10, P, 3]
  light = colours.sum(-1) + 1.0
  red = (colours[..., 0] - colours[..., 1]) / light
  teeth = (light > PALE[0] * light[-2:].mean()) & (red < PALE[1] * red[-3:].mean())
  most = (np.where(teeth[:-3], shares[:-3, None] + 0.1, 0.0)).max(0)
  padded = np.pad(most, 1, mode='edge')
  return (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4


def _moved(picture, frame, target, closing):
  """Finds where each pixel of a moved face looks.

  Returns:
    `warp.Box`; how far pixels of it have come, float32 [2, h, w]; which are new, float32
    [h, w], soft; and the `mouth.Frame` of the lips.
  """
  side, ways = len(picture), target - frame.landmarks
  looked = ways.copy()  # from where each point takes its pixels
  for inner, outer, part in zip(INNER, OUTER, ROLLED) if closing else ():
    inside, lip = frame.landmarks[inner], frame.landmarks[outer] - frame.landmarks[inner]
    part = np.maximum(teeth_on_lip(picture, inside, lip), part)
    looked[inner] -= closing * part[:, None] * lip
  places, looked = face.with_rings(frame.landmarks, looked, frame.turn)
  places = places + face.with_rings(frame.landmarks, ways, frame.turn)[1]
  moving = np.abs(looked).max(1) > 1e-3
  soft = max(round(SEAM * frame.scale / STEP), 1)
  chosen = TRIANGLES[moving[TRIANGLES].any(1)]
  around = places[np.concatenate([chosen.ravel(), LIPS_INNER])]
  box = warp.box_around(around, side, STEP * (2 * soft + 2), STEP)
  inner = mouth.frame_of(target, side, frame.scale, box)

  depth = (face.SOLID @ frame.view)[chosen].mean(1) / frame.scale
  slivers = np.isin(chosen, LIPS_INNER).all(1)  # between closed lips: behind all others
  order = np.argsort(-depth - slivers, kind='stable')
  flow, _ = warp.interpolated(places, looked, chosen[order], box, STEP)
  flow = np.stack([cv2.blur(part, (3, 3), borderType=cv2.BORDER_CONSTANT) for part in flow])
  share = np.clip((np.abs(flow).max(0) - STILL) / (FULL - STILL), 0.0, 1.0)
  width = 2 * soft + 1
  share = cv2.blur(cv2.dilate(share, np.ones((width, width), np.uint8)), (width, width))

  edge = border(side, box)
  enlarged = lambda part: edge * cv2.resize(part, box.shape[::-1])
  flow, share = np.stack([enlarged(part) for part in flow]), enlarged(share)
  window = inner.box.inside(box)
  for axis, part in enumerate(flow):
    part[window] += inner.near * (inner.on_lips(looked[:, axis]) - part[window])
  return box, flow, share * share * (3 - 2 * share), inner


def warped(picture, box, flow):
  """Moves the pixels of a `warp.Box` by flow [2, h, w]: float32 [h, w, 3]."""
  columns = np.arange(box.x0, box.x1, dtype=np.float32)[None] - flow[0]
  rows = np.arange(box.y0, box.y1, dtype=np.float32)[:, None] - flow[1]
  warped = cv2.remap(picture, columns, rows, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
  return warped.astype(np.float32)


def _between(picture, frame, target, inner, source):
  """Draws what of a source is between the lips, in the light of the picture: float32 [h, w, 3]."""
  if isinstance(source, mouth.Prior):
    return source.seen(target, inner.box)
  light = mouth.skin_of(picture, frame.landmarks) / source.skin
  drawn = mouth.seen(source, target, frame.turn, frame.bite, inner)
  return np.clip(drawn * light, 0.0, 255.0).astype(np.float32)
