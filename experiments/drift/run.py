"""Does motion drift? Minutes of real speech, of silence, of a room, minute by minute, undrawn.

  python experiments/drift/voices.py --data ../shared/data --output out/voices.wav
  python experiments/drift/run.py --voices out/voices.wav --portraits PORTRAITS --output DIR
  python experiments/drift/run.py --portraits PORTRAITS --sound silence --minutes 5 --output DIR
  python experiments/drift/run.py --voices out/voices.wav --portraits PORTRAITS --minutes 10 \
      --plans offline --times 144 --count 1 --output DIR                      # 24 hours

The portraits are so many pictures of a folder, spread over it, side by side; nothing is drawn. The
voice is a sound file, or what lies in a folder in the order of its names, without repeats. `pause`
is the voice with silence in every second minute. A row of drift.csv is a minute, mean over the
portraits; with --times above 1 a row of hours.csv is one time of the whole sound, added when it is
made, and begun_SOUND_PLAN.npz keeps where motion has come to until the last: the same command, if
it was stopped, goes on from there.

  r            of the opening with the one that the voice predicts (`face/lag.py`)
  spread, mean of the opening, read from the codes, in distances of the eyes' outer corners
  range        share of codes inside the range of 99.9 % of the people trained on
  centre       furthest that the middle of all landmarks gets from the portrait's, in face heights
  r_anew, spread_anew, mean_anew   the same minute of the sound, begun from the portrait
"""

import pathlib

import cv2
import numpy as np
from absl import flags

import ifmdm_jax as ifm
from ifmdm_jax import errors, files
from ifmdm_jax.audio import features, waveform
from ifmdm_jax.evaluation import drift
from ifmdm_jax.face import lag
from ifmdm_jax.face.points import POINTS
from ifmdm_jax.generator import Motion
from ifmdm_jax.pipeline import landmark_code
from ifmdm_jax.rates import FPS, SAMPLE_RATE
from ifmdm_jax.systems.ifmdm import motion_stream
from ifmdm_jax.systems.ifmdm.sampler import Sampler

flags.DEFINE_string('checkpoint', None, 'Default: the bundled weights.', **errors.SHARED)
flags.DEFINE_bool('teacher', False, 'The undistilled network.', **errors.SHARED)
flags.DEFINE_string('statistics', None, 'With openings; default: of the weights.', **errors.SHARED)
flags.DEFINE_bool('belt', True, 'Whether codes are held within the range.', **errors.SHARED)
flags.DEFINE_string('voices', None, 'A sound file, or a folder of some.', **errors.SHARED)
flags.DEFINE_string('portraits', None, 'Folder of pictures.', **errors.SHARED)
flags.DEFINE_integer('count', 5, 'Portraits, spread over the folder.', **errors.SHARED)
flags.DEFINE_float('minutes', 10.0, 'Of sound.', **errors.SHARED)
flags.DEFINE_enum(
  'sound', 'voice', ['voice', 'silence', 'room', 'pause'], 'What is heard.', **errors.SHARED
)
flags.DEFINE_integer('times', 1, 'How often the sound is gone through.', **errors.SHARED)
flags.DEFINE_list('plans', ['offline', 'streaming'], 'Windows.', **errors.SHARED)
flags.DEFINE_string('output', None, 'Folder of the table, which is added to.', **errors.SHARED)
F = flags.FLAGS
KINDS = {'.wav', '.flac', '.mp3', '.mp4', '.mov', '.webm'}
MINUTE = 60 * FPS
BLOCK = 20 * FPS  # frames that the voice's opening is predicted for at once
ROOM = -45.0  # dB
FACE = 0.5  # of the picture's side: the height of a face
FIGURES = ('r', 'spread', 'mean', 'range', 'centre', 'r_anew', 'spread_anew', 'mean_anew')


def voice(length):
  """Reads `length` samples of the voices, float32 at 16 kHz."""
  path, sounds = pathlib.Path(F.voices), []
  paths = (
    sorted(p for p in path.rglob('*') if p.suffix.lower() in KINDS) if path.is_dir() else [path]
  )
  for each in paths:
    sounds.append(waveform.prepare(*waveform.read(each)))
    if sum(map(len, sounds)) >= length:
      return np.concatenate(sounds)[:length]
  raise errors.InputError(
    f'expected {length / 960_000:g} minutes of voices in {path}, found '
    f'{sum(map(len, sounds)) / 960_000:.1f}: pass more, or fewer --minutes'
  )


def sound(minutes):
  """Makes what is heard, [L], and the opening that it predicts, [T], NaN where nobody speaks."""
  length = round(minutes * 60 * SAMPLE_RATE)
  nothing = np.full(length * FPS // SAMPLE_RATE, np.nan)
  if F.sound == 'silence':
    return np.zeros(length, np.float32), nothing
  if F.sound == 'room':
    noise = np.random.default_rng(0).standard_normal(length)
    return np.float32(10 ** (ROOM / 20) * noise), nothing
  heard, quiet = voice(length), np.zeros(length, bool)
  if F.sound == 'pause':
    quiet = np.arange(length) // (60 * SAMPLE_RATE) % 2 == 1
  heard = np.where(quiet, np.float32(0), heard)
  speech = features.load('whisper_tiny', layer=2).features(heard, SAMPLE_RATE)
  judge = lag.load()
  parts = [speech[i : i + 2 * BLOCK] for i in range(0, len(speech), 2 * BLOCK)]
  predicted = np.concatenate([judge.predict(part) for part in parts])
  return heard, np.where(quiet[:: SAMPLE_RATE // FPS], np.nan, predicted)


def listened(sampler, heard, plan):
  """Lists the windows of a sound."""
  listener = sampler.listener(plan, SAMPLE_RATE)
  listener.add(heard)
  listener.close()
  windows = []
  while listener.ready():
    windows.append(listener.take())
  return windows


def codes_of(sampler, windows, portraits, plan, state=None):
  """Samples the motion of all portraits side by side, from the portraits or from a state.

  Yields:
    Codes float32 [portraits, t, M] of a window, and the state after it.
  """
  typical = sampler.stages[2].statistics['window_std']
  options = sampler.options()
  begun = [
    (
      motion_stream.start(code, plan),
      motion_stream.controls(code, typical, options, seed),
    )
    for seed, code in enumerate(portraits)
  ]
  join = lambda *rows: np.concatenate(rows)
  if state is None:
    state = motion_stream.State(*map(join, *(state for state, _ in begun)))
  controls = motion_stream.Controls(*map(join, *(controls for _, controls in begun)))
  many = lambda x: np.repeat(x[None], len(portraits), axis=0)
  for window in windows:
    codes, state = sampler.advance(
      many(window.y), many(window.valid), state, controls, new=plan.new, solver=options.solver
    )
    yield np.asarray(codes)[:, : window.count], state


def chosen_of(folder, count):
  """Lists `count` pictures of a folder, spread over it."""
  paths = sorted(pathlib.Path(folder).glob('*.jpg'))
  return paths[:: max(1, len(paths) // count)][:count]


def portraits_of(sampler):
  """Returns the codes [portraits, 1, M] of some pictures."""
  paths = chosen_of(F.portraits, F.count)
  pictures = [cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB) for path in paths]
  return [np.asarray(sampler.portrait(picture).code) for picture in pictures]


def figures(codes, portraits, normalizer, predicted, seconds):
  """Measures pieces of codes [portraits, T, M]: {name of FIGURES: [pieces]}, means of portraits."""
  decode, rows = landmark_code.load().decode, []
  for own, code in zip(codes, portraits):
    motion = Motion(np.asarray(normalizer.opening(own)), normalizer.inside(own, code))
    found = drift.table(motion, predicted, seconds)
    middle = (own - code) @ decode.reshape(-1, POINTS, 2).mean(1) / FACE
    spans = drift.pieces(len(own), seconds)
    found['centre'] = np.array([np.abs(middle[span]).max() for span in spans])
    rows.append(found)
  furthest = lambda name: np.max if name == 'centre' else np.mean
  mean = {name: furthest(name)([row[name] for row in rows], axis=0) for name in rows[0]}
  opening = np.asarray(normalizer.opening(codes))
  return mean, max(map(drift.silence_rest, opening))


def with_range(sampler):
  """Returns a sampler without its belt if --belt=false, and the normalizer to measure by."""
  stage_1, motion, normalizer = sampler.stages
  if F.statistics:
    statistics = normalizer.statistics | dict(np.load(F.statistics))
    return sampler, normalizer.replace(statistics=statistics, fixed=True)
  if F.belt:
    return sampler, normalizer
  endless = np.full_like(normalizer.statistics['highest'], np.inf)
  free = normalizer.replace(
    statistics=normalizer.statistics | dict(lowest=-endless, highest=endless)
  )
  return Sampler(stage_1, motion, free, sampler.audio, options=sampler.defaults), normalizer


def minute_by_minute(sampler, normalizer, plan, portraits, heard, predicted):
  """Measures a sound, and each of its minutes begun anew."""
  sample = lambda sound: np.concatenate(
    [codes for codes, _ in codes_of(sampler, listened(sampler, sound, plan), portraits, plan)],
    axis=1,
  )
  found, rest = figures(sample(heard), portraits, normalizer, predicted, 60.0)
  print(f'silence_rest {rest:.4f}' if F.sound in ('silence', 'room') else 'voice', flush=True)
  if F.sound == 'voice':
    anew = []
    for k in range(len(found['r'])):
      samples = slice(k * MINUTE * SAMPLE_RATE // FPS, (k + 1) * MINUTE * SAMPLE_RATE // FPS)
      own = predicted[k * MINUTE : (k + 1) * MINUTE]
      anew.append(figures(sample(heard[samples]), portraits, normalizer, own, 60.0)[0])
    anew = drift.joined(anew)
    found |= {f'{name}_anew': anew[name] for name in ('r', 'spread', 'mean')}
  return found


def time_by_time(sampler, normalizer, plan, portraits, heard, predicted, kept, about):
  """Measures a sound that is gone through again and again, yields (time, figures).

  Args:
    kept: path of a file that holds where motion has come to, and is gone on from.
    about: text that says of what; a file about something else is none.
  """
  windows = listened(sampler, heard, plan)
  first, state = 1, None
  if kept.exists():
    with np.load(kept) as file:
      if str(file['about']) == about:
        first, state = int(file['time']) + 1, motion_stream.State(file['before'], file['index'])
  for time in range(first, F.times + 1):
    made = list(codes_of(sampler, windows, portraits, plan, state))
    state = made[-1][1]
    codes = np.concatenate([codes for codes, _ in made], axis=1)[:, : len(predicted)]
    yield time, figures(codes, portraits, normalizer, predicted, len(heard) / SAMPLE_RATE)[0]
    np.savez(kept, about=about, time=time, before=state.before, index=state.index)
  kept.unlink(missing_ok=True)


def main(_):
  if F.times > 1 and not F.output:
    raise errors.InputError('expected --output with --times: a folder for hours.csv')
  sampler, normalizer = with_range(ifm.load(F.checkpoint, teacher=F.teacher))
  heard, predicted = sound(F.minutes)
  portraits = portraits_of(sampler)
  weights = F.checkpoint or f'lite {ifm.bundle.read(ifm.bundle.BUNDLED).version}'
  weights += ' teacher' if F.teacher else ''
  for name in F.plans:
    sounded = sampler, normalizer, getattr(sampler, name), portraits, heard, predicted
    about = dict(weights=weights, sound=F.sound, plan=name, belt=F.belt)
    if F.times == 1:
      add(minute_by_minute(*sounded), 'drift.csv', about, 'minute', 1)
    else:
      kept = pathlib.Path(F.output) / f'begun_{F.sound}_{name}.npz'
      of_what = f'{about}, {F.minutes} minutes, {F.count} of {F.portraits}'
      for number, found in time_by_time(*sounded, kept, of_what):
        add(found, 'hours.csv', about, 'time', number)


def add(found, table, about, count, first):
  """Prints figures {name: [rows]}, and adds them to a table of the folder of results, if any.

  Args:
    found: of `figures`.
    table: name of the file.
    about: what else stands in each row.
    count: name of the column that numbers the rows, from `first` on.
  """
  rows = [
    {key: f'{found[key][k]:.4f}' if key in found else '' for key in FIGURES}
    for k in range(len(found['r']))
  ]
  print(about['plan'], *({k: v for k, v in row.items() if v} for row in rows), sep='\n', flush=True)
  if F.output:
    numbered = [{**about, count: k, **row} for k, row in enumerate(rows, first)]
    files.add_rows(pathlib.Path(F.output) / table, numbered)


if __name__ == '__main__':
  errors.run(main)
