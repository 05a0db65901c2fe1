"""Draws the first, the middle and the last second of minutes of a voice, and of silence.

python experiments/drift/strip.py --voices out/voices.wav --minutes 1 --output strip.jpg

Of each second four frames; the upper row is the voice, the lower one silence, as they are while
sound arrives (--plan offline: as of sound that is there). Only these frames are drawn.
"""

import cv2
import numpy as np
from absl import flags

import ifmdm_jax as ifm
from ifmdm_jax import errors
from ifmdm_jax.audio import waveform
from ifmdm_jax.rates import FPS, SAMPLE_RATE

_IMAGE = flags.DEFINE_string('image', 'data/fixtures/portrait.jpg', 'A portrait.', **errors.SHARED)
_VOICES = flags.DEFINE_string('voices', 'out/voices.wav', 'See voices.py.', **errors.SHARED)
_MINUTES = flags.DEFINE_float('minutes', 1.0, 'Of sound.', **errors.SHARED)
_PLAN = flags.DEFINE_enum(
  'plan', 'streaming', ['offline', 'streaming'], 'Windows.', **errors.SHARED
)
_OUTPUT = flags.DEFINE_string('output', 'strip.jpg', 'Picture to write.', **errors.SHARED)
SIDE, GAP = 140, 6
WITHIN = np.arange(3, FPS, 6)  # frames of a second that are drawn


def row(sampler, image, sound):
  """Draws one row of tiles for a sound [L]."""
  codes = sampler.codes(image, sound, SAMPLE_RATE, plan=getattr(sampler, _PLAN.value))
  starts = (0, len(codes) // 2, len(codes) - FPS)
  chosen = np.concatenate([start + WITHIN for start in starts])
  drawn = sampler.renderer.drawn(sampler.portrait(image), codes[chosen], 1)
  tiles = [
    cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    for block in drawn
    for frame in block
  ]
  gap, parts = np.full((SIDE, GAP, 3), 255, np.uint8), []
  for second in range(len(starts)):
    parts += [*tiles[second * len(WITHIN) : (second + 1) * len(WITHIN)], gap]
  return np.concatenate(parts[:-1], axis=1)


def main(_):
  length = round(_MINUTES.value * 60 * SAMPLE_RATE)
  voice = waveform.prepare(*waveform.read(_VOICES.value))[:length]
  sampler, image = ifm.load(), ifm.read_portrait(_IMAGE.value)
  rows = [row(sampler, image, sound) for sound in (voice, np.zeros(length, np.float32))]
  cv2.imwrite(_OUTPUT.value, np.concatenate(rows)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == '__main__':
  errors.run(main)
