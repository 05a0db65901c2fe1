"""Draws a sheet of portraits that talk by VLOGGER's motion, a row each.

  python experiments/vlogger_composed/portraits.py --voice data/fixtures/speech.wav \\
      --output docs/vlogger_portraits.jpg A.jpg B.jpg C.jpg
"""

import argparse

import cv2
import numpy as np
from PIL import Image

import ifmdm_jax as ifm
from ifmdm_jax import bundle
from ifmdm_jax.clip import Clip

SIDE = 160


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('portraits', nargs='+')
  parser.add_argument('--voice', required=True)
  parser.add_argument('--output', required=True)
  parser.add_argument('--seconds', type=float, default=4.0)
  parser.add_argument('--pictures', type=int, default=8)
  flags = parser.parse_args()
  sampler, rows = ifm.load(bundle.chosen(None, 'vlogger')), []
  voice, rate = ifm.read_voice(flags.voice)
  voice = voice[: round(flags.seconds * rate)]
  small = lambda frame: cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
  for seed, path in enumerate(flags.portraits):
    image = ifm.read_portrait(path)
    clip = Clip(image=image, waveform=voice, rate=rate)
    frames = np.concatenate(list(sampler.generate(clip, seed=seed)))
    chosen = np.linspace(5, len(frames) - 1, flags.pictures - 1).round().astype(int)
    rows.append(np.concatenate([small(image), *(small(frames[k]) for k in chosen)], axis=1))
    print(path, flush=True)
  Image.fromarray(np.concatenate(rows)).save(flags.output, quality=88)


if __name__ == '__main__':
  main()
