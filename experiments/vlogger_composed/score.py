"""Measures the composed default of VLOGGER as reenactment, stage by stage.

  python -m ifmdm_jax.prepare --output runs/val
  python experiments/vlogger_composed/score.py --cache runs/val --output out/composed
  python experiments/vlogger_composed/score.py --cache runs/val --output out/v --video runs/clips

Of each clip of `val` the first frame is the photo; one body is fitted to it and to the next
seconds, and every few frames are drawn. Rows: the photo repeated; the warped reference, pixels that
the body's surface carries, over the photo (`mesh`); the renderer's layers, in which hair, neck and
shoulders follow (`warp`); the same with the inside of the mouth (`paint`); the film drives the
bundled weights by their own codes (`codes`). With weights of the video model also `paint`
where that draws what the photo does not know (`fill`), that alone (`diffusion`), and the film as
sharp as it can be at that size (`small`). Of the whole square, of the box around the face, and of
that around the mouth. Written: scores.csv, a line a clip and row; strip_*.png: film, mesh, warp,
paint, and fill and diffusion.
"""

import argparse
import pathlib
import time

import cv2
import numpy as np

import ifmdm_jax as ifm
from ifmdm_jax import files
from ifmdm_jax.clip import Clip
from ifmdm_jax.evaluation import images
from ifmdm_jax.face.crop import resized
from ifmdm_jax.face.points import LIPS
from ifmdm_jax.face.units import FaceUnits
from ifmdm_jax.perception import lpips
from ifmdm_jax.pipeline import records
from ifmdm_jax.systems.vlogger import body, controls, performance
from ifmdm_jax.systems.vlogger import sampler as samplers

SIDE = 512


def box(landmarks, room):
  """Finds the box around points [N, 2] with some room: slices."""
  low, high = landmarks.min(0), landmarks.max(0)
  low, high = low - room * (high - low), high + room * (high - low)
  (x0, y0), (x1, y1) = (np.clip(each, 0, SIDE).astype(int) for each in (low, high))
  return np.s_[:, y0:y1, x0:x1]


def over_photo(image, film, network):
  """Lays the warped reference of the body over the photo: uint8 [T, S, S, 3]."""
  person, moved = performance.follow(image, film, network, True)
  model, found = body.load(), person.fit
  known = controls.reference(model, found.identity, found.motion[0], found.focal, image)
  drawn = []
  for frame in moved:
    seen = controls.draw(
      model, found.identity, frame[None], found.focal, known, (SIDE, SIDE)
    )  # fmt: skip
    valid = np.asarray(seen.valid[0])
    drawn.append(np.asarray(seen.warped[0]) * 255 + image * (1 - valid))
  return np.rint(drawn).astype(np.uint8)


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--cache', required=True)
  parser.add_argument('--output', required=True)
  parser.add_argument('--weights', default=None)
  parser.add_argument('--video', default=None, help='a run, or bundle, of the video model')
  parser.add_argument('--seconds', type=float, default=3.0)
  parser.add_argument('--every', type=int, default=5)
  flags = parser.parse_args()
  output = pathlib.Path(flags.output)
  output.mkdir(parents=True, exist_ok=True)
  network, rows = lpips.load(), []
  weights = flags.weights or pathlib.Path(ifm.__file__).parent / 'weights' / 'vlogger'
  sampler, lite, faces = ifm.load(weights), ifm.load(), FaceUnits()
  video = ifm.load(flags.video) if flags.video else None
  ways = [
    ('warp', sampler.reenact, dict(stage=samplers.WARP)),
    ('paint', sampler.reenact, dict(stage=samplers.PAINT)),
    ('codes', lite.reenact, {}),
  ]
  if video:
    ways += [(row, video.reenact, dict(stage=row)) for row in (samplers.FILL, samplers.DIFFUSION)]
  for number, clip in enumerate(records.clips(flags.cache, 'val', sound=False)):
    chosen = np.arange(0, min(len(clip.frames), round(25 * flags.seconds)), flags.every)
    film = np.stack([resized(frame, SIDE) for frame in clip.frames[chosen]])
    image, film = film[0], film[1:]
    given = Clip(image=image, frames=film)
    drawn, seconds = {'photo': np.repeat(image[None], len(film), 0)}, {'photo': 0.0}
    began = time.process_time()
    drawn['mesh'] = over_photo(image, film, faces)
    seconds['mesh'] = (time.process_time() - began) / len(film)
    for row, draw, options in ways:
      began = time.process_time()
      drawn[row] = np.concatenate(list(draw(given, **options)))
      seconds[row] = (time.process_time() - began) / len(film)
    if video:
      small = [resized(frame, video.frame_side) for frame in film]
      drawn['small'], seconds['small'] = np.stack([resized(each, SIDE) for each in small]), 0.0
    track = clip.landmarks[chosen] * (SIDE / clip.frames.side)
    of_face, of_mouth = (
      box(some.reshape(-1, 2), room) for some, room in ((track, 0.1), (track[:, LIPS], 0.25))
    )
    for row, frames in drawn.items():
      line = {'clip': clip.name, 'row': row, 'seconds': seconds[row]}
      for where, cut in (('', np.s_[:]), ('face_', of_face), ('mouth_', of_mouth)):
        a, b = film[cut], frames[cut]
        to_range = lambda x: np.float32(x) / 127.5 - 1
        line[f'{where}psnr'] = float(np.mean(images.psnr(a, b)))
        line[f'{where}lpips'] = float(np.mean(lpips.distance(network, to_range(a), to_range(b))))
      rows.append(line)
      print(*(f'{v:.4f}' if isinstance(v, float) else v for v in line.values()), flush=True)
    few = np.linspace(0, len(film) - 1, 8).astype(int)
    shown = [drawn[row] for row in drawn if row not in ('photo', 'codes', 'small')]
    strip = [np.concatenate(list(x[few]), 1) for x in (film, *shown)]
    half = cv2.resize(np.concatenate(strip), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(output / f'strip_{number}.png'), half[..., ::-1])
  names = [name for name in rows[0] if name not in ('clip', 'row')]
  print(f'{"":<8}', *(f'{name:>11}' for name in names))
  for row in drawn:
    means = [np.mean([each[name] for each in rows if each['row'] == row]) for name in names]
    print(f'{row:<8}', *(f'{mean:11.4f}' for mean in means))
  rounded = lambda line: {k: round(v, 4) if isinstance(v, float) else v for k, v in line.items()}
  (output / 'scores.csv').unlink(missing_ok=True)
  files.add_rows(output / 'scores.csv', [rounded(line) for line in rows])


if __name__ == '__main__':
  main()
