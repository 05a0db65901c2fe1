"""What a renderer makes of portraits that turn, nod, talk, smile, blink and look aside, on a sheet.

  python experiments/gallery/run.py --portraits PORTRAITS --output out/gallery.png
  python experiments/gallery/run.py --portraits PORTRAITS --output out/before.png --checkout OLD

PORTRAITS: a folder of pictures, one face each. A row each: portrait, turned by 20 degrees to the
left, to the right, by 15 degrees up, down, mouth open, smile, blink, irises moved by 0.12 of the
eye's width. Landmarks are turned rigidly in space, with the depth of a mean face; the mouth is
opened by 0.07 of the height of the face.
Beside the sheet lie gallery_marks.png, the same with mirrored pixels red, what is drawn twice blue
and what is exposed yellow; gallery.csv, a row for each portrait and pose; and gallery.md, a row for
each portrait: folds are the mean of the four turns, double_share and edge_exposed the worst of all
poses. Columns:

  face_folds     share of the pixels of the face that are mirrored, or that show what is drawn
                 elsewhere too
  outer_folds    the same around the face, in its box times 1.3, where there is person
  mirrored       pixels of both that are mirrored, of 512 x 512
  double_share   share of the portrait's pixels that are drawn twice, where there is person
  edge_exposed   share of the frame's pixels that look beyond an edge that cuts the person
  interior_void  share of an open mouth that is neither teeth nor tongue nor dark
  eye_covered    share of an eye's pixels that the blink hides, of the eye of which it hides less
  lid_closure    of the blink, as a network sees it; 1 is shut
  iris_round     shorter over longer axis of what a circle becomes in the less round iris that looks
                 aside; of the other poses in gallery.csv

What they mean: docs/evaluation.md. --checkout draws with another version of this package, a folder
(git worktree add OLD COMMIT), and measures as today. --keep DIR keeps what was drawn, 60 MB for
each portrait, to look at folds one by one. About 10 s for a portrait on two idle cores.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

import cv2
import numpy as np
from absl import flags
from poses import POSES, TURNS, box  # beside this file
from tqdm import tqdm

import ifmdm_jax as ifm
from ifmdm_jax import errors, files
from ifmdm_jax.evaluation import eyes, mouths, warps
from ifmdm_jax.evaluation.types import Absent
from ifmdm_jax.face.units import FaceUnits

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
_PORTRAITS = flags.DEFINE_string(
  'portraits', str(ROOT / 'data/fixtures'), 'Folder of pictures.', **errors.SHARED
)
_OUTPUT = flags.DEFINE_string('output', 'gallery.png', 'The sheet, *.png.', **errors.SHARED)
_CHECKOUT = flags.DEFINE_string(
  'checkout', str(ROOT), 'Folder of the version that draws.', **errors.SHARED
)
_TILE = flags.DEFINE_integer('tile', 256, 'Side of one picture, pixels.', **errors.SHARED)
_KEEP = flags.DEFINE_string('keep', None, 'Folder for drawn arrays, kept.', **errors.SHARED)
KINDS = {'.jpg', '.jpeg', '.png', '.webp'}
COLUMNS = {
  'face_folds': 4, 'outer_folds': 4, 'mirrored': 0, 'double_share': 4, 'edge_exposed': 4,
  'interior_void': 2, 'eye_covered': 2, 'lid_closure': 2, 'iris_round': 2,
}  # fmt: skip
FACE = slice(1, None)  # layers; the first is what is around it
RED, BLUE, YELLOW = (255, 0, 0), (0, 0, 255), (255, 255, 0)


def squares(folder, into):
  """Cuts the squares around the faces of a folder's pictures, PNG."""
  if not folder.is_dir():
    raise errors.InputError(f'expected a folder of portraits, {folder} is none: check the path')
  paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in KINDS)
  if not paths:
    raise errors.InputError(f'expected pictures in {folder}, found none: JPEG, PNG or WebP')
  for path in paths:
    cv2.imwrite(str(into / f'{path.stem}.png'), ifm.read_portrait(path)[..., ::-1])
  return [path.stem for path in paths]


def drawn(checkout, folder):
  """Yields the names of squares of a folder as `draw.py` has drawn them, with a checkout."""
  if not (checkout / 'ifmdm_jax').is_dir():
    raise errors.InputError(f'expected a checkout of this package, {checkout} is none')
  command = [sys.executable, str(HERE / 'draw.py'), str(folder)]
  environment = {**os.environ, 'PYTHONPATH': str(checkout.resolve())}
  with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as child:
    try:
      for line in child.stdout:
        if line.startswith('drawn '):
          yield line.split(maxsplit=1)[1].strip()
    finally:
      if child.poll() is None:
        child.terminate()
  if child.returncode:
    raise errors.InputError(
      f'draw.py of {checkout} ended with status {child.returncode}: see above'
    )


def layers_of(drawing, k):
  """Lists the `Layer`s of pose k; what had one layer is cut in two along the landmarks' hull."""
  grids, shown, own = drawing['grids'][k], drawing['shown'][k], drawing['own']
  if len(grids) == 1:
    side = grids.shape[1]
    hull = cv2.convexHull(np.round(drawing['landmarks'][k] * side).astype(np.int32))
    face = cv2.fillConvexPoly(np.zeros((side, side), np.uint8), hull, 1) > 0
    grids, own, shown = np.repeat(grids, 2, 0), np.repeat(own, 2, 0), np.stack([~face, face])
  return [warps.Layer(*each) for each in zip(grids, shown, own)]


def figures(drawing, k, reader, seen):
  """Measures pose k of a drawn portrait, whose 478 points are seen, fractions of its side.

  Returns:
    {name of COLUMNS: number, or Absent}, and the picture with what is wrong marked.
  """
  name, picture = list(POSES)[k], drawing['pictures'][k]
  side = len(picture)
  layers, landmarks = layers_of(drawing, k), drawing['landmarks'][k]
  shares = [drawing['shares'][min(i, len(drawing['shares']) - 1)] for i in range(len(layers))]
  above = shares[0].shape[0] - side
  around = box(landmarks, side)
  person = around & (warps.found(shares[0], layers[0].grid, above) > 0.05)
  twice, _ = warps.doubled(layers, side)
  row = {
    'face_folds': warps.fold_share(layers[FACE], around, twice),
    'outer_folds': warps.fold_share(layers[:1], person, twice),
    'mirrored': sum(
      (warps.mirrored(layer.grid) & layer.shown & within).sum()
      for layer, within in zip(layers, [person, around, around])
    ),
    'double_share': warps.double_share(layers, side, shares[-1][above:] > 0.5),
    'edge_exposed': warps.edge_exposed(layers, shares, above),
  }
  marked = picture.copy()
  marked[warps.exposed(layers, shares, above)] = YELLOW
  for layer in layers:
    marked[warps.shows(layer, twice) & layer.shown] = BLUE
    marked[warps.mirrored(layer.grid) & layer.shown] = RED
  if name == 'open':
    row['interior_void'] = mouths.interior_void(picture, landmarks * side)
  known = np.isfinite(seen).all()
  if known and name != 'blink':
    row['iris_round'] = eyes.roundness(layers, seen)
  if name == 'blink':
    rest = layers_of(drawing, list(POSES).index('rest'))
    if known:
      row['eye_covered'] = eyes.covered(rest, layers, seen)
    row['lid_closure'] = eyes.drawn_closure(reader, drawing['pictures'][0], picture)
  return row, marked


def summary(name, poses):
  """Sums up the poses of a portrait, {pose: figures}: a row of the table."""
  mean = lambda column, of: float(np.mean([poses[pose][column] for pose in of]))
  return {
    'portrait': name,
    **{column: mean(column, TURNS) for column in ('face_folds', 'outer_folds', 'mirrored')},
    **{
      column: max(each[column] for each in poses.values())
      for column in ('double_share', 'edge_exposed')
    },
    'interior_void': poses['open']['interior_void'],
    'eye_covered': poses['blink'].get('eye_covered', Absent('no face was found')),
    'lid_closure': poses['blink']['lid_closure'],
    'iris_round': poses['aside'].get('iris_round', Absent('no face was found')),
  }


def text_of(column, value):
  absent = value is None or isinstance(value, Absent)
  return '' if absent else f'{value:.{COLUMNS[column]}f}'


def table(rows):
  """Writes rows as Markdown, the mean of all below."""
  mean = {'portrait': '**mean**'}
  for column in COLUMNS:
    known = [row[column] for row in rows if not isinstance(row[column], Absent)]
    mean[column] = float(np.mean(known)) if known else None
  lines = ['| ' + ' | '.join(rows[0]) + ' |', '| ' + ' | '.join(['---'] * len(rows[0])) + ' |']
  for row in [*rows, mean]:
    cells = [row['portrait'], *(text_of(column, row[column]) for column in COLUMNS)]
    lines.append('| ' + ' | '.join(cells) + ' |')
  return '\n'.join(lines) + '\n'


def strip(pictures, side):
  """Puts the pictures of one portrait, uint8 [P, R, R, 3], side by side."""
  small = [cv2.resize(each, (side, side), interpolation=cv2.INTER_AREA) for each in pictures]
  return np.concatenate(small, axis=1)


def main(_):
  output = pathlib.Path(_OUTPUT.value)
  if output.suffix != '.png' or _TILE.value < 16:
    raise errors.InputError('expected --output *.png and --tile of at least 16 pixels')
  with tempfile.TemporaryDirectory() as temporary:
    folder = pathlib.Path(_KEEP.value or temporary)
    folder.mkdir(parents=True, exist_ok=True)
    names = squares(pathlib.Path(_PORTRAITS.value), folder)
    reader, strips, rows, every = FaceUnits(), {}, {}, []
    with tqdm(total=len(names) * len(POSES), unit='pose', disable=None) as progress:
      for name in drawn(pathlib.Path(_CHECKOUT.value), folder):
        with np.load(folder / f'{name}.npz') as file:
          drawing = dict(file)
        poses, marks = {}, []
        seen = reader.track([drawing['pictures'][0]])[0][0] / drawing['pictures'].shape[1]
        for k, pose in enumerate(POSES):
          poses[pose], marked = figures(drawing, k, reader, seen)
          marks.append(marked)
          progress.update()
        strips[name] = strip(drawing['pictures'], _TILE.value), strip(marks, _TILE.value)
        rows[name] = summary(name, poses)
        every += [
          dict(portrait=name, pose=pose)
          | {column: text_of(column, found.get(column)) for column in COLUMNS}
          for pose, found in poses.items()
        ]
        if not _KEEP.value:
          (folder / f'{name}.npz').unlink()
  rows = [rows[name] for name in names]
  marks = output.with_name(f'{output.stem}_marks.png')
  for k, path in enumerate((output, marks)):
    with files.atomic(path) as half:
      cv2.imwrite(str(half), np.concatenate([strips[name][k] for name in names])[..., ::-1])
  with files.atomic(output.with_suffix('.csv')) as half:
    files.add_rows(half, every)
  files.write_text(output.with_suffix('.md'), table(rows))
  print(table(rows), end='')


if __name__ == '__main__':
  errors.run(main)
