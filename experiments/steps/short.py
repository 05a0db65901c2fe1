"""How cheap may a window be? Motion of short clips by their codes, for each plan and solver asked.

  python experiments/steps/short.py --protocol data/protocols/val_shared.json \
      --plans 6-4-22-39,6-4-12-24 --steps 4,2 --output experiments/steps

Portraits are the first frames of the protocol's clips, voices their own; the clips are sampled side
by side and nothing is drawn. A plan is new-future-known-past, see `streaming.windows.Plan`; a row
of short.csv is a plan, a number of evaluations and the noise that lips start from (--lips):

  sync_ridge, shuffled   r of the opening with that predicted from the voice, and from another
  opening, head, jitter  deviation of the opening, of the pose, and third difference of all points,
                         over those of the real codes
  seam                   mean change between windows over that within
  speech_ms, motion_ms   of one core, for one window of one voice
"""

import pathlib
import time

import jax
import numpy as np
from absl import flags
from tqdm import tqdm

import ifmdm_jax as ifm
from ifmdm_jax import errors, files
from ifmdm_jax.audio import features
from ifmdm_jax.evaluation import protocol, sync
from ifmdm_jax.face import lag
from ifmdm_jax.face.points import POINTS
from ifmdm_jax.pipeline import landmark_code
from ifmdm_jax.rates import SAMPLE_RATE
from ifmdm_jax.streaming.windows import Plan
from ifmdm_jax.systems.ifmdm import motion_stream
from ifmdm_jax.systems.ifmdm.sampler import Sampler, Stage
from ifmdm_jax.video import read

_PROTOCOL = flags.DEFINE_string('protocol', None, 'Which clips: a JSON file.', **errors.SHARED)
_CHECKPOINT = flags.DEFINE_string('checkpoint', None, 'Default: bundled.', **errors.SHARED)
_STUDENT = flags.DEFINE_string(
  'student', None, 'A safetensors file in place of its student.', **errors.SHARED
)
_PLANS = flags.DEFINE_list('plans', ['52-8-4-60', '6-4-22-39'], 'See above.', **errors.SHARED)
_STEPS = flags.DEFINE_list('steps', ['4'], 'Evaluations.', **errors.SHARED)
_LIPS = flags.DEFINE_list('lips', [''], 'Noise of lips; empty: as trained.', **errors.SHARED)
_SEEDS = flags.DEFINE_integer('seeds', 2, 'Motions per clip.', **errors.SHARED)
_CODES = flags.DEFINE_string('codes', 'out/codes', 'Keeps codes of clips here.', **errors.SHARED)
_OUTPUT = flags.DEFINE_string('output', None, 'Folder of short.csv, added to.', **errors.SHARED)
REPEATS = 15  # of what is timed


def clips_of(path, sampler):
  """Lists the clips of a protocol: {'codes' [T, M] of frames, 'voice' [L], 'speech' [2T, A]}."""
  asked, clips, whisper = protocol.read(path), [], features.load('whisper_tiny', layer=2)
  for entry in tqdm(asked.clips, mininterval=30):
    source = protocol.find(asked, entry)
    kept = pathlib.Path(_CODES.value) / f'{asked.name}_{entry.name}.npy'
    if not kept.exists():
      frames = protocol.fit(list(read.frames(source)), sampler.size)
      kept.parent.mkdir(parents=True, exist_ok=True)
      with files.atomic(kept) as half, open(half, 'wb') as file:
        np.save(file, np.asarray(sampler.renderer.read(frames)))
    voice = protocol.listen(source, entry)
    clips.append(
      dict(codes=np.load(kept), voice=voice, speech=whisper.features(voice, SAMPLE_RATE))
    )
  return clips


def with_stage(sampler, lips):
  """Returns a sampler with another student, and another share of noise for lips, if asked for."""
  first, motion, normalizer = sampler.stages
  config, params = motion.config.copy_and_resolve_references(), motion.params
  if _STUDENT.value:
    params = files.read_arrays(_STUDENT.value)
  if lips:
    chance = np.array(config.chance)
    chance[landmark_code.LIPS] = float(lips)
    config.chance = tuple(chance.tolist())
  stage = Stage(motion.module, config, params)
  return Sampler(first, stage, normalizer, sampler.audio, options=sampler.defaults)


def sample(sampler, clips, plan, solver, seed):
  """Samples codes [T, M] of every clip, side by side."""
  windows = []
  for clip in clips:
    listener = sampler.listener(plan, SAMPLE_RATE)
    listener.add(clip['voice'])
    listener.close()
    windows.append([])
    while listener.ready():
      windows[-1].append(listener.take())
  begun = [
    motion_stream.controls(
      clip['codes'][:1],
      sampler.stages[2].statistics['window_std'],
      sampler.options(),
      100 * seed + k,
    )
    for k, clip in enumerate(clips)
  ]
  controls = motion_stream.Controls(*map(np.concatenate, zip(*begun)))
  starts = [motion_stream.start(clip['codes'][:1], plan) for clip in clips]
  state, made = motion_stream.State(*map(np.concatenate, zip(*starts))), [[] for _ in clips]
  for k in range(max(map(len, windows))):
    row = [own[min(k, len(own) - 1)] for own in windows]  # a clip that has ended goes on, unused
    y, valid = (np.stack([getattr(window, name) for window in row]) for name in ('y', 'valid'))
    codes, state = sampler.advance(y, valid, state, controls, new=plan.new, solver=solver)
    codes = np.asarray(codes)
    for who, own in enumerate(windows):
      if k < len(own):
        made[who].append(codes[who, : own[k].count])
  return [np.concatenate(own) for own in made]


def jitter(codes, decode):
  """Averages the third difference, over frames, of the points that codes [T, M] move."""
  points = (np.diff(codes, 3, axis=0) @ decode).reshape(-1, POINTS, 2)
  return np.linalg.norm(points, axis=-1).mean()


def measure(clips, sampled, plan, normalizer):
  """Averages the columns of the table over clips."""
  judge, decode, rows = lag.load(), landmark_code.load().decode, []
  head = landmark_code.BLOCK['pose']
  spread = lambda codes: np.sqrt(codes[:, head].var(0).mean())
  for clip, codes in zip(clips, sampled):
    count = min(len(codes), len(clip['codes']), len(clip['speech']) // 2)
    codes, real, speech = codes[:count], clip['codes'][:count], clip['speech'][: 2 * count]
    opening = np.asarray(normalizer.opening(codes))
    change = np.abs(np.diff(codes, axis=0)).mean(1)
    at_seam = np.arange(plan.new - 1, len(change), plan.new)
    rows.append(
      dict(
        sync_ridge=judge.lag(speech, opening, sync.MOST).r,
        shuffled=judge.lag(sync.shuffled(speech), opening, sync.MOST).r,
        opening=opening.std() / np.asarray(normalizer.opening(real)).std(),
        head=spread(codes) / spread(real),
        jitter=jitter(codes, decode) / jitter(real, decode),
        seam=change[at_seam].mean() / np.delete(change, at_seam).mean() if len(at_seam) else np.nan,
      )
    )
  return {name: float(np.nanmean([row[name] for row in rows])) for name in rows[0]}


def spent(sampler, clip, plan, solver):
  """Times the speech encoder and the motion network for one window, ms of CPU: medians."""
  code = clip['codes'][:1]
  sound = np.resize(clip['voice'], (plan.past + plan.new + plan.future) * SAMPLE_RATE // 25)
  typical = sampler.stages[2].statistics['window_std']
  window = (
    np.zeros((1, 2 * plan.length, sampler.audio.width), np.float32),
    np.ones((1, plan.length), np.float32),
    motion_stream.start(code, plan),
    motion_stream.controls(code, typical, sampler.options()),
  )
  runs = dict(
    speech_ms=lambda: sampler.audio.features(sound, SAMPLE_RATE),
    motion_ms=lambda: sampler.advance(*window, new=plan.new, solver=solver),
  )
  found = {}
  for name, run in runs.items():
    jax.block_until_ready(run())
    took = []
    for _ in range(REPEATS):
      began = time.process_time()
      jax.block_until_ready(run())
      took.append(1000 * (time.process_time() - began))
    found[name] = float(np.median(took))
  return found


def main(_):
  if _PROTOCOL.value is None:
    raise errors.InputError('expected --protocol, got none: data/protocols has some')
  bundled = ifm.load(_CHECKPOINT.value)
  clips, rows = clips_of(_PROTOCOL.value, bundled), []
  for lips in _LIPS.value:
    sampler = with_stage(bundled, lips)
    for words in _PLANS.value:
      plan = Plan(*map(int, words.split('-')))
      for steps in map(int, _STEPS.value):
        solver = sampler.options(steps=steps).solver
        measured = [
          measure(clips, sample(sampler, clips, plan, solver, seed), plan, sampler.stages[2])
          for seed in range(_SEEDS.value)
        ]
        mean = {name: np.mean([each[name] for each in measured]) for name in measured[0]}
        row = dict(clips=pathlib.Path(_PROTOCOL.value).stem, plan=words, steps=steps, lips=lips)
        row |= {k: f'{v:.3f}' for k, v in mean.items()}
        row |= {k: f'{v:.1f}' for k, v in spent(sampler, clips[0], plan, solver).items()}
        rows.append(row)
        print('  '.join(f'{name} {value}' for name, value in row.items()), flush=True)
  if _OUTPUT.value:
    files.add_rows(pathlib.Path(_OUTPUT.value) / 'short.csv', rows)


if __name__ == '__main__':
  errors.run(main)
