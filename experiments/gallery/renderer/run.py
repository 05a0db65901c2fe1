"""Turns the heads of portraits, opens mouths, closes lids; counts where the picture folds.

A pixel is folded where the look-up has a negative determinant: there a piece of the portrait is
seen mirrored. Counted at 512 x 512 in each layer where it is shown, in the box of the face times
1.3, where there is person. The landmarks are turned in space, rigidly, with the depth of a mean
face. To measure an older version put its checkout first on PYTHONPATH.
"""

import json
import pathlib

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

import ifmdm_jax as ifm
from ifmdm_jax.face import points
from ifmdm_jax.face.crop import cut
from ifmdm_jax.nn import winograd
from ifmdm_jax.read import find_square
from ifmdm_jax.systems.ifmdm.autoencoder.lite import composite, model
from ifmdm_jax.video.image import read_image

PORTRAITS = flags.DEFINE_list('portraits', None, 'Pictures with one face each.', required=True)
OUT = flags.DEFINE_string('out', None, 'Folder for strips and counts.json.', required=True)

MEAN = np.load(pathlib.Path(__file__).parents[3] / 'ifmdm_jax/weights/face_surface.npz')['mean']
# yaw, pitch in degrees; opening in heights of the face; blink, gaze to the right
POSES = {
  'rest': (0, 0, 0, 0, 0), 'yaw 10': (10, 0, 0, 0, 0), 'yaw -10': (-10, 0, 0, 0, 0),
  'yaw 20': (20, 0, 0, 0, 0), 'yaw -20': (-20, 0, 0, 0, 0), 'pitch 10': (0, 10, 0, 0, 0),
  'pitch -10': (0, -10, 0, 0, 0), 'open': (0, 0, 0.07, 0, 0), 'blink': (0, 0, 0, 1, 0),
  'gaze': (0, 0, 0, 0, 0.15),
}  # fmt: skip
LAYERED = 'cover' in model.network.Drawing._fields  # 0.7 and before had one layer, and no gestures


def depth_of(landmarks):
  """Fits a mean face to landmarks [468, 2]: their depth [468], the unit of x."""
  height = np.linalg.norm(landmarks[points.FOREHEAD] - landmarks[points.CHIN_TIP])
  rigid = MEAN[points.RIGID] - MEAN[points.RIGID].mean(0)
  seen = landmarks[points.RIGID] - landmarks[points.RIGID].mean(0)
  moment = rigid.T @ rigid
  ridge = 0.02 * np.trace(moment) / 3 * np.eye(3)
  turn = np.linalg.solve(moment + ridge, rigid.T @ seen + height * ridge[:, :2]).T
  size = np.linalg.norm(turn, axis=1).mean()
  return (MEAN - MEAN[points.RIGID].mean(0)) @ np.cross(*turn) / size


def posed(landmarks, yaw, pitch, opening):
  """Turns landmarks [468, 2] about a pivot behind the chin, and opens the mouth."""
  height = np.linalg.norm(landmarks[points.FOREHEAD] - landmarks[points.CHIN_TIP])
  whole = np.concatenate([landmarks, depth_of(landmarks)[:, None]], 1)
  pivot = whole[[points.LEFT_CHEEK, points.RIGHT_CHEEK]].mean(0) + height * np.array([0, 0.15, 0.1])
  (c, d), (s, t) = np.cos(np.radians([yaw, pitch])), np.sin(np.radians([yaw, pitch]))
  turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]) @ [[1, 0, 0], [0, d, -t], [0, t, d]]
  whole = (whole - pivot) @ turn.T + pivot
  down = (landmarks[points.CHIN_TIP] - landmarks[points.FOREHEAD]) / height
  middle = landmarks[[points.UPPER_MIDDLE, points.LOWER_MIDDLE]].mean(0)
  below = (landmarks - middle) @ down / height
  beside = np.abs((landmarks - middle) @ [down[1], -down[0]]) / height
  share = np.clip(below / 0.12, 0, 1) * np.clip(1.3 - beside / 0.28, 0, 1)
  x = np.linspace(-1, 1, 11)[1:-1]
  share[points.LOWER_LIP_INNER[1:-1]] = 1 - x**2
  share[points.LOWER_LIP_OUTER[1:-1]] = 0.5 * (1 - x**2) + 0.5 * (1 - np.abs(x) ** 3)
  return whole[:, :2] + (share * opening * height)[:, None] * down


def folded(grid, shown, landmarks, person):
  """Counts folded pixels of a layer: grid [h, h, 2], shown [h, h], person [R, R]."""
  side = person.shape[0]
  large = composite.upsample_grid(grid[None], side)[0]
  across, down = large[:-1, 1:] - large[:-1, :-1], large[1:, :-1] - large[:-1, :-1]
  turned = across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0] < 0
  shown = composite.upsample(shown[None, ..., None].astype(jnp.float32), side)[0, :-1, :-1, 0]
  low, high = landmarks.min(0), landmarks.max(0)
  low, high = low - 0.15 * (high - low), high + 0.15 * (high - low)
  place = composite.identity_grid(side)[:-1, :-1]
  inside = ((place > low) & (place < high)).all(-1) & (person[:-1, :-1] > 0.05)
  return (turned & inside & (shown > 0.99)).sum()


def make_draw(config):
  """Returns a compiled function: (params, portrait, code, moved, gestures) -> picture, folds."""

  def draw(params, portrait, code, moved, gestures):
    extra = (gestures,) if LAYERED else ()
    with winograd.in_place_of_convolutions():
      drawing = model.apply(params, config, 'draw', portrait.appearance, code, moved, *extra)
    picture, _ = model.render(portrait.layers, portrait.inside, drawing)
    landmarks = portrait.appearance.points[0] + moved[0]
    person = composite.sample(
      portrait.layers.person, composite.upsample_grid(drawing.grid, picture.shape[1])
    )[0, ..., 3]
    if LAYERED:
      face = drawing.cover[0, ..., 0] > 0.5
      lids = drawing.cover[0, ..., 1] > 0.5
      layers = (drawing.around[0], ~face), (drawing.face[0], face & ~lids), (drawing.lids[0], lids)
    else:
      layers = ((drawing.grid[0], jnp.ones(drawing.grid.shape[1:3])),)
    folds = jnp.stack([folded(*layer, landmarks, person) for layer in layers])
    picture = jnp.clip(jnp.round(127.5 * (picture[0] + 1.0)), 0.0, 255.0).astype(jnp.uint8)
    return picture, folds

  return jax.jit(draw)


def main(_):
  out = pathlib.Path(OUT.value)
  out.mkdir(parents=True, exist_ok=True)
  sampler = ifm.load()
  params, config = sampler.renderer.params, sampler.renderer.stage.config
  encode = jax.jit(lambda params, image: model.portrait(params, image, config))
  draw, counts = make_draw(config), {}
  for path in map(pathlib.Path, PORTRAITS.value):
    picture = read_image(path)
    square = cv2.resize(
      cut(picture, find_square(picture)), (512, 512), interpolation=cv2.INTER_AREA
    )
    portrait = encode(params, square)
    landmarks = np.asarray(portrait.appearance.points)[0]
    tiles, counts[path.stem] = [], {}
    for name, (yaw, pitch, opening, blink, gaze) in POSES.items():
      moved = posed(landmarks, yaw, pitch, opening) - landmarks if yaw or pitch or opening else 0.0
      moved = jnp.zeros((1, 468, 2)) + moved
      code = jnp.full((1, 20), 3.0 * (name != 'rest'))  # awake; the networks' part is left small
      tile, folds = draw(params, portrait, code, moved, jnp.array([[blink, blink, gaze, 0.0]]))
      tiles.append(np.asarray(tile))
      counts[path.stem][name] = np.asarray(folds).tolist()
    rest = np.abs(tiles[0].astype(int) - square).max()
    print(path.stem, f'rest {rest}', counts[path.stem], flush=True)
    rows = np.concatenate([np.concatenate(tiles[i : i + 5], 1) for i in (0, 5)])
    cv2.imwrite(str(out / f'{path.stem}.png'), rows[..., ::-1])
  (out / 'counts.json').write_text(json.dumps(counts, indent=1))
  for name in POSES:
    all_layers = [sum(each[name]) for each in counts.values()]
    print(f'{name:10} mean {np.mean(all_layers):7.0f} median {np.median(all_layers):6.0f}')


if __name__ == '__main__':
  app.run(main)
