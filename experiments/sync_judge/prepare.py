"""Lips and voices of a cache of clips, small enough to stay in memory.

  python experiments/sync_judge/prepare.py --cache runs/cache --output runs/sync

Writes what `ifmdm_jax.pipeline.sources.lips` reads; clips without sound are left out.
About a minute for twelve minutes of video.
"""

import json
import pathlib

import numpy as np
from absl import flags
from tqdm import tqdm

from ifmdm_jax import errors
from ifmdm_jax.audio import features, waveform
from ifmdm_jax.face import crop
from ifmdm_jax.face.points import LIPS_INNER, LIPS_OUTER
from ifmdm_jax.perception.mfcc import mfcc
from ifmdm_jax.pipeline import records

_CACHE = flags.DEFINE_string('cache', 'runs/cache', 'Made by ifmdm_jax.prepare.', **errors.SHARED)
_OUTPUT = flags.DEFINE_string('output', 'runs/sync', 'Folder to write.', **errors.SHARED)

ROOM = 1.25  # wider than the network sees, so that training can move the picture


def main(_):
  output = pathlib.Path(_OUTPUT.value)
  output.mkdir(parents=True, exist_ok=True)
  encoder, entries = features.load('whisper_tiny', layer=2), []
  clips = records.clips(_CACHE.value)
  for entry, clip in tqdm(zip(clips.entries, clips), total=len(clips), unit='clip'):
    if clip.waveform is None:
      continue
    speech = encoder.features(clip.waveform, clip.rate)
    cepstrum = mfcc(waveform.prepare(clip.waveform, clip.rate))
    count = min(entry.count, len(speech) // 2, len(cepstrum) // 4)
    landmarks = clip.landmarks[:count]
    side = round(crop.LIPS_SIDE * ROOM)
    points = crop.move(
      landmarks[:, [*LIPS_OUTER, *LIPS_INNER]],
      crop.lips_matrices(landmarks, side, ROOM),
    )
    standard = lambda x: ((x - x.mean(0)) / (x.std(0) + 1e-8)).astype(np.float16)
    np.savez(
      output / f'{clip.name}.npz',
      lips=crop.lips(clip.frames[:count], landmarks, side, ROOM),
      points=points.astype(np.float32),
      whisper_tiny=standard(speech[: 2 * count]),
      mfcc=standard(cepstrum[: 4 * count]),
    )
    entries.append(dict(name=clip.name, person=clip.person, split=entry.split))
  (output / 'index.json').write_text(json.dumps(entries))
  print(f'{output}: {len(entries)} clips')


if __name__ == '__main__':
  errors.run(main)
