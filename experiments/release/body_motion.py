"""Fits how hair, neck and shoulders move with a head, `geometry.body_motion` of `lite`.

  PYTHONPATH=. python experiments/release/body_motion.py --cache runs/cache \
      --autoencoder runs/autoencoder --output runs/with_body.safetensors
  mv runs/autoencoder runs/autoencoder_1      # the next piece is a run of its own
  python experiments/release/train.py --stage autoencoder --minutes 9 -- \
      --init_from runs/with_body.safetensors

Each clip of split `train` is drawn from one of its frames; dense optical flow (OpenCV's DIS) finds
what the drawing still missed. Laid out as seen from the head, over all clips and their mirror
images, this is explained cell by cell by what the head did (`geometry.pose_change`): a ridge
regression whose sums are shared with the cells around. The answer is added to what the weights say
already, so that a second round starts from a better drawing. Writes all weights, half precision.

The strength of the ridge is chosen on a quarter of the people, who are held out; then all are used.
Prints the share of the squared flow that is left: people fitted to, people held out, all.
"""

import pathlib

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import scipy.ndimage
from absl import flags
from tqdm import tqdm

from ifmdm_jax import errors, files
from ifmdm_jax.configs import autoencoder as configs
from ifmdm_jax.face import matte
from ifmdm_jax.pipeline import records
from ifmdm_jax.systems.ifmdm.autoencoder.lite import composite, geometry, model
from ifmdm_jax.training import checkpoints
from ifmdm_jax.training import weights as saved

_CACHE = flags.DEFINE_string('cache', 'runs/cache', 'Of ready clips, 256 px.', **errors.SHARED)
_AUTOENCODER = flags.DEFINE_string(
  'autoencoder', 'runs/autoencoder', 'A run of stage 1, or file.safetensors.', **errors.SHARED
)
_LICENCE = flags.DEFINE_string('licence', '', 'Pattern that has to be found.', **errors.SHARED)
_ROUNDS = flags.DEFINE_integer('rounds', 1, 'Fits on top of each other.', **errors.SHARED)
_OUTPUT = flags.DEFINE_string('output', None, 'File.safetensors.', required=True, **errors.SHARED)

CELLS, CORNER, LENGTH = geometry.BODY
FRAMES, SOURCES = 8, 2  # per clip and source, per clip
SHARED = 1.0  # reach of the sums, cells
RIDGES = 0.003, 0.01, 0.03, 0.1, 0.3, 1.0  # of the mean square of the pose
FAR, WRONG = 0.3, 25.0  # heights of the face; grey levels: flow that is not believed
MIRRORED = np.array([-1, 1, 1, -1, -1, 1])  # shift, scale, roll, nose


def weights(path):
  """Parameters of a run, or of a file that `ifmdm_jax.bundle` or this script wrote."""
  path = pathlib.Path(path)
  params = files.read_arrays(path) if path.is_file() else checkpoints.load(path)[1]
  return jax.tree.map(jnp.asarray, params)


@jax.jit
def drawn(params, source, start, frames, ends):
  """A clip's frames from one of them: warped source, matte, pose, where the head sees each pixel.

  source uint8 [R, R, 3], start [468, 2], frames [T, R, R, 3], ends [T, 468, 2].
  """
  config = configs.get_config('lite').model
  count, side = frames.shape[:2]
  pixels = model.as_float(source)[None]
  code = model.code_of(params, ends) - model.code_of(params, start)[None]
  _, appearance = model.take_apart(params, pixels, start[None], config)
  appearance = jax.tree.map(lambda x: jnp.repeat(x, count, 0), appearance)
  moved = model.moves(params, code)
  drawing = model.apply(params, config, 'draw', appearance, code, moved)
  grid = composite.upsample_grid(drawing.grid, side)
  warped = composite.sample(jnp.repeat(pixels, count, 0), grid)
  starts = jnp.repeat(start[None], count, 0)
  ends = starts + moved
  return (
    jnp.clip(jnp.round(127.5 * (warped + 1.0)), 0, 255).astype(jnp.uint8),
    matte.find(params['person'], frames / 255.0)[..., 0],
    geometry.pose_change(starts, ends),
    geometry.seen_from_head(ends, side),
    geometry.head_axes(ends),
  )


def missed(warped, frame, matte, places, axes):
  """Flow that a drawing missed, per cell: weight [cells, cells], mean [cells, cells, 2]."""
  side = len(frame)
  finder = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
  grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (frame, warped)]
  flow = finder.calc(*grey, None)  # frame(p) = warped(p + flow)
  y, x = np.mgrid[:side, :side].astype(np.float32)
  found = cv2.remap(warped, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR)
  wrong = np.abs(found.astype(np.float32) - frame).mean(-1)
  flow = flow / side @ axes.T
  weight = matte * (wrong < WRONG) * (np.abs(flow).max(-1) < FAR) * np.square(axes).sum() / 2
  cell = np.rint((places - CORNER) * ((CELLS - 1) / LENGTH)).astype(int)
  inside = ((cell >= 0) & (cell < CELLS)).all(-1)
  index = (cell @ [1, CELLS])[inside]  # x, then y
  total = lambda values: np.bincount(index, values[inside], CELLS**2).reshape(CELLS, CELLS)
  weights = total(weight)
  sums = np.stack([total(weight * flow[..., axis]) for axis in (0, 1)], axis=-1)
  return weights / side**2, sums / np.maximum(weights, 1e-9)[..., None]


def collect(params, licence):
  """Of pairs of frames: person [N], pose [N, 6], weight [N, c, c], flow [N, c, c, 2]."""
  clips = records.clips(_CACHE.value, 'train', licence=licence, sound=False)
  people = sorted({entry.person for entry in clips.entries})
  rng, rows = np.random.default_rng(0), []
  for clip in tqdm(clips, 'clips', disable=None):
    points = clip.landmarks / np.float32(clip.frames.side)
    for start in rng.integers(len(points), size=SOURCES):
      some = rng.integers(len(points), size=FRAMES)
      frames = np.asarray(clip.frames[some])
      given = np.asarray(clip.frames[start]), points[start], frames, points[some]
      warped, mattes, poses, places, axes = map(np.asarray, drawn(params, *given))
      for k in range(FRAMES):
        rows.append(
          (
            people.index(clip.person),
            poses[k],
            *missed(warped[k], frames[k], mattes[k], places[k], axes[k]),
          )
        )
  return [np.array(column) for column in zip(*rows)]


def fit(ridge, poses, weights, flows):
  """The field [c, c, 6, 2] that explains flows best; nothing at the border."""
  poses = np.concatenate([poses, poses * MIRRORED])
  weights = np.concatenate([weights, weights[:, :, ::-1]])
  flows = np.concatenate([flows, flows[:, :, ::-1] * [-1, 1]])
  scale = poses.std(0)
  poses = poses / scale
  shared = lambda sums: scipy.ndimage.gaussian_filter(sums, SHARED, axes=(0, 1))
  squares = shared(np.einsum('nhw,ni,nj->hwij', weights, poses, poses))
  products = shared(np.einsum('nhw,ni,nhwc->hwic', weights, poses, flows))
  ridge *= np.einsum('hwii->', squares) / CELLS**2 / len(scale)
  field = np.linalg.solve(squares + ridge * np.eye(len(scale)), products)
  inner = np.pad(np.ones((CELLS - 2,) * 2), 1)[..., None, None]
  return (inner * field / scale[:, None]).astype(np.float32)


def left(field, poses, weights, flows):
  """Share of the squared flow that a field leaves."""
  after = flows - np.einsum('nk,hwkc->nhwc', poses, field)
  return (weights[..., None] * after**2).sum() / (weights[..., None] * flows**2).sum()


def main(_):
  params = weights(_AUTOENCODER.value)
  decoder = params['network']['decoder']
  decoder.setdefault('body_motion', jnp.zeros((CELLS, CELLS, 6, 2)))
  for turn in range(_ROUNDS.value):
    who, *data = collect(params, _LICENCE.value)
    held = who % 4 == 0
    most, few = [x[~held] for x in data], [x[held] for x in data]
    tried = {ridge: fit(ridge, *most) for ridge in RIDGES}
    ridge = min(RIDGES, key=lambda ridge: left(tried[ridge], *few))
    everybody = fit(ridge, *data)
    print(
      f'round {turn + 1}: {len(who)} pairs, ridge {ridge}; squared flow left: '
      f'{left(tried[ridge], *most):.3f} of people fitted to, {left(tried[ridge], *few):.3f} of '
      f'others; {left(everybody, *data):.3f} with all'
    )
    decoder['body_motion'] = decoder['body_motion'] + everybody
  saved.write(_OUTPUT.value, params)


if __name__ == '__main__':
  errors.run(main)
