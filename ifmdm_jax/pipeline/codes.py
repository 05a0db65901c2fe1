"""Motion codes of a set, with the speech features of the same frames, for stage 2.

output/motion/                     python -m ifmdm_jax.prepare --output output --codes
  records/motion_codes/1.2.0/        of every clip with a voice, without pixels
  index.json                         one entry per record, in their order
  statistics.npz                     means and deviations over the training clips
"""

import dataclasses
import json
import pathlib

import jax
import numpy as np
import scipy.ndimage

from ifmdm_jax import files
from ifmdm_jax.face.points import MIRROR, mouth_opening, smooth
from ifmdm_jax.pipeline import landmark_code, records, statistics
from ifmdm_jax.pipeline import write as writing

VERSION = '1.2.0'  # of the records
FOLDER = 'motion'
BLINK = 10  # frames, a long one
STATISTICS_OF = 500  # clips, spread over the set: their features have to fit into memory


@dataclasses.dataclass(frozen=True)
class CodedClip:
  """One clip as stage 2 sees it.

  Attributes:
    codes: of every frame, float32 [T, M].
    mirrored: of the frames' mirror images, float32 [T, M].
    features: of the speech, float32 [2T, A].
    opening: how far the mouth is open, in distances of the eyes, float32 [T].
    altered: of other sounds for the same face, float32 [V, 2T, A]; V is 0 for clips held out.
    quiet: how far lips are at rest under them, 0 to 1, float32 [V, T]; see `pipeline.quiet`.
  """

  codes: np.ndarray
  mirrored: np.ndarray
  features: np.ndarray
  opening: np.ndarray
  altered: np.ndarray
  quiet: np.ndarray


def write(output, read_codes, encode_audio, window=65, alter=None, folder=FOLDER):
  """Writes codes and features of all clips with a voice, and statistics of those trained on.

  Args:
    output: folder of a set.
    read_codes: (clip, count) -> codes of its first frames and of their mirror images, [count, M]
      each, or None to leave a clip out: `of_landmarks()`, `of_frames(autoencoder)`, or
      `face_motion.of_frames()`.
    encode_audio: clip -> speech features [2T, A], or None.
    window: frames that stage 2 sees at once, for the statistics.
    alter: (clip, count) -> altered, quiet of a clip that is trained on; None: no other sounds.
    folder: within the set; of `FOLDER` alone there are statistics of how codes open a mouth.

  Returns:
    How many clips there are.
  """

  def make(entry, clip):
    features = encode_audio(clip)
    if features is None:
      return None  # silent clips teach stage 1 only
    count = min(entry.count, len(features) // 2)
    motion = read_codes(clip, count)
    if motion is None:
      return None
    codes, mirrored = motion
    arrays = dict(codes=codes, mirrored=mirrored, features=features[: 2 * count])
    arrays['opening'] = mouth_opening(clip.landmarks[:count])
    altered = alter(clip, count) if alter and entry.split == 'train' else ([], [])
    arrays['altered'], arrays['quiet'] = altered
    arrays = {name: np.asarray(array, np.float32) for name, array in arrays.items()}
    return arrays, dict(count=count, motion_dim=codes.shape[1], width=features.shape[1])

  lips, folder = folder == FOLDER, pathlib.Path(output) / folder
  entries = writing.write_arrays('MotionCodes', folder, records.clips(output), make)
  tracks = read(output, 'train', folder=folder.name)
  if not len(tracks):
    return len(entries)  # people who are only tested on
  some = tracks[:: -(-len(tracks) // STATISTICS_OF) or 1]
  column = lambda name: [getattr(track, name) for track in some]
  numbers = statistics.set_statistics(
    column('codes'), column('features'), window, column('opening') if lips else None
  )
  with files.atomic(folder / 'statistics.npz') as half:
    np.savez(half, **numbers)
  return len(entries)


def of_frames(autoencoder, batch=64):
  """Returns what reads the codes of a trained stage 1.

  Args:
    autoencoder: (module, config, params); `module.motion(params, frames, config)`.
    batch: frames at once.
  """
  module, config, params = autoencoder
  encode = jax.jit(lambda frames: module.motion(params, frames, config))

  def codes_of(frames):
    padded = np.pad(frames, ((0, -len(frames) % batch), (0, 0), (0, 0), (0, 0)), mode='edge')
    codes = [np.asarray(encode(padded[i : i + batch])) for i in range(0, len(padded), batch)]
    return np.concatenate(codes)[: len(frames)]

  def read_codes(clip, count):
    frames = np.asarray(clip.frames[:count])
    return codes_of(frames), codes_of(frames[:, :, ::-1])

  return read_codes


def of_landmarks():
  """Returns what reads the codes that are linear in a clip's landmarks, smoothed over time.

  Without blinks: they are no business of a voice, and a process of their own draws them.
  """
  code = landmark_code.load()
  lids = landmark_code.BLOCK['lids']

  def codes_of(points):
    codes = code(points)
    codes[:, lids] = without_blinks(codes[:, lids])
    return codes

  def read_codes(clip, count):
    points = smooth(clip.landmarks / np.float32(clip.frames.side))[:count]
    mirrored = points[:, MIRROR] * np.float32([-1, 1]) + np.float32([1, 0])
    return codes_of(points), codes_of(mirrored)

  return read_codes


def without_blinks(lids, longest=BLINK):
  """Replaces what lasts up to `longest` frames by what surrounds it. [T, K] -> [T, K]."""
  return scipy.ndimage.median_filter(lids, (2 * longest + 1, 1), mode='nearest')


def read(output, split, licence='', folder=FOLDER):
  """Returns the clips of a split as `records.Records` of `CodedClip`.

  Args:
    output: folder of the set, or of several.
    split: 'train' or 'val'.
    licence: pattern that has to be found in a clip's licence or provenance.
    folder: within the set, see `write`.

  Raises:
    InputError: there are no codes, or they are of an older version.
  """
  flags = '--codes, or --autoencoder RUN' if folder == FOLDER else f'--{folder}'
  entries = records.read_index(output, f'--output {{folder}} {flags}', VERSION, part=folder)
  fits = records.licence_filter(licence)
  chosen = [e for e in entries if e.split == split and fits(e.licence)]
  return records.Records(chosen, _coded)


def _coded(entry, record):
  about = json.loads(record['about'])
  array = lambda name, *shape: np.frombuffer(record[name], np.float32).reshape(shape)
  count, sounds = about['count'], len(record['quiet']) // (4 * max(about['count'], 1))
  return CodedClip(
    codes=array('codes', -1, about['motion_dim']),
    mirrored=array('mirrored', -1, about['motion_dim']),
    features=array('features', -1, about['width']),
    opening=array('opening', -1),
    altered=array('altered', sounds, 2 * count, about['width']),
    quiet=array('quiet', sounds, count),
  )
