"""Draws what a renderer needs to make pairs of frames, beside a real pair of a film.

A renderer moves a picture by landmarks; this says which picture, and how other faces moved. Where
each pixel of its frames is seen in the others it knows, which no film says.
"""

import numpy as np

from ifmdm_jax.face import align
from ifmdm_jax.face.points import RIGID
from ifmdm_jax.pipeline.sources import pairs

UNMOVED = 0.5  # share of examples whose first frame is the picture as it is
STEADY = 0.4  # share of examples in which the head stays and the face alone moves
BLINKS = 0.3  # share of frames whose lids are closed, more or less
GAZE = 0.06  # deviation, widths of the eye


class Rendered(pairs.Pairs):
  """Offers every clip and still, as `Pairs` does; `draw` makes an example of both kinds."""

  def draw(self, item, rng):
    """Makes an example, see `make_loader` for its keys."""
    kind, index = item
    source = self.stills[index] if kind == 'still' else self.clips[index]
    points = pairs.fractions(source)
    chosen = rng.integers(len(points))
    picture, points = np.asarray(source.frames[chosen]), points[chosen]
    moved = [self._borrowed(points, rng) for _ in range(1 + self.targets)]
    if rng.random() < STEADY:
      moved = [steady(points, way) for way in moved]
    if rng.random() < UNMOVED:
      moved[0] = np.zeros_like(points)
    tracks = np.stack([points, *(points + way for way in moved)])
    if self.augment:
      (picture,), tracks = self._augment(picture[None], tracks, rng)
    clip = index if kind == 'clip' else rng.integers(len(self.clips))
    return dict(
      super().draw(('clip', clip), rng),
      picture=picture,
      points=tracks[0],
      moved=tracks[1:] - tracks[0],
      gestures=gestures(rng, 1 + self.targets),
    )


def steady(points, moved):
  """Takes the head's turn, size and place out of how far landmarks [468, 2] moved."""
  placed = points + moved
  return (align.similarity(placed[RIGID], points[RIGID])(placed) - points).astype(np.float32)


def gestures(rng, count):
  """Draws lids and gaze of frames: float32 [count, 4], left and right lid, gaze right and down."""
  closed = rng.random((count, 1)) * (rng.random((count, 1)) < BLINKS)
  gaze = rng.normal(0, GAZE, (count, 2))
  return np.concatenate([closed, closed, gaze], 1).astype(np.float32)


def make_loader(config, **how):
  """Returns endless batches; see `pairs.make_loader`, whose settings and keys are among these.

  Of a film, source, target, their landmarks and `seen`. To be drawn: picture uint8 [B, R, R, 3],
  its landmarks points float32 [B, 468, 2], fractions of the side; how far they are from there in
  1 + K frames, moved [B, 1 + K, 468, 2], borrowed from other faces; and lids and gaze there,
  gestures [B, 1 + K, 4]. Half of the first frames are the picture itself; heads stay in `STEADY` of
  the examples, so that a code has to say what lips do as well.
  """
  return pairs.make_loader(config, kind=Rendered, **how)
