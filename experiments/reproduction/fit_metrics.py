"""Fits the ridge regression of `sync_ridge` and the statistics of NIQE to real people.

  python experiments/reproduction/fit_metrics.py --cache runs/cache --source CLIPS \
      [--output ifmdm_jax/weights]

Writes sync_ridge.npz, from the set, and niqe_own.npz, from the clips that the set was made of, of
the real people of split `train`; nobody of `val` and no generated frame is used. Prints the score
of the real people of `val`.
"""

import pathlib

import cv2
import numpy as np
from absl import flags
from tqdm import tqdm

from ifmdm_jax import errors
from ifmdm_jax.audio import features
from ifmdm_jax.evaluation import quality, sync
from ifmdm_jax.face.lag import OpeningRidge
from ifmdm_jax.face.points import mouth_opening
from ifmdm_jax.pipeline import records
from ifmdm_jax.pipeline.prep import layouts
from ifmdm_jax.rates import SAMPLE_RATE
from ifmdm_jax.video import read

_CACHE = flags.DEFINE_string('cache', 'runs/cache', 'Made by ifmdm_jax.prepare.', **errors.SHARED)
_SOURCE = flags.DEFINE_string('source', None, 'The clips themselves.', **errors.SHARED)
_OUTPUT = flags.DEFINE_string(
  'output', 'ifmdm_jax/weights', 'Folder of the two files.', **errors.SHARED
)
SIDE = 512
EVERY = 50  # frames, for NIQE


def speech_and_opening(clip, encoder):
  """Returns (features [2T, A], opening [T]), or None: no sound, or under two seconds."""
  if clip.waveform is None or len(clip.landmarks) < 50:
    return None
  speech = encoder.features(clip.waveform, SAMPLE_RATE)
  return speech, mouth_opening(clip.landmarks)


def natural_frames(sources):
  """Yields frames at the size that is scored, of clips that are that large by themselves."""
  for source in sources:
    for number, frame in enumerate(read.frames(source.path)):
      if number % EVERY == 0 and frame.shape[0] >= SIDE:
        yield cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def main(_):
  output, encoder = pathlib.Path(_OUTPUT.value), features.load('whisper_tiny', layer=2)
  sources = [s for s in layouts.find(_SOURCE.value, ready=True) if s.split == 'train']
  sources = [s for s in sources if s.kind == 'clip']
  mean, covariance = quality.fit(natural_frames(tqdm(sources, desc='niqe', unit='clip')))
  np.savez(
    output / 'niqe_own.npz', mean=mean.astype(np.float32), covariance=covariance.astype(np.float32)
  )
  clips = records.clips(_CACHE.value, 'train')
  known = [speech_and_opening(clip, encoder) for clip in tqdm(clips, desc='sync', unit='clip')]
  ridge = OpeningRidge.fit([clip for clip in known if clip])
  np.savez(output / 'sync_ridge.npz', weight=ridge.weight.astype(np.float32))
  held_out = [speech_and_opening(clip, encoder) for clip in records.clips(_CACHE.value, 'val')]
  scores = [
    [ridge.lag(each, opening, sync.MOST).r for each in (speech, sync.shuffled(speech))]
    for speech, opening in filter(None, held_out)
  ]
  real, chance = np.mean(scores, axis=0)
  print(f'{len(scores)} real clips of split val: sync_ridge {real:.3f}, shuffled {chance:.3f}')


if __name__ == '__main__':
  errors.run(main)
