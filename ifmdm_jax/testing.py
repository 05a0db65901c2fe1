"""Finds the goldens and draws their weights and inputs; draws faces and sets for other tests.

Goldens are input/output pairs of the original PyTorch networks on weights that are drawn from their
names, so no weights are stored. Images there are channels-first; `nhwc` brings channels last.
"""

import functools
import importlib.util
import io
import json
import os
import pathlib

import jax
import numpy as np

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]


def goldens():
  """Finds the folder with the golden files, or skips the test and says how to get them.

  `IFMDM_GOLDENS` overrides the default, `<repository>/../shared/goldens`.
  """
  folder = pathlib.Path(os.environ.get('IFMDM_GOLDENS', REPOSITORY.parent / 'shared' / 'goldens'))
  if (folder / 'recipe.py').is_file():
    return folder
  import pytest  # only here: the package itself does not need it

  return pytest.skip(f'no goldens (recipe.py, *.npz) in {folder}: set IFMDM_GOLDENS to them')


@functools.cache
def _recipe_at(folder):
  spec = importlib.util.spec_from_file_location('ifmdm_goldens_recipe', folder / 'recipe.py')
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def recipe():
  """Loads the goldens' `recipe.py` as a module: `image`, `gen_inputs`, `dit_inputs`, `draw`, ..."""
  return _recipe_at(goldens())


def recipe_of(folder):
  """Loads the recipe of a folder of goldens, or, where it has none, that of `goldens`."""
  folder = pathlib.Path(folder)
  return _recipe_at(folder.resolve()) if (folder / 'recipe.py').is_file() else recipe()


def golden(name):
  """Reads all arrays of a file: `golden('units')` those of units.npz."""
  with np.load(goldens() / f'{name}.npz') as file:
    return {key: file[key] for key in file.files}


def golden_unit(name):
  """Reads (inputs, weights, outputs) of one module in units.npz, such as 'resblock'.

  Feature maps come channels-last; a `grid` is already, and weights keep the original's axes.
  """
  parts = {'in': {}, 'w': {}, 'out': {}}
  for key, array in golden('units').items():
    unit, kind, entry = key.split('/', 2)
    if unit != name:
      continue
    if entry.startswith('w/'):
      parts['w'][entry.removeprefix('w/')] = array
    else:
      parts[kind][entry] = nhwc(array) if array.ndim == 4 and entry != 'grid' else array
  return parts['in'], parts['w'], parts['out']


def golden_state(name):
  """Draws {the original's key: float32 array} of a network, such as 'gen_S64', by the recipe."""
  return recipe().load_state(goldens() / 'keys' / f'{name}.json')


def golden_image(name, batch, size):
  """Draws pictures, such as 'input/source', by the recipe: float32 [B, H, W, 3], about [-1, 1]."""
  return nhwc(recipe().image(name, batch, size))


def random_params(shapes, seed=0, scale=1.0):
  """Draws N(0, scale^2) in a tree of shapes, by NumPy: compiling an init takes seconds."""
  rng = np.random.default_rng(seed)
  draw = lambda leaf: scale * rng.standard_normal(leaf.shape).astype(leaf.dtype)
  return jax.tree.map(draw, shapes)


def fresh_params(model, config):
  """Draws what training starts from: `model.init` as one program."""
  from ifmdm_jax.training import program  # here: reading goldens needs no training

  return jax.jit(lambda rng: model.init(rng, config))(program.fresh_key(0))


def nhwc(x):
  """Moves channels last: [B, C, H, W] -> [B, H, W, C]."""
  return np.ascontiguousarray(np.transpose(np.asarray(x), (0, 2, 3, 1)))


def nchw(x):
  """Moves channels first: [B, H, W, C] -> [B, C, H, W]."""
  return np.ascontiguousarray(np.transpose(np.asarray(x), (0, 3, 1, 2)))


def stats(x):
  """Sums x [B, H, W, C] up as goldens do: mean, population std, first 8 values in NCHW order."""
  x = np.asarray(x, np.float64)
  first = (nchw(x) if x.ndim == 4 else x).ravel()[:8]
  return np.concatenate([[x.mean(), x.std()], first])


def talking_face(num_frames=50, side=64, seed=0, sample_rate=16_000):
  """Draws a face whose mouth follows its sound; nobody's likeness.

  Args:
    num_frames: T, at 25 per second.
    side: R, pixels.
    seed: of colours, movement and sound.
    sample_rate: Hz.

  Returns:
    frames uint8 [T, R, R, 3]; landmarks float32 [T, 468, 2] as fractions of the side, with lips
    and eyes at the face mesh's indices; waveform float32 [L].
  """
  import cv2  # only here: reading goldens does not need it

  rng = np.random.default_rng(seed)
  time = np.arange(num_frames) / 25
  opening = 0.5 - 0.5 * np.cos(2 * np.pi * rng.uniform(1.5, 2.5) * time)
  turn = rng.uniform(0.5, 1.0) * time
  centres = 0.5 + 0.03 * np.stack([np.sin(2 * np.pi * turn), np.cos(2 * np.pi * turn)], -1)
  skin, back = rng.integers(120, 220, 3).tolist(), rng.integers(0, 255, 3).tolist()

  angles = 2 * np.pi * np.arange(468) / 468
  radii = 0.12 + 0.16 * (np.arange(468) * 0.618 % 1)
  rest = np.stack([radii * np.cos(angles), 1.2 * radii * np.sin(angles)], -1)
  lips = {61: (-0.09, 0), 291: (0.09, 0), 13: (0, -1), 14: (0, 1), 0: (0, -1.5), 17: (0, 1.5)}
  rest[33], rest[263], rest[10], rest[152] = (-0.1, -0.08), (0.1, -0.08), (0, -0.28), (0, 0.28)

  frames, landmarks = [], []
  for centre, gape in zip(centres, opening):
    points = rest.copy()
    for index, (x, y) in lips.items():
      points[index] = x, 0.12 + y * (0.01 + 0.03 * gape)
    points = points + centre
    frame = np.full((side, side, 3), back, np.uint8)
    pixel = lambda p: tuple(np.round(np.asarray(p) * side).astype(int).tolist())
    cv2.ellipse(frame, pixel(centre), pixel((0.22, 0.28)), 0, 0, 360, skin, -1)
    for eye in (33, 263):
      cv2.circle(frame, pixel(points[eye]), max(1, side // 32), (20, 20, 20), -1)
    mouth = pixel(centre + [0, 0.12])
    cv2.ellipse(frame, mouth, pixel((0.09, 0.01 + 0.03 * gape)), 0, 0, 360, (60, 10, 10), -1)
    frames.append(frame)
    landmarks.append(points)

  count = round(num_frames / 25 * sample_rate)
  loudness = np.interp(np.arange(count) / sample_rate, time, opening)
  waveform = 0.3 * loudness * np.sin(2 * np.pi * 180 * np.arange(count) / sample_rate)
  return np.stack(frames), np.stack(landmarks).astype(np.float32), waveform.astype(np.float32)


def write_cache(
  folder, people=4, num_frames=70, side=64, motion_dim=20, audio_width=12, matte=None, noise=False
):
  """Writes a set as `ifmdm_jax.prepare` does, of drawn faces; the last person is held out.

  Args:
    folder: of the set.
    people: clips, of one person each, `clip0` and so on.
    num_frames: of each.
    side: of the frames, pixels.
    motion_dim, audio_width: numbers of a motion code and of a speech feature, which are noise.
    matte: uint8 [S, S], of all frames.
    noise: whether the frames are noise, too, and stored without loss.

  Returns:
    The folder.
  """
  from ifmdm_jax.pipeline import statistics, write  # reading goldens needs no data engine

  folder, faces, codes = pathlib.Path(folder), {}, {}
  every_code, every_feature = [], []
  for person in range(people):
    name, split = f'clip{person}', 'val' if person == people - 1 else 'train'
    about = dict(name=name, person=f'person{person}', split=split, licence='')
    faces.setdefault(split, []).append((name, _face(person, num_frames, side, matte, noise, about)))
    rng = np.random.default_rng(person)
    code = rng.normal(size=(num_frames, motion_dim)).astype(np.float32)
    feature = rng.normal(size=(2 * num_frames, audio_width)).astype(np.float32)
    every_code.append(code)
    every_feature.append(feature)
    about = dict(about, count=num_frames, motion_dim=motion_dim, width=audio_width)
    arrays = dict(codes=code.tobytes(), mirrored=code.tobytes(), features=feature.tobytes())
    opening = rng.uniform(0, 0.2, num_frames).astype(np.float32)
    quiet = np.tile(np.float32([0, 1]), num_frames)[:num_frames]  # of one other sound
    arrays |= dict(opening=opening.tobytes(), altered=(-feature).tobytes(), quiet=quiet.tobytes())
    codes.setdefault(split, []).append((name, dict(arrays, about=json.dumps(about))))
  write.write('TalkingFaces', folder, faces)
  write.write('MotionCodes', folder / 'motion', codes)
  means = statistics.set_statistics(every_code, every_feature, 9)
  np.savez(folder / 'motion' / 'statistics.npz', **means)
  return folder


def _face(person, num_frames, side, matte, noise, about):
  """Returns a record of `schema.TalkingFaces`."""
  import soundfile  # here: networks and their training run without

  from ifmdm_jax.pipeline import frames as codec  # reading goldens needs no data engine
  from ifmdm_jax.pipeline import landmarks

  frames, points, waveform = talking_face(num_frames, side, person)
  if noise:
    frames = np.random.default_rng(0).integers(0, 255, frames.shape, np.uint8)
  sound, squares = io.BytesIO(), np.tile(np.int32([0, 0, side]), (num_frames, 1))
  soundfile.write(sound, waveform, 16_000, format='FLAC')
  about = dict(about, start=0, stop=num_frames, sound=True, matte=matte is not None)
  return dict(
    video=codec.encode(frames, codec.LOSSLESS if noise else codec.QUALITY),
    sound=sound.getvalue(),
    landmarks=landmarks.pack(points).tobytes(),
    squares=squares.tobytes(),
    matte=b'' if matte is None else codec.encode([matte] * num_frames),
    about=json.dumps(about),
  )
