"""How far can the sync network be trusted? Held-out people, real and generated.

  python experiments/sync_network/run.py --workdir runs/sync_network --lips runs/sync \
      --cache runs/cache --output experiments/sync_network

Parts: `length` finds the lag of real clips from pieces of 0.4 to 3 s; `moved` moves the voice of
whole clips; `rank` compares real videos, the bundled generator's and both with another part of the
voice. With --weights the network is written, in half precision.
"""

import json
import pathlib

import numpy as np
from absl import flags
from tqdm import tqdm

from ifmdm_jax import errors
from ifmdm_jax.evaluation import lip_sync
from ifmdm_jax.pipeline import lip_crops, records
from ifmdm_jax.pipeline.sources import lips as lip_windows
from ifmdm_jax.training import checkpoints, weights

_WORKDIR = flags.DEFINE_string(
  'workdir', None, 'Run of configs/sync_network.py; default: the bundled network.', **errors.SHARED
)
_CACHE = flags.DEFINE_string('cache', 'runs/cache', 'Made by ifmdm_jax.prepare.', **errors.SHARED)
_OUTPUT = flags.DEFINE_string('output', None, 'Folder for results.json.', **errors.SHARED)
_WEIGHTS = flags.DEFINE_string('weights', None, 'Where to write the network.', **errors.SHARED)
_PARTS = flags.DEFINE_multi_enum(
  'parts', ['length', 'moved', 'rank'], ['length', 'moved', 'rank'], 'What to do.', **errors.SHARED
)
_SECONDS = flags.DEFINE_float('seconds', 3.0, 'Of every generated clip.', **errors.SHARED)
_CLIPS = flags.DEFINE_integer('clips', None, 'Generate only so many.', **errors.SHARED)

LENGTHS = (6, 11, 21, 34, 46, 71)  # windows of five frames, 0.4 to 3 s
SHIFTS = lip_sync.SHIFTS


def read_clips(folder, split, features):
  """Lists (name, crops [T, 48, 48], speech features) of the lips of a set."""
  lips, clips = lip_crops.read(folder, split, features), []
  for entry, clip in zip(lips.entries, lips):
    crops, _ = lip_windows.centre(clip.lips, clip.points)
    clips.append((entry.name, crops, clip.features.astype(np.float32)))
  return clips


def by_length(network, clips):
  """{seconds: share of pieces whose lag is found within a frame; how many pieces and clips}.

  Pieces start every fifth frame, wherever all shifts of the voice exist; means within a clip, then
  over clips.
  """
  vectors = [(network.lips(crops), network.voices(speech)) for _, crops, speech in clips]
  rows = {}
  for length in LENGTHS:
    shares, pieces = [], 0
    for seen, voice_vectors in vectors:
      starts = range(SHIFTS, min(len(seen), len(voice_vectors)) - length - SHIFTS + 1, 5)
      hits = []
      for a in starts:
        part = seen[a : a + length].astype(np.float64)
        apart = [
          np.linalg.norm(part - voice_vectors[a + s : a + s + length], axis=1).mean()
          for s in range(-SHIFTS, SHIFTS + 1)
        ]
        hits.append(abs(int(np.argmin(apart)) - SHIFTS) <= 1)
      if hits:
        shares.append(float(np.mean(hits)))
        pieces += len(hits)
    if shares:
      seconds = (length + 4) / 25
      rows[f'{seconds:.2f}'] = dict(share=float(np.mean(shares)), pieces=pieces, clips=len(shares))
  return rows


def by_shift(network, clips):
  """Voices late by whole frames: {frames: [lag found less the own one, of each clip]}."""
  rows = {str(shift): [] for shift in (0, 3, 6, -3, -6)}
  for _, crops, speech in clips:
    seen = network.lips(crops[10:-10])
    lags = {}
    for shift in rows:
      # The voice of `shift` frames earlier stands at the pictures: it is late by as much.
      late = speech[(10 - int(shift)) * network.rate :][: (len(crops) - 20) * network.rate]
      lags[shift] = lip_sync.read(lip_sync.distances(seen, network.voices(late))).lag
      rows[shift].append(lags[shift] - lags['0'])
  return rows


def ranking(network, clips):
  """Per clip: LSE-C and LSE-D of the real and the generated video, each with its voice and with the
  voice of half a clip later, over the same frames."""
  import ifmdm_jax as ifm
  from ifmdm_jax.face import crop
  from ifmdm_jax.face.mesh import FaceMesh

  sampler, mesh, rows = ifm.load(), FaceMesh(1), []
  known = records.clips(_CACHE.value)
  places = {entry.name: index for index, entry in enumerate(known.entries)}
  for name, crops, speech in tqdm(clips[: _CLIPS.value], unit='clip'):
    clip = known[places[name]]
    voice = clip.waveform[: round(_SECONDS.value * clip.rate)]
    sampled = sampler(clip.frames[0], voice, clip.rate, seed=0)
    count = min(len(sampled), len(crops))
    drawn = crop.lips(sampled[:count], mesh.track(sampled[:count]))
    window = speech[: count * network.rate]
    rolled = np.roll(window, count // 2 * network.rate, axis=0)
    row = {}
    for video, pictures in (('real', crops[:count]), ('generated', drawn)):
      for voice, features in (('', window), ('_shuffled', rolled)):
        scores = network.scores(pictures, features)
        row[video + voice] = dict(lse_c=scores.confidence, lse_d=scores.distance, lag=scores.lag)
    rows.append(row)
    print(json.dumps(row), flush=True)
  return rows


def plot(rows, path):
  """Share of lags found against length."""
  import matplotlib

  matplotlib.use('agg')
  from matplotlib import pyplot

  figure, axes = pyplot.subplots(figsize=(5, 3.2), layout='constrained')
  seconds = [float(s) for s in rows]
  axes.plot(seconds, [100 * row['share'] for row in rows.values()], 'o-', label='sync network')
  axes.axhline(100 * 3 / 31, color='grey', linestyle=':', label='chance')
  axes.set(xlabel='seconds of lips', ylabel='lag found within a frame, %', ylim=(0, 103))
  axes.legend(frameon=False)
  figure.savefig(path, dpi=110)


def main(_):
  params, audio = None, 'whisper_tiny'
  if _WORKDIR.value:
    config, params = checkpoints.load(_WORKDIR.value)
    audio = config.model.audio
  if _WEIGHTS.value:
    path = pathlib.Path(_WEIGHTS.value)
    weights.write(path, params)
    print(f'{path}: {path.stat().st_size / 1e6:.2f} MB')
    params = lip_sync.sync_network.load(path)  # read as it ships
  network = lip_sync.Bundled(params, audio)
  clips = read_clips(_CACHE.value, 'val', audio)
  measures = {'length': by_length, 'moved': by_shift, 'rank': ranking}
  for part in _PARTS.value:
    result = measures[part](network, clips)
    print(json.dumps({part: result}, indent=1), flush=True)
    if _OUTPUT.value:  # after each part, so that none is lost
      path = pathlib.Path(_OUTPUT.value) / 'results.json'
      known = json.loads(path.read_text()) if path.exists() else {}
      path.write_text(json.dumps({**known, part: result}, indent=1) + '\n')
      if part == 'length':
        plot(result, path.with_name('length.png'))


if __name__ == '__main__':
  errors.run(main)
