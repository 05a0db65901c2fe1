"""Measures whether VLOGGER's motion drifts over minutes, and draws its first and last second.

  python experiments/vlogger_composed/drift.py --voice VOICES.wav --portrait A.jpg --output out

Written: drift.csv, a line a minute: median and deviation of head angles (radians), of the head's
place (centimetres), of jawOpen, of both gaze angles; blinks a minute; drift.png, first and last
second of the motion.
"""

import argparse
import pathlib

import cv2
import numpy as np

import ifmdm_jax as ifm
from ifmdm_jax import bundle, files
from ifmdm_jax.face.crop import resized
from ifmdm_jax.face.units import FaceUnits
from ifmdm_jax.rates import FPS
from ifmdm_jax.systems.vlogger import axes, performance

MEASURED = ('headYaw', 'headPitch', 'headRoll', 'headX', 'headY', 'headZ', 'jawOpen',
            'gazeLeftYaw', 'gazeLeftPitch')  # fmt: skip


def blinks(closed):
  """Counts how often lids begin to be more than half closed."""
  shut = closed > 0.4
  return int((shut[1:] & ~shut[:-1]).sum())


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  for name in ('voice', 'portrait', 'output'):
    parser.add_argument(f'--{name}', required=True)
  parser.add_argument('--minutes', type=float, default=10.0)
  parser.add_argument('--seed', type=int, default=0)
  flags = parser.parse_args()
  output = pathlib.Path(flags.output)
  output.mkdir(parents=True, exist_ok=True)
  sampler, lite = ifm.load(bundle.chosen(None, 'vlogger')), ifm.load()
  image = resized(ifm.read_portrait(flags.portrait), sampler.size)
  person = performance.read(image, FaceUnits())
  voice, rate = ifm.read_voice(flags.voice)
  voice = voice[: round(60 * flags.minutes * rate)]
  track = np.concatenate(list(sampler.motion(person, voice, rate, seed=flags.seed)))
  rows, minute = [], 60 * FPS
  for start in range(0, len(track) - minute // 2, minute):
    part = track[start : start + minute]
    row = {'minute': start // minute + 1}
    for name in MEASURED:
      values = part[:, axes.INDEX[name]]
      row[f'{name}'], row[f'{name}_std'] = float(np.median(values)), float(values.std())
    row['blinks'] = blinks(part[:, axes.INDEX['eyeBlinkLeft']])
    rows.append(row)
    print(*(f'{v:.3f}' if isinstance(v, float) else v for v in row.values()), flush=True)
  rounded = lambda row: {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}
  (output / 'drift.csv').unlink(missing_ok=True)
  files.add_rows(output / 'drift.csv', [rounded(row) for row in rows])
  ends = []
  for part in (track[:FPS], track[-FPS:]):
    frames = np.concatenate(list(lite.draw(image, [performance.placed(person, part)])))
    ends.append(np.concatenate(list(frames[:: FPS // 7][:8]), axis=1))
  strip = cv2.resize(np.concatenate(ends), None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA)
  cv2.imwrite(str(output / 'drift.png'), strip[..., ::-1])


if __name__ == '__main__':
  main()
