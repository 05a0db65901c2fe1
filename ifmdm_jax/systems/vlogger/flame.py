"""FLAME's expressions in face units: what somebody else's tracker or generator made, played here.

FLAME (Li et al. 2017) says what a face does in numbers of a PCA and the turn of a jaw, without
names. `match` lays its mean face on the body's, `read` turns its numbers into moved points of the
face mesh, and finds for every frame those face units of the body, from 0 to 1, that move them so.
Its file is had by those who signed its licence; `importers.flame` reads it.
"""

import pathlib
from typing import NamedTuple

import numpy as np
import scipy.spatial

from ifmdm_jax import files, track
from ifmdm_jax.errors import InputError
from ifmdm_jax.face import points
from ifmdm_jax.systems.vlogger import body, skeleton

FLIPPED = np.diag([1.0, -1.0, -1.0])  # FLAME's y is up, its z towards the viewer
JAW, EYES = 2, (3, 4)  # its joints: jaw; left and right eye
ROUNDS, NEAR = 15, 4  # of laying one face on the other; vertices whose triangles are looked at
FACING = 0.5  # least cosine between normals of points that may be one
IDENTITY = 0.05  # decimetres that points miss by, before identity is asked for a standard deviation
MISSES = 0.08  # decimetres on average, above which it is no face like ours
SWEEPS, RIDGE = 60, 1e-3
WEIGHTS = ((points.LIPS, 2.0), (points.LIPS_INNER, 4.0), (points.EYES, 3.0))  # later ones overwrite
# Names under which trackers keep them, in an npz: [T, ...].
NAMES = {
  'expression': ('expression', 'expr', 'exp', 'expression_params', 'expcode'),
  'jaw': ('jaw_pose', 'jaw', 'jaw_params'),
  'head': ('global_orient', 'global_pose', 'rotation', 'head_pose', 'pose_params'),
  'neck': ('neck_pose', 'neck'),
  'eyes': ('eyes_pose', 'eye_pose'),
  'eyelids': ('eyelids', 'eyelid_params'),  # left, right
}
WIDTHS = {'jaw': 3, 'head': 3, 'neck': 3, 'eyes': 6, 'eyelids': 2}


class Flame(NamedTuple):
  """FLAME's mean face at the 468 points of the mesh, on the body, before the camera.

  Attributes:
    points: float32 [468, 3], decimetres.
    expression: [E, 468, 3], what each number of its PCA does at 1.
    carried: [468], how much of a point the jaw carries.
    jaw: [3], where the jaw turns.
  """

  points: np.ndarray
  expression: np.ndarray
  carried: np.ndarray
  jaw: np.ndarray


def match(vertices, triangles, expression, carried, joints):
  """Lays the mean face of FLAME on the body's and reads it at the points of the face mesh.

  Args:
    vertices: [V, 3], its template.
    triangles: int [F, 3].
    expression: [E, V, 3].
    carried: [V, J], how much of a vertex each joint carries.
    joints: [J, 3] of the template.

  Returns:
    `Flame`, and by how much points miss on average, decimetres.

  Raises:
    InputError: the face cannot be laid on ours.
  """
  model = body.load()
  ours = body.at_points(model)
  mean, basis = ours.template[: points.POINTS], ours.identity[:, : points.POINTS]
  normals = _normals(model.template, model.triangles)[model.corners[: points.POINTS]].mean(1)
  eyeballs = carried[:, EYES].sum(1) > 0.5
  triangles = triangles[~eyeballs[triangles].any(1)]
  vertices, joints = vertices @ FLIPPED, joints @ FLIPPED

  eyes = model.joints[[skeleton.NUMBER['eyeLeft'], skeleton.NUMBER['eyeRight']]]
  theirs = joints[list(EYES)]
  if not theirs[0, 0] > theirs[1, 0]:
    raise InputError('expected a face with its left eye at its left, got none: is it FLAME?')
  scale = np.linalg.norm(eyes[0] - eyes[1]) / np.linalg.norm(theirs[0] - theirs[1])
  turn, shift = np.eye(3), eyes.mean(0) - scale * theirs.mean(0)
  target, missed = mean, np.inf
  for _ in range(ROUNDS):
    placed = scale * vertices @ turn.T + shift
    corners, shares, found = _nearest(target, normals, placed, triangles)
    apart = np.linalg.norm(found - target, axis=1)
    good = apart <= 3 * np.median(apart)
    missed = float(apart.mean())
    here = np.einsum('pk,pkc->pc', shares, vertices[corners])
    scale, turn, shift = _similarity(here[good], target[good])
    wanted = (scale * here @ turn.T + shift - mean)[good].reshape(-1)
    rows = basis[:, good].reshape(len(basis), -1) / IDENTITY
    gram = rows @ rows.T + np.eye(len(rows))
    target = mean + np.tensordot(np.linalg.solve(gram, rows @ wanted / IDENTITY), basis, 1)
  if not missed < MISSES:
    raise InputError(
      f'expected a face, points of this one miss ours by {100 * missed:.0f} mm: is it FLAME?'
    )
  on = lambda array: np.einsum('pk,...pkc->...pc', shares, array[..., corners, :])
  return Flame(
    points=np.float32(scale * on(vertices) @ turn.T + shift),
    expression=np.float32(scale * on(expression @ FLIPPED) @ turn.T),
    carried=np.float32(np.einsum('pk,pk->p', shares, carried[:, JAW][corners])),
    jaw=np.float32(scale * turn @ joints[JAW] + shift),
  ), missed


def load(folder):
  """Reads the `Flame` that `import_weights --kind flame` wrote.

  Raises:
    InputError: the folder holds none.
  """
  arrays = files.read_arrays(pathlib.Path(folder) / files.IMPORTED)
  count = len(arrays.get('expression', ()))
  shapes = dict(
    points=(points.POINTS, 3), expression=(count, points.POINTS, 3), carried=(points.POINTS,),
    jaw=(3,),
  )  # fmt: skip
  if not count or {name: array.shape for name, array in arrays.items()} != shapes:
    raise InputError(f'expected FLAME as import_weights --kind flame writes it in {folder}')
  return Flame(**arrays)


def moved(flame, expression, jaw):
  """Moves the points: expression [T, E'], E' at most E, jaw [T, 3] -> offsets [T, 468, 3]."""
  rest = flame.points + np.tensordot(expression, flame.expression[: expression.shape[1]], 1)
  turned = np.einsum('tij,tpj->tpi', turns(jaw), rest - flame.jaw) + flame.jaw
  return rest + flame.carried[:, None] * (turned - rest) - flame.points


def units(offsets):
  """Finds the face units, float32 [T, 51], that move the points of the mesh by [T, 468, 3]."""
  weight = np.ones(points.POINTS)
  for which, value in WEIGHTS:
    weight[np.asarray(which)[np.asarray(which) < points.POINTS]] = value
  shapes = body.at_points(body.load()).units[: len(track.UNITS), : points.POINTS]
  # How eyes look has no shape of skin of its own: it comes with the eyes, see `read`.
  acts = np.array([not name.startswith('eyeLook') for name in track.UNITS])
  rows = (shapes[acts] * np.sqrt(weight)[:, None]).reshape(acts.sum(), -1)
  aims = (offsets * np.sqrt(weight)[:, None]).reshape(len(offsets), -1) @ rows.T
  gram = rows @ rows.T
  gram += RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
  found = np.zeros((len(offsets), len(track.UNITS)), np.float32)
  found[:, acts] = bounded(gram, aims)
  return found


def bounded(gram, aims):
  """Minimises u gram u / 2 - aims u for u from 0 to 1, one coordinate after the other.

  Args:
    gram: [U, U], positive definite.
    aims: [T, U].

  Returns:
    [T, U].
  """
  u = np.zeros_like(aims)
  for _ in range(SWEEPS):
    for j, own in enumerate(np.diag(gram)):
      u[:, j] = np.clip(u[:, j] + (aims[:, j] - u @ gram[:, j]) / own, 0, 1)
  return u


def read(flame, path, fps=None):
  """Reads a `track.Track` of FLAME's numbers over time.

  Args:
    flame: `Flame`.
    path: an npz with arrays of NAMES, [T, ...] each, and `fps`.
    fps: moments a second; None: as the file says.

  Raises:
    InputError: it has no expression, or arrays do not fit each other.
  """
  arrays = {name: each for name, each in files.read_npz(path).items() if each.dtype.kind in 'fiu'}
  found = {
    kind: np.asarray(arrays[name], np.float64)
    for kind, names in NAMES.items()
    for name in [next((name for name in names if name in arrays), None)]
    if name is not None
  }
  _check(found, flame, path)
  rate = fps if fps is not None else arrays.get('fps')
  if rate is None or np.size(rate) != 1:
    raise InputError(f'expected `fps` in {path}, found none: pass --drive_fps')
  when = track.moments(len(found['expression']), float(np.ravel(rate)[0]), path)
  found = {kind: track.resampled(each, when) for kind, each in found.items()}
  count = len(found['expression'])
  zeros = lambda kind: found.get(kind, np.zeros((count, WIDTHS[kind])))
  acts = units(moved(flame, found['expression'], zeros('jaw')))
  for column, side in enumerate(('Left', 'Right')):
    blink = track.UNITS.index(f'eyeBlink{side}')
    acts[:, blink] = np.maximum(acts[:, blink], np.clip(zeros('eyelids')[:, column], 0, 1))
  ahead = turns(zeros('eyes').reshape(-1, 3)).reshape(count, 2, 3, 3)[..., 2].mean(1)  # of z
  gaze = np.stack([np.arcsin(np.clip(ahead[:, 1], -1, 1)),
                   np.arctan2(-ahead[:, 0], ahead[:, 2])], axis=-1)  # fmt: skip
  return track.Track(acts, turns(zeros('head')) @ turns(zeros('neck')), gaze)


def turns(vectors):
  """Makes rotations before the camera of FLAME's turns, axis times angle: [N, 3] -> [N, 3, 3]."""
  rotations = scipy.spatial.transform.Rotation.from_rotvec(np.asarray(vectors, np.float64))
  return FLIPPED @ rotations.as_matrix() @ FLIPPED


def _check(found, flame, path):
  if 'expression' not in found:
    raise InputError(
      f'expected one of {", ".join(NAMES["expression"])} in {path}, found none: export those'
    )
  shapes = {kind: each.shape for kind, each in found.items()}
  count = len(found['expression'])
  most = len(flame.expression)
  for kind, shape in shapes.items():
    width = WIDTHS.get(kind, shape[-1] if shape else 0)
    if len(shape) != 2 or shape != (count, width) or not count or not 1 <= width <= max(most, 6):
      wanted = f'[{count}, {WIDTHS.get(kind, f"1 to {most}")}]'
      raise InputError(f'expected {kind} {wanted} in {path}, got {list(shape)}: export it anew')
    if not np.isfinite(found[kind]).all():
      raise InputError(f'expected finite numbers as {kind} in {path}: export it anew')


def _similarity(start, end):
  """Scale, turn and shift that bring points [P, 3] nearest to others (Umeyama 1991)."""
  x, y = start - start.mean(0), end - end.mean(0)
  u, size, v = np.linalg.svd(y.T @ x)
  sign = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ v))])
  turn = u @ sign @ v
  scale = (size * np.diag(sign)).sum() / (x * x).sum()
  return scale, turn, end.mean(0) - scale * turn @ start.mean(0)


def _normals(vertices, triangles):
  """Normals of vertices, outwards where triangles run counterclockwise: [V, 3]."""
  a, b, c = (vertices[triangles[:, k]] for k in range(3))
  normal = np.cross(b - a, c - a)
  total = np.zeros_like(vertices)
  for k in range(3):
    np.add.at(total, triangles[:, k], normal)
  return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)


def _nearest(places, normals, vertices, triangles):
  """Finds the nearest places on a surface that faces the same way.

  Returns:
    Corners int [P, 3], their shares [P, 3], the places [P, 3].
  """
  own = _normals(vertices, triangles)
  used = np.unique(triangles)
  around = [[] for _ in range(len(vertices))]
  for number, corners in enumerate(triangles):
    for corner in corners:
      around[corner].append(number)
  tree = scipy.spatial.cKDTree(vertices[used])
  corners = np.zeros((len(places), 3), int)
  shares = np.zeros((len(places), 3))
  for p, (place, normal) in enumerate(zip(places, normals)):
    near = used[tree.query(place, k=8 * NEAR)[1]]
    alike = near[own[near] @ normal > FACING]
    near = (alike if len(alike) else near)[:NEAR]  # none of them faces that way: the nearest
    choice = np.array(sorted({t for v in near for t in around[v]}))
    at = vertices[triangles[choice]]
    found = _on_triangles(place, at)
    best = np.linalg.norm(np.einsum('tk,tkc->tc', found, at) - place, axis=1).argmin()
    corners[p], shares[p] = triangles[choice[best]], found[best]
  return corners, shares, np.einsum('pk,pkc->pc', shares, vertices[corners])


def _on_triangles(place, corners):
  """Shares [N, 3] of the corners [N, 3, 3] of triangles at the place nearest to a point."""
  best, least = None, None
  a, edges = corners[:, 0], corners[:, 1:] - corners[:, :1]
  gram = edges @ edges.transpose(0, 2, 1)
  within = np.linalg.solve(gram + 1e-12 * np.eye(2), (edges @ (place - a)[:, :, None]))[..., 0]
  inside = np.concatenate([1 - within.sum(1, keepdims=True), within], axis=1)
  candidates = [inside]
  for i, j in ((0, 1), (1, 2), (2, 0)):
    along = corners[:, j] - corners[:, i]
    share = ((place - corners[:, i]) * along).sum(1) / np.maximum((along**2).sum(1), 1e-12)
    share = np.clip(share, 0, 1)
    edge = np.zeros_like(inside)
    edge[:, i], edge[:, j] = 1 - share, share
    candidates.append(edge)
  for each in candidates:
    apart = np.linalg.norm(np.einsum('tk,tkc->tc', each, corners) - place, axis=1)
    apart = np.where((each < -1e-9).any(1), np.inf, apart)
    if best is None:
      best, least = each.copy(), apart
    else:
      better = apart < least
      best[better], least = each[better], np.where(better, apart, least)
  return best
