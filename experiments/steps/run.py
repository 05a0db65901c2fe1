"""How few steps, and how short a window: motion on people never trained on, without drawing it.

  python experiments/steps/run.py --cache runs/cache --what steps --output experiments/steps
  python experiments/steps/run.py --cache runs/cache --what guidance --output experiments/steps
  python experiments/steps/run.py --cache runs/cache --what smoothing --output experiments/steps
  python experiments/steps/run.py --cache runs/cache --what plans --output experiments/steps
  python experiments/steps/run.py --cache runs/cache --what student --student runs/student \
      --output experiments/steps

The cache holds motion codes of the same autoencoder (python -m ifmdm_jax.prepare --autoencoder).
Columns of the table:

  mouth_r     correlation of the mouth opening, read from the codes by a ridge fitted on training
              people, with the real one of the clip
  sync_ridge  the same with the opening that the voice predicts, `evaluation/sync.py`
  shuffled    the same against the voice rolled by half the clip
  fmd         Frechet distance of gaussians over [code - the clip's mean, change per frame], in
              units of the real deviations: 0 is the real motion of the same clips
  opening_std deviation of the opening over the real one
  jitter      mean third difference of the 468 points, moved by the codes, over the real one
  seam        mean change between windows over mean change within: 1 is no seam
  ms          CPU time of the motion network per second of video

`--what steps` draws steps.png as well, from the table that is there: `--what plot` draws it again.
"""

import csv
import dataclasses
import pathlib
import time

import numpy as np
import scipy.linalg
from absl import flags
from tqdm import tqdm

import ifmdm_jax as ifm
from ifmdm_jax import bundle, errors
from ifmdm_jax.audio import features
from ifmdm_jax.evaluation import sync
from ifmdm_jax.face import lag
from ifmdm_jax.face.points import POINTS, mouth_opening, smooth
from ifmdm_jax.pipeline import codes as motion_codes
from ifmdm_jax.pipeline import landmark_code, records
from ifmdm_jax.streaming.windows import Plan, Window
from ifmdm_jax.systems.ifmdm.motion import model
from ifmdm_jax.systems.ifmdm.motion_stream import Controls, State
from ifmdm_jax.systems.ifmdm.sampler import Sampler, Stage

_CACHE = flags.DEFINE_string('cache', 'runs/cache', 'With motion codes.', **errors.SHARED)
_CHECKPOINT = flags.DEFINE_string('checkpoint', None, 'Default: bundled.', **errors.SHARED)
_MOTION = flags.DEFINE_string(
  'motion', None, "Workdir of a stage 2 to measure in place of the checkpoint's.", **errors.SHARED
)
_STUDENT = flags.DEFINE_string(
  'student', None, 'Workdir of a distilled stage 2, for --what student.', **errors.SHARED
)
_WHAT = flags.DEFINE_enum(
  'what',
  'steps',
  ['steps', 'guidance', 'smoothing', 'plans', 'student', 'plot'],
  'Which table.',
  **errors.SHARED,
)
_OUTPUT = flags.DEFINE_string('output', None, 'Folder for the table.', **errors.SHARED)
_CLIPS = flags.DEFINE_integer('clips', None, 'Only the first few, to try.', **errors.SHARED)
_SEEDS = flags.DEFINE_integer('seeds', 2, 'Motions per clip.', **errors.SHARED)

OFFLINE, STREAMING = Plan(56, 8, 0, 60), Plan(6, 4, 22, 39)
STEPS = [
  dict(stepper=stepper, steps=steps, guidance=1.5)
  for steps in (10, 4, 2, 6, 3, 1, 25)
  for stepper in ('ddim', 'dpm')
  if stepper == 'ddim' or 2 < steps < 25  # the first and the last step are DDIM's
] + [dict(stepper='ddim', steps='even10', guidance=1.5)]
GUIDANCE = [
  dict(stepper='ddim', steps=10, guidance=guidance) for guidance in (1.0, 1.25, 1.5, 1.75, 2.0, 2.5)
]
SMOOTHING = [(0.0, 0.0), (0.5, 0.0), (0.5, 0.25), (0.5, 0.5)]
PLANS = [
  OFFLINE, STREAMING,
  Plan(64, 0, 0, 60), Plan(40, 8, 16, 76), Plan(48, 8, 8, 68), Plan(6, 4, 0, 39),
  Plan(6, 4, 12, 39), Plan(6, 4, 39, 39), Plan(6, 4, 54, 114), Plan(10, 0, 39, 39),
  Plan(4, 6, 39, 39),
]  # fmt: skip


def with_motion(sampler, run):
  """Returns a sampler with another stage 2."""
  module, config, params = bundle.trained(run)
  return Sampler(
    sampler.stages[0],
    Stage(module, config, params),
    model.frozen(config),
    features.load(config.audio),
    options=sampler.defaults,
  )


def smoothed(sampler, shares):
  """Returns a sampler with other shares (head and face, lips) of `motion.sample.smooth`."""
  stage_1, motion, normalizer = sampler.stages
  config = motion.config.copy_and_resolve_references()
  config.smoothing = landmark_code.per_number(shares[0], lips=shares[1])
  stage_2 = Stage(motion.module, config, motion.params)
  return Sampler(
    stage_1, stage_2, normalizer, features.load(config.audio), options=sampler.defaults
  )


def load_clips(folder):
  """Yields codes, features, opening and voice of clips with sound and a face throughout."""
  for split in ('train', 'val'):
    clips, coded = records.clips(folder, split), motion_codes.read(folder, split)
    places = {entry.name: index for index, entry in enumerate(clips.entries)}
    for entry, track in zip(coded.entries, coded):
      if entry.count < 50:
        continue
      clip = clips[places[entry.name]]
      yield dict(
        split=split,
        codes=track.codes,
        features=track.features,
        opening=mouth_opening(smooth(clip.landmarks))[: entry.count],
        waveform=clip.waveform,
        rate=clip.rate,
      )


def fit_opening(clips, strength=1.0):
  """Fits weights [M] that read the mouth opening from codes, both less their clip's mean."""
  x = np.concatenate([c['codes'] - c['codes'].mean(0) for c in clips]).astype(np.float64)
  y = np.concatenate([c['opening'] - c['opening'].mean() for c in clips])
  return np.linalg.solve(x.T @ x + strength * np.eye(x.shape[1]), x.T @ y)


def motion_features(codes, scale):
  """Returns where codes [T, M] are and how they change, [T - 1, 2M]."""
  centred = codes - codes.mean(0)
  return np.concatenate([centred[1:], np.diff(codes, axis=0)], axis=1) / scale


def frechet(a, b):
  """Measures the squared Frechet distance of the gaussians of two sets [N, D]."""
  cov_a, cov_b = np.cov(a.T), np.cov(b.T)
  root = scipy.linalg.sqrtm(cov_a @ cov_b)
  return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a + cov_b - 2 * root.real))


def windows_of(sampler, clips, plan):
  """Returns the windows of all clips side by side, `Window`s with a leading axis."""
  per_clip = []
  for clip in clips:
    listener = sampler.listener(plan, clip['rate'])
    listener.add(clip['waveform'])
    listener.close()
    windows = []
    while listener.ready():
      windows.append(listener.take())
    per_clip.append(windows)
  longest = max(map(len, per_clip))
  over = per_clip[0][0]._replace(count=0)  # a clip that has ended goes on, unused
  rows = [[w[i] if i < len(w) else over for w in per_clip] for i in range(longest)]
  return [Window(*map(np.stack, zip(*row))) for row in rows]


def sample_all(sampler, clips, windows, plan, seed, solver):
  """Samples codes of every clip, side by side; with CPU seconds per second of video."""
  rest = np.stack([c['codes'][:1] for c in clips])  # [clips, 1, M]
  std = np.broadcast_to(sampler.stages[2].statistics['window_std'], rest.shape).astype(np.float32)
  seeds = np.uint32(1000 * seed + np.arange(len(clips)))
  given = np.ones((len(clips), 2), bool)
  controls = Controls(seeds, rest, std, given, rest, np.ones_like(rest))
  state = State(np.repeat(rest, 1 + plan.known, axis=1), np.zeros(len(clips), np.uint32))
  sampled, began = [[] for _ in clips], None
  for window in windows:
    codes, state = sampler.advance(
      window.y, window.valid, state, controls, new=plan.new, solver=solver
    )
    codes = np.asarray(codes)
    for row, (own, count) in enumerate(zip(sampled, window.count)):
      own.append(codes[row, :count])
    began = began or time.process_time()  # the first window compiles
  frames = (len(windows) - 1) * plan.new * len(clips)
  spent = (time.process_time() - began) * 25 / max(frames, 1)
  return [np.concatenate(own) for own in sampled], spent


def jitter(codes, decode):
  """Averages the third difference, over frames, of the points that codes [T, M] move."""
  points = (np.diff(codes, 3, axis=0) @ decode).reshape(-1, POINTS, 2)
  return np.linalg.norm(points, axis=-1).mean()


def measure(clips, sampled, plan, read, ridge, scale, decode):
  """Returns the columns of the table for codes [T, M] of each clip."""
  rows = []
  for clip, codes in zip(clips, sampled):
    count = min(len(codes), len(clip['opening']))
    opening = codes[:count] @ read
    features = clip['features'][: 2 * count]
    change = np.abs(np.diff(codes, axis=0)).mean(1)
    at_seam = np.arange(plan.new - 1, len(change), plan.new)
    rows.append(
      dict(
        mouth_r=lag.find(clip['opening'][:count], smooth(opening), sync.MOST).r,
        sync_ridge=ridge.lag(features, opening, sync.MOST).r,
        shuffled=ridge.lag(sync.shuffled(features), opening, sync.MOST).r,
        opening_std=opening.std() / (clip['codes'] @ read).std(),
        jitter=jitter(codes, decode) / jitter(clip['codes'], decode),
        seam=change[at_seam].mean() / np.delete(change, at_seam).mean() if plan.new > 1 else 1,
      )
    )
  mean = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
  real = np.concatenate([motion_features(c['codes'], scale) for c in clips])
  other = np.concatenate([motion_features(c, scale) for c in sampled])
  return dict(mean, fmd=frechet(real, other))


def main(_):
  if _WHAT.value == 'plot':
    plot(pathlib.Path(_OUTPUT.value or 'experiments/steps'))
    return
  clips = list(load_clips(_CACHE.value))
  train = [c for c in clips if c['split'] == 'train']
  clips = [c for c in clips if c['split'] == 'val'][: _CLIPS.value]
  read = fit_opening(train)
  ridge = lag.OpeningRidge.fit([(c['features'], c['opening']) for c in train])
  with np.load(landmark_code.BUNDLED) as file:
    decode = file['decode']
  scale = np.concatenate([motion_features(c['codes'], 1) for c in train]).std(0)

  samplers = {'teacher': ifm.load(_CHECKPOINT.value, teacher=True)}
  if _MOTION.value:
    samplers['teacher'] = with_motion(samplers['teacher'], _MOTION.value)
  if _STUDENT.value:
    samplers['student'] = with_motion(samplers['teacher'], _STUDENT.value)
  rows = []

  def add(name, plan, **options):
    sampler, measured = samplers[name], []
    if plan not in windows:
      windows[plan] = windows_of(sampler, clips, plan)
    solver = sampler.options(**options).solver
    for seed in range(_SEEDS.value):
      sampled, spent = sample_all(sampler, clips, windows[plan], plan, seed, solver)
      figures = measure(clips, sampled, plan, read, ridge, scale, decode)
      measured.append(dict(figures, ms=1000 * spent))
    mean = {key: float(np.mean([row[key] for row in measured])) for key in measured[0]}
    chosen = dict(steps=str(solver.steps), guidance=solver.guidance, stepper=solver.stepper)
    rows.append(dict(model=name, **dataclasses.asdict(plan), **chosen, **mean))
    report(rows)

  windows = {}
  if _WHAT.value in ('steps', 'guidance'):
    for options in tqdm(STEPS if _WHAT.value == 'steps' else GUIDANCE, disable=None):
      add('teacher', OFFLINE, **options)
  elif _WHAT.value == 'smoothing':
    for shares in SMOOTHING:
      name = f'smoothed {shares}'
      samplers[name] = smoothed(samplers['teacher'], shares)
      for guidance in (1.5, 1.75, 2.0):
        add(name, OFFLINE, guidance=guidance)
  elif _WHAT.value == 'student':
    for plan in (OFFLINE, STREAMING):
      add('teacher', plan)
      for steps in (4, 2, 1):
        add('student', plan, steps=steps, guidance=1.0, stepper='ddim')
  else:
    for plan in tqdm(PLANS, disable=None):
      add('teacher', plan)
  real = [c['codes'] for c in clips]
  rows.append(dict(model='real', **measure(clips, real, OFFLINE, read, ridge, scale, decode)))
  report(rows)
  if _WHAT.value == 'steps' and _OUTPUT.value:
    plot(pathlib.Path(_OUTPUT.value))


def plot(folder):
  """Draws steps.png from steps.csv: four measures against the number of evaluations."""
  from matplotlib import pyplot

  with open(folder / 'steps.csv', newline='') as file:
    rows = list(csv.DictReader(file))
  rows, real = [row for row in rows if row['steps'].startswith('trailing')], rows[-1]
  figure, places = pyplot.subplots(1, 4, figsize=(11, 2.6), layout='constrained')
  for place, name in zip(places, ('fmd', 'mouth_r', 'opening_std', 'jitter')):
    for stepper, mark in (('ddim', 'o-'), ('dpm', 's--')):
      points = sorted(
        (int(row['steps'].removeprefix('trailing')), float(row[name]))
        for row in rows
        if row['stepper'] == stepper
      )
      place.plot(*zip(*points), mark, label=stepper, markersize=4)
    if name in ('opening_std', 'jitter'):
      place.axhline(float(real[name]), color='grey', linewidth=0.8)  # real motion
    place.set(title=name, xlabel='evaluations', xscale='log', xticks=(1, 2, 4, 10, 25))
    place.set_xticks((1, 2, 4, 10, 25), ('1', '2', '4', '10', '25'))
    place.minorticks_off()
  places[0].legend(frameon=False)
  figure.savefig(folder / 'steps.png', dpi=90)


def report(rows):
  """Prints the last row and writes all of them."""
  row = {k: f'{v:.3f}' if isinstance(v, float) else str(v) for k, v in rows[-1].items()}
  print('  '.join(f'{k} {v}' for k, v in row.items()), flush=True)
  if _OUTPUT.value:
    path = pathlib.Path(_OUTPUT.value) / f'{_WHAT.value}.csv'
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, 'w', newline='') as file:
      table = csv.DictWriter(file, list(rows[0]))
      table.writeheader()
      table.writerows(
        {k: f'{v:.3f}' if isinstance(v, float) else v for k, v in r.items()} for r in rows
      )


if __name__ == '__main__':
  errors.run(main)
