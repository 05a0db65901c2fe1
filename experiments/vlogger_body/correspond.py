"""Finds where the 478 points of the face mesh lie on the body: the network sees pictures of it."""

import jax.numpy as jnp
import numpy as np

from experiments.vlogger_body import draw
from ifmdm_jax.face import points
from ifmdm_jax.face.units import FaceUnits
from ifmdm_jax.systems.vlogger import axes, body, camera

SIDE, FOCAL, DISTANCE = 512, 1500.0, 8.0
AJAR = {'jawOpen': 0.35}  # so that the lips are apart
# Pitch and yaw, degrees.
VIEWS = [(p, y) for p in (-12, 0, 12) for y in (-24, -12, 0, 12, 24)]
EYES = slice(points.POINTS, None)


def find(model, identities):
  """Finds the points on the mean person, by views of some people.

  Args:
    model: `Body` without corners and shares.
    identities: [N, I], who are looked at.

  Returns:
    corners int [478, 3] and shares [478, 3] of the vertices of `model`.
  """
  tracker, seen, motions, people = FaceUnits(), [], [], []
  for identity in identities:
    for pitch, yaw in VIEWS:
      motion = axes.read(
        {**AJAR, 'headPitch': np.deg2rad(pitch), 'headYaw': np.deg2rad(yaw), 'headZ': DISTANCE,
         'headY': 0.45})  # fmt: skip
      picture = draw.person(model, identity, motion, FOCAL, SIDE)
      places, _ = tracker.track([picture] * 2)
      if np.isfinite(places[-1]).all():
        seen.append(places[-1])
        motions.append(motion)
        people.append(identity)
  print(f'{len(seen)} of {len(identities) * len(VIEWS)} pictures have a face')
  return on_surface(model, np.array(people), np.array(motions), np.array(seen))


def on_surface(model, people, motions, seen):
  """Puts each point on the triangle, and there on the place, that all views agree on best."""
  posed = np.asarray(body.vertices(model, people, motions))  # [N, V, 3]
  drawn = np.asarray(camera.project(posed, jnp.full(len(posed), FOCAL), (SIDE, SIDE)))[..., :2]
  skin = np.isin(model.region, [body.REGIONS.index(n) for n in ('face', 'lips', 'ears', 'neck')])
  white = model.region == body.REGIONS.index('eyes')
  front = facing(posed, model.triangles)  # [N, T]
  corners, shares, apart = [], [], []
  for point in range(points.POINTS_WITH_IRISES):
    allowed = np.nonzero((white if point >= points.POINTS else skin) & (front.mean(0) > 0.3))[0]
    middle = drawn[:, model.triangles[allowed]].mean(2)  # [N, t, 2]
    near = allowed[np.argsort(((middle - seen[:, None, point]) ** 2).sum(-1).mean(0))[:40]]
    best = min((_place(drawn[:, model.triangles[t]], seen[:, point]) + (t,) for t in near),
               key=lambda found: found[0])  # fmt: skip
    apart.append(best[0])
    shares.append(best[1])
    corners.append(model.triangles[best[2]])
  print(f'points miss by {np.sqrt(np.mean(apart)):.2f} of {SIDE} pixels')
  return symmetric(model, np.array(corners), np.array(shares))


def facing(posed, triangles):
  """Says which triangles face the camera, by more than a grazing view: bool [N, T]."""
  a, b, c = (posed[:, triangles[:, k]] for k in range(3))
  normal = np.cross(b - a, c - a)
  middle = (a + b + c) / 3
  towards = -(normal * middle).sum(-1)
  length = np.linalg.norm(normal, axis=-1) * np.linalg.norm(middle, axis=-1) + 1e-12
  return towards / length > 0.05


def _place(corner, seen):
  """Least squares shares of one triangle: corner [N, 3, 2], seen [N, 2] -> error, shares [3]."""
  along = corner[:, 1:] - corner[:, :1]  # [N, 2, 2]
  matrix = along.transpose(0, 2, 1).reshape(-1, 2)
  uv = np.linalg.lstsq(matrix, (seen - corner[:, 0]).reshape(-1), rcond=None)[0]
  shares = np.array([1 - uv.sum(), *uv])
  for _ in range(3):  # onto the triangle
    shares = np.maximum(shares, 0)
    shares /= shares.sum()
  error = (((shares[None, :, None] * corner).sum(1) - seen) ** 2).sum(-1).mean()
  return error, shares


def symmetric(model, corners, shares):
  """Averages each point with the mirror image of its counterpart, on the surface."""
  place = np.einsum('pk,pkc->pc', shares, model.template[corners])
  flip = np.array([-1.0, 1, 1])
  place = (place + place[points.MIRROR_WITH_IRISES] * flip) / 2
  middle = model.template[model.triangles].mean(1)
  made_corners, made_shares = corners.copy(), shares.copy()
  lookup = {frozenset(t): t for t in model.triangles.tolist()}
  mirror = mirror_of(model)
  for point in range(points.POINTS_WITH_IRISES):
    other = points.MIRROR_WITH_IRISES[point]
    if place[point, 0] > 1e-3 or (other == point):
      allowed = np.isin(model.region, np.unique(model.region[_of(model, corners[[point, other]])]))
      near = np.argsort(np.where(allowed, ((middle - place[point]) ** 2).sum(1), np.inf))[:30]
      found = [(*closest(model.template[model.triangles[t]], place[point]), t) for t in near]
      error, share, triangle = min(found, key=lambda each: each[0])
      made_corners[point], made_shares[point] = model.triangles[triangle], share
  for point in range(points.POINTS_WITH_IRISES):
    other = points.MIRROR_WITH_IRISES[point]
    if place[point, 0] <= 1e-3 and other != point:
      across = mirror[made_corners[other]]
      assert frozenset(across.tolist()) in lookup
      made_corners[point], made_shares[point] = across, made_shares[other]
  return made_corners, made_shares


def _of(model, corners):
  """Numbers of the triangles with these corners [N, 3]."""
  table = {frozenset(t): k for k, t in enumerate(model.triangles.tolist())}
  return [table[frozenset(c)] for c in corners.tolist()]


def mirror_of(model):
  """Finds for each vertex the one on the other side, int [V]."""
  flipped = model.template * [-1, 1, 1]
  blocks = [((flipped[k : k + 500, None] - model.template[None]) ** 2).sum(-1).argmin(1) for k in
            range(0, len(flipped), 500)]  # fmt: skip
  return np.concatenate(blocks)


def closest(corner, place):
  """Finds the place of a triangle [3, 3] nearest to another: squared distance, shares [3]."""
  along = corner[1:] - corner[:1]
  uv = np.linalg.lstsq(along.T, place - corner[0], rcond=None)[0]
  shares = np.maximum([1 - uv.sum(), *uv], 0)
  shares /= shares.sum()
  return ((shares @ corner - place) ** 2).sum(), shares
