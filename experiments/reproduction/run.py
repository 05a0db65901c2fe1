"""Figures of the bundled weights on people they never saw.

  python experiments/reproduction/run.py --cache runs/cache [--checkpoint DIR] [--output DIR]

Self-reenactment (first frame as source, the clip's own motion codes) against repeating the
first frame; audio-driven samples (first frame and the clip's voice) before the ridge judge.
Writes results.json and prints two tables.
"""

import json
import pathlib

import cv2
import numpy as np
from absl import flags
from tqdm import tqdm

from ifmdm_jax import errors, face_mesh
from ifmdm_jax.evaluation import images, sync
from ifmdm_jax.pipeline import cache
from ifmdm_jax.pipeline.prep import faces

_CACHE = flags.DEFINE_string('cache', 'runs/cache', 'Made by ifmdm_jax.prepare.', **errors.SHARED)
_CHECKPOINT = flags.DEFINE_string(
  'checkpoint', None, 'Default: the bundled weights.', **errors.SHARED
)
_OUTPUT = flags.DEFINE_string(
  'output', None, 'Folder for results.json and strips.', **errors.SHARED
)
_SPLIT = flags.DEFINE_string('split', 'val', 'val: people never trained on.', **errors.SHARED)
_SEED = flags.DEFINE_integer('seed', 0, 'Of the sampled motion.', **errors.SHARED)
_CLIPS = flags.DEFINE_integer('clips', None, 'Only so many clips.', **errors.SHARED)
_PARTS = flags.DEFINE_list('parts', ['reenact', 'audio'], 'What to measure.', **errors.SHARED)
SIDE = 512


def read_clip(clip):
  from ifmdm_jax.video import read

  frames = [
    cv2.resize(
      f, (SIDE, SIDE), interpolation=cv2.INTER_AREA if f.shape[0] > SIDE else cv2.INTER_CUBIC
    )
    for f in read.frames(clip.video)
  ]
  return np.stack(frames)


def openings(frames):
  """Mouth opening [T], found again on the pictures."""
  return face_mesh.mouth_opening(faces.FaceMesh().track(iter(frames)))


def reenact(sampler, frames, points):
  """One clip: ours against the first frame."""
  made = sampler.reenact(frames[0], frames)
  first = np.broadcast_to(frames[:1], frames.shape)
  row = {}
  for name, video in (('ours', made), ('first_frame', first)):
    mouth = [
      images.psnr(video[t][b], frames[t][b])
      for t in range(1, len(frames))
      for b in [images.mouth_box(points[t], SIDE)]
    ]
    row[name] = dict(
      psnr=float(images.psnr(video[1:], frames[1:]).mean()),
      mouth_psnr=float(np.mean(mouth)),
      lpips=lpips_of(video[1::5], frames[1::5]),
    )
  real, seen = openings(frames), openings(made)
  found = np.isfinite(real) & np.isfinite(seen)
  row['opening_r'] = sync.correlation(real[found], seen[found])
  row['opening_slope'] = float(np.polyfit(real[found], seen[found], 1)[0])
  return row, made


_lpips = {}


def lpips_of(a, b, side=256):
  """LPIPS (Alex) at 256 px, mean over frames."""
  import jax

  from ifmdm_jax.perception import lpips

  if not _lpips:
    params = lpips.load('alex')
    _lpips['distance'] = jax.jit(lambda x, y: lpips.distance(params, x, y))
  shrink = lambda v: (
    np.stack([cv2.resize(f, (side, side), interpolation=cv2.INTER_AREA) for f in v]).astype(
      np.float32
    )
    / 127.5
    - 1
  )
  a, b = shrink(a), shrink(b)
  return float(np.mean([_lpips['distance'](a[i : i + 1], b[i : i + 1]) for i in range(len(a))]))


def fit_judge(folder, encoder_features):
  clips = []
  for clip in tqdm(cache.clips(folder, 'train'), desc='judge', unit='clip'):
    points = clip.landmarks
    if not np.isfinite(points).all() or len(points) < 50:
      continue
    features = encoder_features(clip)
    if features is not None:
      clips.append((features, face_mesh.mouth_opening(points)))
  return sync.RidgeJudge.fit(clips)


_speech = {}


def speech(clip, encoder):
  from ifmdm_jax.audio import waveform

  if clip.name not in _speech:
    try:
      _speech[clip.name] = encoder.features(*waveform.read(clip.video))
    except errors.InputError:
      _speech[clip.name] = None
  return _speech[clip.name]


def strip(video, count=8, side=192):
  """Frames side by side, evenly spaced."""
  chosen = np.linspace(0, len(video) - 1, count).astype(int)
  return np.concatenate(
    [cv2.resize(video[i], (side, side), interpolation=cv2.INTER_AREA) for i in chosen], axis=1
  )


def save_strip(name, *videos):
  picture = np.concatenate([strip(v) for v in videos])
  cv2.imwrite(str(pathlib.Path(_OUTPUT.value) / f'{name}.jpg'), picture[..., ::-1])


def mean_of(rows, *path):
  for key in path:
    rows = [row[key] for row in rows]
  return float(np.mean(rows))


def main(_):
  import ifmdm_jax as ifm
  from ifmdm_jax.audio import features, waveform

  sampler = ifm.load(_CHECKPOINT.value)
  clips = cache.clips(_CACHE.value, _SPLIT.value)[: _CLIPS.value]
  encoder = features.load('whisper_tiny', layer=2)
  if _OUTPUT.value:
    pathlib.Path(_OUTPUT.value).mkdir(parents=True, exist_ok=True)
  judge = fit_judge(_CACHE.value, lambda c: speech(c, encoder)) if 'audio' in _PARTS.value else None
  results = {}
  for clip in tqdm(clips, desc=_SPLIT.value, unit='clip'):
    frames, row = read_clip(clip), {}
    if 'reenact' in _PARTS.value:
      row['reenact'], made = reenact(sampler, frames, clip.landmarks)
      if _OUTPUT.value:
        save_strip(f'reenact_{clip.name}', frames, made)
    sound = speech(clip, encoder)
    if 'audio' in _PARTS.value and sound is not None:
      made = sampler(frames[0], *waveform.read(clip.video), seed=_SEED.value)
      real, seen = openings(frames), openings(made)
      count = min(len(real), len(seen), len(sound) // 2)
      row['audio'] = {
        'real': judge.score(sound[: 2 * count], real[:count]),
        'ours': judge.score(sound[: 2 * count], seen[:count]),
        'shuffled': judge.chance(sound[: 2 * count], seen[:count]),
        'opening_std': float(seen.std()),
        'opening_std_real': float(real.std()),
      }
      if _OUTPUT.value:
        save_strip(f'audio_{clip.name}', frames[: len(made)], made)
    results[clip.name] = row
  report(results)


def report(results):
  rows = list(results.values())
  summary = {}
  reenacted = [r['reenact'] for r in rows if 'reenact' in r]
  if reenacted:
    for name in ('first_frame', 'ours'):
      for key in ('psnr', 'mouth_psnr', 'lpips'):
        summary[f'{name}_{key}'] = mean_of(reenacted, name, key)
    summary['opening_r'] = mean_of(reenacted, 'opening_r')
    summary['opening_slope'] = mean_of(reenacted, 'opening_slope')
  driven = [r['audio'] for r in rows if 'audio' in r]
  if driven:
    for key in driven[0]:
      summary[f'sync_ridge_{key}' if 'opening' not in key else key] = mean_of(driven, key)
  for name, value in summary.items():
    print(f'{name:24} {value:8.3f}')
  if _OUTPUT.value:
    text = json.dumps(dict(mean=summary, clips=results), indent=1)
    (pathlib.Path(_OUTPUT.value) / 'results.json').write_text(text + '\n')


if __name__ == '__main__':
  errors.run(main)
