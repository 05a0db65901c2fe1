"""What landmarks say about a frame before any network has looked at it.

Points are [B, 468, 2], fractions of the side, x before y.
"""

import jax
import jax.numpy as jnp

from ifmdm_jax.face import align, points
from ifmdm_jax.systems.ifmdm.autoencoder.lite import composite, eyes

# Left corner to right corner, along the upper and the lower inner lip.
UPPER_LIP, LOWER_LIP = points.UPPER_LIP_INNER, points.LOWER_LIP_INNER
# Inner and outer points of either lip without the corners, pair by pair.
UPPER_PAIRS = UPPER_LIP[1:-1], points.UPPER_LIP_OUTER[1:-1]
LOWER_PAIRS = LOWER_LIP[1:-1], points.LOWER_LIP_OUTER[1:-1]


BODY = 24, (-1.9, -2.1), 3.8  # cells; left lower corner and side, heights of the face from the chin


def head_axes(landmarks):
  """[B, 468, 2] -> [B, 2, 2]; axes @ way is how far that is to the face's right, and up.

  In heights of the face, from chin to forehead.
  """
  up = landmarks[:, points.FOREHEAD] - landmarks[:, points.CHIN_TIP]
  right = jnp.stack([-up[:, 1], up[:, 0]], axis=-1)
  squared = jnp.maximum(jnp.square(up).sum(-1), 1e-8)
  return jnp.stack([right, up], axis=1) / squared[:, None, None]


def seen_from_head(landmarks, side):
  """How far to the right of the chin, and above it, the places of a picture are.

  [B, 468, 2] -> [B, side, side, 2], heights of the face.
  """
  chin = landmarks[:, None, None, points.CHIN_TIP]
  places = composite.identity_grid(side)[None] - chin
  return jnp.einsum('bij,bhwj->bhwi', head_axes(landmarks), places)


def pose_change(source, target):
  """What a head did between two frames: [B, 468, 2] each -> [B, 6].

  Shift to the right and up (heights of the face), log of the scale, roll (radians), and by how much
  the nose went further right and up than the head, which is how a picture sees yaw and pitch.
  """
  head = align.similarity(source[:, points.RIGID], target[:, points.RIGID])
  ways = (
    (head.end - head.start)[:, 0],
    (target[:, points.NOSE_RIDGE] - head(source[:, points.NOSE_RIDGE])).mean(1),
  )
  shift, nose = (jnp.einsum('bij,bj->bi', head_axes(target), way) for way in ways)
  size = 0.5 * jnp.log(jnp.square(head.along) + jnp.square(head.across))
  turn = jnp.stack([size, jnp.arctan2(head.across, head.along)], axis=-1)
  return jnp.concatenate([shift, turn, nose], axis=-1)


def body_motion(field, source, target, side):
  """How far beside the turning head hair, neck and shoulders are seen: [B, side, side, 2].

  A place p of the frame shows what a rigid head would show at p plus this. Linear in `pose_change`,
  in the frame of the target's head: hair turns about an axis behind the face, shoulders lag.

  Args:
    field: [24, 24, 6, 2] over BODY, first the lowest row; fitted by
      `experiments/release/body_motion.py`.
    source, target: landmarks [B, 468, 2].
  """
  cells, corner, length = BODY
  from_corner = seen_from_head(target, side) - jnp.array(corner)[None, None, None]
  index = from_corner * ((cells - 1) / length)  # [0, cells - 1]
  motion = jnp.einsum('bk,hwkc->bhwc', pose_change(source, target), field)
  motion = composite.sample(motion, (index + 0.5) / cells)
  axes = head_axes(target)
  size = jnp.square(axes).sum((1, 2))[:, None, None, None] / 2.0  # 1 / height^2
  return jnp.einsum('bij,bhwi->bhwj', axes, motion) / size


def uncrossed(source, landmarks):
  """Landmarks of a frame whose lips and lids meet where they would pass each other, [B, 468, 2].

  A code moves them by differences: what presses a mouth that was ajar would push the closed one of
  another portrait through itself, and a blink would close narrow eyes twice. What crosses in the
  portrait already (by an error of its reading) may stay as far across.

  Args:
    source, landmarks: of portrait and frame, [B, 468, 2] each.
  """
  landmarks = jnp.asarray(landmarks)
  down = -head_axes(landmarks)[:, 1]
  down = down / jnp.linalg.norm(down, axis=-1, keepdims=True)

  def away(upper, lower):  # how far lower points pass upper ones beyond the source, [B, P, 2]
    gap = lambda of: jnp.einsum('bpj,bj->bp', of[:, lower] - of[:, upper], down)
    passed = jnp.maximum(jnp.minimum(gap(source), 0.0) - gap(landmarks), 0.0)
    return passed[..., None] * down[:, None]

  lips = 0.5 * away(UPPER_PAIRS[0], LOWER_PAIRS[0])
  lids = [(upper, away(upper, lower)) for upper, lower, _, _ in eyes.EYES]
  for upper, lower in zip(UPPER_PAIRS, LOWER_PAIRS):
    landmarks = landmarks.at[:, upper].add(-lips).at[:, lower].add(lips)
  for upper, way in lids:
    landmarks = landmarks.at[:, upper].add(-way)
  return landmarks


HALF, SHOULDERS = 0.2, 0.08  # above the chin, and how abruptly; heights of the face


def above_shoulders(landmarks, side):
  """Logit of going with the head, by height alone: [B, 468, 2] -> [B, side, side, 1].

  Where the half lies was found by trial on people of split `train` (`experiments/release`).
  """
  height = seen_from_head(landmarks, side)[..., 1:]
  return jnp.clip((height - HALF) / SHOULDERS, -5.0, 5.0)


SOFT = 1.5 / 256  # width of the lips' edge


def mouth_frame(landmarks, places):
  """Sees places of a picture from the mouth.

  Args:
    landmarks: [B, 468, 2].
    places: [B, N, 2], or [1, N, 2] for all.

  Returns:
    v: [B, N], how far below the line from corner to corner, fractions of the side.
    down: points [B, P, 2] -> the same of any point.
    along: (lip, values [B, 11]) -> [B, N]: values at the points of a lip, straight lines between,
      level beyond the ends.
  """
  corner = landmarks[:, UPPER_LIP[0], None]
  across = landmarks[:, UPPER_LIP[-1], None] - corner
  across = across / jnp.linalg.norm(across, axis=-1, keepdims=True)
  along_mouth = lambda place: ((place - corner) * across).sum(-1)

  def down(place):
    place = place - corner
    return across[..., 0] * place[..., 1] - across[..., 1] * place[..., 0]

  u = along_mouth(places)

  def along(lip, values):
    knots = along_mouth(landmarks[:, lip])
    length = jnp.maximum(jnp.diff(knots, axis=1), 1e-4)
    slope = jnp.diff(values, axis=1) / length
    return values[:, :1] + sum(
      slope[:, k, None] * jnp.clip(u - knots[:, k, None], 0.0, length[:, k, None])
      for k in range(len(lip) - 1)
    )

  return down(places), down, along


def _all_places(side):
  return composite.identity_grid(side).reshape(1, -1, 2)


def inner_mouth(landmarks, side):
  """1 between the inner lips, 0 elsewhere and where they touch: [B, side, side, 1]."""
  v, down, along = mouth_frame(landmarks, _all_places(side))
  upper, lower = (along(lip, down(landmarks[:, lip])) for lip in (UPPER_LIP, LOWER_LIP))
  inside = jnp.clip(jnp.minimum(v - upper, lower - v) / SOFT, 0.0, 1.0)
  return inside.reshape(landmarks.shape[0], side, side, 1)


def anchored_mouth(source, target, side):
  """What an opening mouth shows of the source: what hung from its upper lip, and no more.

  Teeth are fixed to the skull: they do not stretch when the lower lip goes down; what appears
  below them the source does not have.

  Args:
    source, target: landmarks [B, 468, 2].

  Returns:
    inside: [B, side, side, 1], 1 between the inner lips of the target.
    unseen: [B, side, side, 1], 1 where the source has nothing to show there.
    flow: [B, side, side, 2], from a place to where it hangs in the source.
  """
  v, down, along = mouth_frame(target, _all_places(side))
  upper, lower = (along(lip, down(target[:, lip])) for lip in (UPPER_LIP, LOWER_LIP))
  inside = jnp.clip(jnp.minimum(v - upper, lower - v) / SOFT, 0.0, 1.0)
  room = jnp.linalg.norm(source[:, LOWER_LIP] - source[:, UPPER_LIP], axis=-1)
  unseen = inside * jnp.clip((v - upper - along(UPPER_LIP, room)) / SOFT + 1.0, 0.0, 1.0)
  moved = source[:, UPPER_LIP] - target[:, UPPER_LIP]
  flow = jnp.stack([along(UPPER_LIP, moved[..., axis]) for axis in (0, 1)], axis=-1)
  shape = (target.shape[0], side, side)
  return inside.reshape(*shape, 1), unseen.reshape(*shape, 1), flow.reshape(*shape, 2)


def fold(x, factor):
  """Pixels to channels: [B, f h, f w, C] -> [B, h, w, f f C]."""
  batch, height, width, channels = x.shape
  x = x.reshape(batch, height // factor, factor, width // factor, factor, channels)
  return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, height // factor, width // factor, -1)


def region(landmarks, side, margin, edge=0.01):
  """1 around the points, 0 elsewhere, soft at the edge. [B, P, 2] -> [B, side, side, 1]."""
  low, high = landmarks.min(1), landmarks.max(1)
  room = margin * (high - low).max(-1, keepdims=True)
  low, high = (low - room)[:, None, None, :], (high + room)[:, None, None, :]
  grid = composite.identity_grid(side)[None]
  inside = jax.nn.sigmoid((grid - low) / edge) * jax.nn.sigmoid((high - grid) / edge)
  return inside.prod(-1, keepdims=True)
