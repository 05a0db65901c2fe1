"""Lips and voices of a set, small enough to stay in memory, for the sync network.

output/lips/                       python -m ifmdm_jax.prepare --output output --lips
  records/lip_crops/1.0.0/           of every clip with a voice
  index.json                         one entry per record, in their order
"""

import dataclasses
import functools
import pathlib

import numpy as np

from ifmdm_jax.audio import waveform
from ifmdm_jax.face import crop
from ifmdm_jax.face.points import LIPS_INNER, LIPS_OUTER
from ifmdm_jax.perception.mfcc import COEFFICIENTS, mfcc
from ifmdm_jax.pipeline import records
from ifmdm_jax.pipeline import write as writing

ROOM = 1.25  # wider than what the network sees, so that training can move the picture
SIDE = round(crop.LIPS_SIDE * ROOM)  # pixels
POINTS = [*LIPS_OUTER, *LIPS_INNER]
WIDTHS = {'whisper_tiny': 384, 'mfcc': COEFFICIENTS}  # of a speech feature


@dataclasses.dataclass(frozen=True)
class LipClip:
  """One clip as the sync network sees it.

  Attributes:
    lips: grey uint8 [T, 60, 60].
    points: of the lips, float32 [T, 40, 2], pixels of the crop.
    features: of the speech, float16, mean 0 and deviation 1 over the clip: [2T, 384] or [4T, 13].
  """

  lips: np.ndarray
  points: np.ndarray
  features: np.ndarray


def write(output, encode_audio):
  """Writes the lips and voices of all clips that have a voice; returns how many there are.

  Args:
    output: folder of the set.
    encode_audio: clip -> features of Whisper-tiny [2T, 384].
  """

  def make(entry, clip):
    speech = encode_audio(clip)
    cepstrum = mfcc(waveform.prepare(clip.waveform, clip.rate))
    count = min(entry.count, len(speech) // 2, len(cepstrum) // 4)
    landmarks = clip.landmarks[:count]
    where = crop.lips_matrices(landmarks, SIDE, ROOM)
    arrays = dict(
      lips=crop.lips(clip.frames[:count], landmarks, SIDE, ROOM),
      points=crop.move(landmarks[:, POINTS], where).astype(np.float32),
      whisper_tiny=standardised(speech[: 2 * count]),
      mfcc=standardised(cepstrum[: 4 * count]),
    )
    return arrays, dict(count=count)

  folder = pathlib.Path(output) / 'lips'
  return len(writing.write_arrays('LipCrops', folder, records.clips(output), make))


def standardised(x):
  """Brings [S, A] to mean 0 and deviation 1 over time, float16."""
  return ((x - x.mean(0)) / (x.std(0) + 1e-8)).astype(np.float16)


def read(output, split, features):
  """Returns the clips of a split as `records.Records` of `LipClip`.

  Args:
    output: folder of the set, or of several.
    split: 'train' or 'val'.
    features: 'whisper_tiny' or 'mfcc'.

  Raises:
    InputError: they have not been written.
  """
  entries = records.read_index(output, '--output {folder} --lips', part='lips')
  chosen = [entry for entry in entries if entry.split == split]
  return records.Records(chosen, functools.partial(_lip_clip, features=features))


def _lip_clip(entry, record, features):
  return LipClip(
    lips=np.frombuffer(record['lips'], np.uint8).reshape(-1, SIDE, SIDE),
    points=np.frombuffer(record['points'], np.float32).reshape(-1, len(POINTS), 2),
    features=np.frombuffer(record[features], np.float16).reshape(-1, WIDTHS[features]),
  )
