"""Is a film of the video model smooth, and what does the stage `clips` add to `pictures`?

  python experiments/vlogger_video/smooth.py --cache runs/val --output out/smooth \
      experiments/vlogger_video/weights runs/clips

Of some clips of `val` the first frame is the photo, and the frames after it are drawn by diffusion,
one after the other, moved by the body fitted to the film. A row is a clip by weights, at the size
of the video model, in levels of 255:

  psnr     dB, of the drawn film
  change   how much it changes from frame to frame, over how much the film does; 1 is as the film
  amiss    root mean square of what a frame's change is besides the film's own
  drift    how far the mean colour of the picture goes from the film's, furthest

Written: smooth.csv; strip_N.png: the film, and below it each weights', every fourth frame.
"""

import argparse
import pathlib

import cv2
import numpy as np

import ifmdm_jax as ifm
from ifmdm_jax import files
from ifmdm_jax.clip import Clip
from ifmdm_jax.evaluation import images
from ifmdm_jax.face.crop import resized
from ifmdm_jax.pipeline import records
from ifmdm_jax.systems.vlogger.sampler import DIFFUSION

SIDE = 512


def figures(film, drawn):
  """Measures a drawn film against the true one, both uint8 [T, h, h, 3]."""
  a, b = np.float32(film), np.float32(drawn)
  change = [np.sqrt(np.mean(np.square(np.diff(x, axis=0)))) for x in (a, b)]
  amiss = np.sqrt(np.mean(np.square(np.diff(b - a, axis=0))))
  drift = np.abs((b - a).mean((1, 2))).max()
  return dict(
    psnr=float(np.mean(images.psnr(film, drawn))), change=float(change[1] / max(change[0], 1e-6)),
    amiss=float(amiss), drift=float(drift),
  )  # fmt: skip


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('weights', nargs='+', help='runs or bundles of the video model')
  parser.add_argument('--cache', required=True)
  parser.add_argument('--output', required=True)
  parser.add_argument('--frames', type=int, default=24)
  parser.add_argument('--clips', type=int, default=3)
  flags = parser.parse_args()
  output, rows = pathlib.Path(flags.output), []
  output.mkdir(parents=True, exist_ok=True)
  samplers = {path: ifm.load(path) for path in flags.weights}
  clips = list(records.clips(flags.cache, 'val', sound=False))[: flags.clips]
  for number, clip in enumerate(clips):
    film = np.stack([resized(frame, SIDE) for frame in clip.frames[: flags.frames + 1]])
    side = next(iter(samplers.values())).frame_side
    small = lambda frames: np.stack([resized(frame, side) for frame in frames])  # noqa: B023
    films = [small(film[1:])]
    for path, sampler in samplers.items():
      frames = sampler.reenact(Clip(image=film[0], frames=film[1:]), stage=DIFFUSION)
      films.append(small(np.concatenate(list(frames))))
      row = dict(clip=clip.name, weights=path) | figures(films[0], films[-1])
      rows.append(row | {k: round(v, 3) for k, v in row.items() if isinstance(v, float)})
      print(*rows[-1].values(), flush=True)
    strip = np.concatenate([np.concatenate(list(each[::4]), 1) for each in films])
    large = cv2.resize(strip, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    cv2.imwrite(str(output / f'strip_{number}.png'), large[..., ::-1])
  (output / 'smooth.csv').unlink(missing_ok=True)
  files.add_rows(output / 'smooth.csv', rows)


if __name__ == '__main__':
  main()
