"""Does motion drift? Codes of minutes of real speech and of silence, minute by minute.

  python experiments/drift/run.py --voices FOLDER --minutes 10 --output experiments/drift
  python experiments/drift/run.py --voices FOLDER --checkpoint runs/lite --sound silence --minutes 5

The voice is what lies in FOLDER (sound files and videos at any depth, those first whose names are
given by --first), one after the other without repeats. Portraits are all pictures of --portraits,
or so many of them; nothing is drawn. A row is a minute of all portraits, both plans:

  r       of the drawn opening with the one that the voice predicts (`evaluation/sync.py`), mean
  spread, mean   of the opening, read from the codes
  range   share of codes within the range of 99.9 % of the people trained on
"""

import csv
import pathlib

import cv2
import numpy as np
from absl import flags

import ifmdm_jax as ifm
from ifmdm_jax import errors
from ifmdm_jax.audio import features, waveform
from ifmdm_jax.evaluation import drift, sync
from ifmdm_jax.rates import FPS, SAMPLE_RATE
from ifmdm_jax.systems.ifmdm import motion_stream

flags.DEFINE_string('checkpoint', None, 'Default: the bundled weights.', **errors.SHARED)
flags.DEFINE_bool('teacher', False, 'The undistilled network.', **errors.SHARED)
flags.DEFINE_string('statistics', None, 'With openings; default: of the weights.', **errors.SHARED)
flags.DEFINE_string('voices', None, 'Folder of sounds and videos.', **errors.SHARED)
flags.DEFINE_string('first', '', 'Only files in whose path this is found.', **errors.SHARED)
flags.DEFINE_string('portraits', None, 'Folder of pictures.', **errors.SHARED)
flags.DEFINE_integer('count', 5, 'Portraits, spread over the folder.', **errors.SHARED)
flags.DEFINE_float('minutes', 10.0, 'Of sound.', **errors.SHARED)
flags.DEFINE_enum('sound', 'voice', ['voice', 'silence', 'room'], 'What is heard.', **errors.SHARED)
flags.DEFINE_list('plans', ['offline', 'streaming'], 'Windows.', **errors.SHARED)
flags.DEFINE_string('output', None, 'Folder for drift.csv, which is added to.', **errors.SHARED)
F = flags.FLAGS
KINDS = {'.wav', '.flac', '.mp3', '.mp4', '.mov', '.webm'}
BLOCK = 20 * FPS  # frames that the voice's opening is predicted for at once


def voice(minutes):
  """Joins the voices: float32 [L] at 16 kHz."""
  found, wanted = [], round(minutes * 60 * SAMPLE_RATE)
  paths = sorted(p for p in pathlib.Path(F.voices).rglob('*') if p.suffix.lower() in KINDS)
  for path in (p for p in paths if F.first in str(p)):
    try:
      found.append(waveform.prepare(*waveform.read(path)))
    except errors.InputError:
      continue  # a video without sound
    if sum(map(len, found)) >= wanted:
      break
  made = np.concatenate(found)[:wanted]
  if len(made) < wanted:
    raise errors.InputError(
      f'expected {minutes:g} minutes of voices in {F.voices}, found {len(made) / 960_000:.1f}: '
      'pass more, or fewer --minutes'
    )
  return made


def sound(minutes):
  """Makes what is heard, and the opening that it predicts (None for silence)."""
  length = round(minutes * 60 * SAMPLE_RATE)
  if F.sound == 'silence':
    return np.zeros(length, np.float32), None
  if F.sound == 'room':
    noise = np.random.default_rng(0).standard_normal(length)
    return np.float32(10 ** (-45 / 20) * noise), None
  made, judge = voice(minutes), sync.load().ridge
  heard = features.load('whisper_tiny', layer=2).features(made, SAMPLE_RATE)
  parts = [heard[i : i + 2 * BLOCK] for i in range(0, len(heard), 2 * BLOCK)]
  return made, np.concatenate([judge.predict(part) for part in parts])


def codes_of(sampler, heard, portraits, plan):
  """Samples the motion of all portraits side by side: float32 [portraits, T, M]."""
  typical = sampler.stages[2].statistics['window_std']
  options, listener = sampler.options(), sampler.listener(plan, SAMPLE_RATE)
  begun = [
    (
      motion_stream.start(code, plan),
      motion_stream.controls(code, typical, options, seed),
    )
    for seed, code in enumerate(portraits)
  ]
  join = lambda *rows: np.concatenate(rows)
  state = motion_stream.State(*map(join, *(state for state, _ in begun)))
  controls = motion_stream.Controls(*map(join, *(controls for _, controls in begun)))
  listener.add(heard)
  listener.close()
  made = []
  while listener.ready():
    window = listener.take()
    many = lambda x: np.repeat(x[None], len(portraits), axis=0)
    codes, state = sampler.advance(
      many(window.y), many(window.valid), state, controls, new=plan.new, solver=options.solver
    )
    made.append(np.asarray(codes)[:, : window.count])
  return np.concatenate(made, axis=1)


def portraits_of(sampler):
  """Returns the codes [portraits, 1, M] of some pictures."""
  paths = sorted(pathlib.Path(F.portraits).glob('*.jpg'))
  paths = paths[:: max(1, len(paths) // F.count)][: F.count]
  pictures = [cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB) for path in paths]
  return [np.asarray(sampler.portrait(picture).code) for picture in pictures]


def main(_):
  sampler = ifm.load(F.checkpoint, teacher=F.teacher)
  statistics = sampler.stages[2].statistics
  if F.statistics:
    statistics = dict(np.load(F.statistics))
  heard, predicted = sound(F.minutes)
  portraits, rows = portraits_of(sampler), []
  for name in F.plans:
    codes = codes_of(sampler, heard, portraits, getattr(sampler, name))
    rests = [_rest(code[0], statistics) for code in portraits]
    heard_by = None if predicted is None else predicted[: codes.shape[1]]
    found = [drift.table(own, rest, statistics, heard_by) for own, rest in zip(codes, rests)]
    for minute in range(len(found[0]['r'])):
      mean = {key: float(np.mean([one[key][minute] for one in found])) for key in found[0]}
      rows.append(dict(sound=F.sound, plan=name, minute=minute + 1, **mean))
    total = [drift.score(one) for one in found]
    summary = {key: float(np.mean([one[key] for one in total])) for key in total[0]}
    if predicted is None:
      rest = max(drift.silence_rest(own, statistics) for own in codes)
      summary = dict(silence_rest=rest, code_range=summary['code_range'])
    print(name, ' '.join(f'{key} {value:.4f}' for key, value in summary.items()), flush=True)
  for row in rows:
    print('  '.join(f'{k} {v:.3f}' if isinstance(v, float) else f'{k} {v}' for k, v in row.items()))
  if F.output:
    path = pathlib.Path(F.output) / 'drift.csv'
    weights = F.checkpoint or 'bundled'
    new = not path.exists()
    with open(path, 'a', newline='') as file:
      table = csv.DictWriter(file, ['weights', *rows[0]])
      if new:
        table.writeheader()
      for row in rows:
        row = {k: f'{v:.4f}' if isinstance(v, float) else v for k, v in row.items()}
        table.writerow(dict(row, weights=weights))


def _rest(reference, statistics):
  """The reference with its lips closed, as `motion.normalizer.Normalizer.rest`."""
  open_by = max(drift.opening(reference, statistics), 0.0)
  return reference - open_by * statistics['opening_way']


if __name__ == '__main__':
  errors.run(main)
