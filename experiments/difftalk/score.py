"""Measures dubs with the film's own voice in the lower face, at the size they are drawn in.

  python experiments/difftalk/score.py --cache runs/val --run runs/difftalk --output out/difftalk

Every few frames of the first seconds of each clip of `val` are dubbed, and nothing in between, so
that it takes minutes. Rows: the lower face of the first frame pasted; the same in the mask that the
run fills; the film through the autoencoder; the run; the run with the voice of the next clip.
Written: scores.csv, a line a clip and row, and strip_*.png, film above, then the rows.
"""

import argparse
import csv
import pathlib

import cv2
import numpy as np

import ifmdm_jax as ifm
from ifmdm_jax.evaluation import dubs, images
from ifmdm_jax.face import crop
from ifmdm_jax.face.detect import FaceDetector
from ifmdm_jax.face.landmarker import FaceLandmarker
from ifmdm_jax.face.points import IBUG_MOUTH, eye_distance, mouth_opening
from ifmdm_jax.perception import lpips
from ifmdm_jax.pipeline import records
from ifmdm_jax.shot import Shot
from ifmdm_jax.systems.difftalk import masks, model, pictures
from ifmdm_jax.systems.difftalk.view import View

METRICS = ('psnr', 'ssim', 'lpips', 'lmd')


def shot_of(clip, waveform, size, every, count):
  """Makes a shot of every so many-th frame."""
  chosen = np.arange(0, len(clip.frames), every)[:count]
  frames = np.stack([cv2.resize(f, (size, size), interpolation=cv2.INTER_AREA)
                     for f in clip.frames[chosen]])  # fmt: skip
  points = np.zeros((len(chosen), 478, 3), np.float32)
  points[:, :468, :2] = clip.landmarks[chosen] * (size / clip.frames.side)
  return frames, Shot(lambda: iter([frames]), points, chosen / 25, waveform, size)


def painted(frames, shot, sampler, **options):
  """Dubs a shot and puts it into the film."""
  blocks = list(sampler.dub(shot, **options))
  return mixed(frames, *(np.concatenate(each) for each in zip(*blocks)))


def mixed(frames, new, mask):
  share = mask[..., None]
  return np.round(frames * (1 - share) + new * share).astype(np.uint8)


def kept(frames, shot, sampler):
  """Puts the first frame, its face held still, into the mask: (that, through the autoencoder).

  The second is what the autoencoder makes of the film itself in the same mask.
  """
  config, autoencoder = sampler._config, sampler._autoencoder
  view = View(shot.landmarks[:, :468, :2], shot.size, config.image, bool(config.get('shot', 0)))
  unit = masks.unit(view.points, view.image)
  polygons = [masks.polygon(each, view.image, config.margin * unit)
              for each in masks.outlines(view.points)]  # fmt: skip
  soft = np.stack([masks.soften(each, config.soft * unit) for each in polygons])
  shown = view.show(frames, 0)
  first = np.broadcast_to(shown[:1], shown.shape)
  z = model.encode(autoencoder, model.as_float(shown), config)
  new = np.asarray((pictures.decode(autoencoder, z, config) + 1) * 127.5)
  drawn = first, np.round(new).astype(np.uint8)
  return [mixed(frames, *view.back(each, soft, 0)) for each in drawn]


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  for name in ('cache', 'run', 'output'):
    parser.add_argument(f'--{name}', required=True)
  parser.add_argument('--every', type=int, default=6)
  parser.add_argument('--count', type=int, default=8)
  parser.add_argument('--clips', type=int, default=100)
  parser.add_argument('--steps', default=None)
  flags = parser.parse_args()
  sampler, net = ifm.load(flags.run), lpips.load('alex')
  landmarker, detector = FaceLandmarker(), FaceDetector()
  read_one = lambda frame: landmarker.track(frame[None], detector)[0][:, :2]
  clips = [clip for clip in records.clips(flags.cache, 'val') if clip.waveform is not None]
  clips = clips[: flags.clips]
  rows, strips, opened = [], [], {}
  for number, clip in enumerate(clips):
    other = clips[(number + 1) % len(clips)].waveform
    sizes = sampler.size, flags.every, flags.count
    frames, shot = shot_of(clip, clip.waveform, *sizes)
    points = shot.landmarks[:, :468, :2]
    copied = [dubs.paste(f, frames[0], p, points[0]) for f, p in zip(frames, points)]
    same, through = kept(frames, shot, sampler)
    made = {
      'first lower face pasted': np.stack(copied),
      'the same, in its mask': same,
      'through the autoencoder': through,
      'own voice': painted(frames, shot, sampler, steps=flags.steps),
      "another's voice": painted(
        frames, shot_of(clip, other, *sizes)[1], sampler, steps=flags.steps
      ),
    }
    faces = crop.lower_faces(frames, points)
    truth = np.stack([read_one(frame) for frame in frames])
    strips.append([frames[1:5], *(each[1:5] for each in made.values())])
    for name, new in made.items():
      drawn = crop.lower_faces(new, points)
      read = np.stack([read_one(frame) for frame in new])
      apart = np.linalg.norm(read[:, IBUG_MOUTH] - truth[:, IBUG_MOUTH], axis=-1).mean(-1)
      score = {
        'psnr': np.mean(images.psnr(drawn, faces)[1:]),
        'ssim': np.mean([images.ssim(a, b) for a, b in zip(drawn[1:], faces[1:])]),
        'lpips': np.mean(lpips.distance(net, model.as_float(drawn), model.as_float(faces))[1:]),
        'lmd': np.nanmean((apart / eye_distance(truth))[1:]),
      }
      rows.append({'clip': clip.name, 'row': name, **{k: f'{v:.4f}' for k, v in score.items()}})
      gaps = [mouth_opening(each)[1:] for each in (truth, read)]
      opened.setdefault(name, []).append([gap - np.nanmean(gap) for gap in gaps])
    print(clip.name, *[f'{row["row"]}: {row["psnr"]} {row["lpips"]} {row["lmd"]};'
                       for row in rows[-len(made) :]], flush=True)  # fmt: skip
  output = pathlib.Path(flags.output)
  output.mkdir(parents=True, exist_ok=True)
  with (output / 'scores.csv').open('w', newline='') as file:
    writer = csv.DictWriter(file, ['clip', 'row', *METRICS])
    writer.writeheader()
    writer.writerows(rows)
  picture = [np.concatenate([np.concatenate(list(row), axis=1) for row in strip])
             for strip in strips]  # fmt: skip
  for start in range(0, len(picture), 5):
    strip = np.concatenate(picture[start : start + 5], axis=1)
    cv2.imwrite(str(output / f'strip_{start // 5}.png'), strip[..., ::-1])
  print(f'{"row":<26}', *(f'{name:>8}' for name in METRICS), f'{"opening r":>10}')
  for name, pairs in opened.items():
    means = [np.mean([float(row[key]) for row in rows if row['row'] == name]) for key in METRICS]
    truth, read = (np.concatenate(each) for each in zip(*pairs))
    seen = np.isfinite(truth) & np.isfinite(read)
    r = np.corrcoef(truth[seen], read[seen])[0, 1]
    print(f'{name:<26}', *(f'{mean:8.4f}' for mean in means), f'{r:10.3f}')


if __name__ == '__main__':
  main()
