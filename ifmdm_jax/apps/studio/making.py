"""What the studio makes of what its page was given: checks, one clear line each; then the work."""

import contextlib
import dataclasses
import pathlib
import re
import shutil

from ifmdm_jax import dubbing, takes, talk
from ifmdm_jax.apps.studio.work import FINISHING, READING, Watched
from ifmdm_jax.audio import sound, spoken
from ifmdm_jax.dubbing.film import Film
from ifmdm_jax.errors import InputError
from ifmdm_jax.rates import FPS, SAMPLE_RATE

MAX_PIXELS = 2**26  # 67 million, of a portrait
MOST_TAKES = 5
LONGEST_TEXT = 2000  # letters
USUAL = dict(
  motion_std=1.0, head=1.0, mouth=1.0, blinks_per_minute=None, gaze='free', motion_mean=(0, 0, 0)
)  # what the weights do by themselves
POSE = 'pose_1', 'pose_2', 'pose_3'  # to the side, down, tilted


@dataclasses.dataclass(frozen=True)
class Limits:
  """What one visitor may ask for.

  Attributes:
    seconds: of a voice, and of a film.
    megabytes: of an upload.
  """

  seconds: float = 120.0
  megabytes: int = 300


@dataclasses.dataclass(frozen=True)
class Voice:
  """What is said: a file, or a text for the speaker that is installed."""

  file: str | None = None
  text: str | None = None


@dataclasses.dataclass(frozen=True)
class Made:
  """What was made.

  Attributes:
    paths: of the videos, one a take.
    sheet: of the contact sheet, or None.
    lines: about each part of a dub.
    seconds: of video in each.
  """

  paths: tuple[pathlib.Path, ...]
  sheet: pathlib.Path | None = None
  lines: tuple[str, ...] = ()
  seconds: float = 0.0


def check(consent, **files):
  """Raises InputError where nobody has agreed, or a file is missing; named in the page's words."""
  for name, file in files.items():
    if not file:
      raise InputError(f'expected a {name}, got none yet: add one above')
  if not consent:
    raise InputError('expected your consent, it is not ticked: tick it if it is true')


def video(job, model, visit, limits, portrait, voice, *, whole=False, face=None, seed=0, count=1,
          checkpoint=None, **knobs):  # fmt: skip
  """Makes one or several talking videos.

  Args:
    job: `work.Job` that runs this.
    model: `work.Model`.
    visit: `visits.Visit` whose folder they go to.
    limits: `Limits`.
    portrait: file of the picture.
    voice: `Voice`.
    whole: take the picture as it is.
    face: which one of several, 1 is the largest; None: the largest.
    seed: of the first take.
    count: takes.
    checkpoint: name of the weights, for the metadata.
    knobs: see USUAL; what is as there is left to the weights.

  Returns:
    `Made`.
  """
  with _folder(visit) as folder:
    sound_file = _sound(voice, folder, limits, seed)
    seconds = _seconds(sound_file, limits, job)
    frames = round(seconds * FPS)
    name = f'{pathlib.Path(portrait).stem}_{pathlib.Path(sound_file).stem}'[:60]
    generator = Watched(model.get(), job, frames * count)
    options = dict(
      crop='none' if whole else 'auto', face=face, max_pixels=MAX_PIXELS, checkpoint=checkpoint,
      **asked(knobs),
    )  # fmt: skip

    def one(output, seed, generator):
      return talk.make(portrait, sound_file, output, seed=seed, generator=generator, **options)

    output = folder / f'{name}.mp4'
    if count == 1:
      return Made((one(output, seed, generator).path,), seconds=seconds)
    results, sheet = takes.make(output, count, seed, lambda: generator, one)
    return Made(tuple(each.path for each in results), sheet, seconds=seconds)


def dub(job, model, visit, limits, film, voice, *, who=None, longer='hold', stretch=False, seed=0,
        checkpoint=None):  # fmt: skip
  """Gives a film another voice; see `video` and `dubbing.dub`.

  Returns:
    `Made`, whose lines say what was done with each part.
  """
  with _folder(visit) as folder:
    sound_file = _sound(voice, folder, limits, seed)
    _seconds(sound_file, limits, job)
    length = Film(film).length
    if length > limits.seconds:
      raise InputError(
        f'expected a film of {limits.seconds:.0f} s at most, this one has {length:.0f}: cut it'
      )
    words = {'read': READING, 'dub': 'Drawing'}
    lines = []
    result = dubbing.dub(
      film, sound_file, folder / f'{pathlib.Path(film).stem[:60]}_dubbed.mp4',
      Watched(model.get(), job), who=who, longer=longer, stretch=stretch, seed=seed,
      checkpoint=str(checkpoint or 'bundled'), say=lambda part: lines.append(part.line()),
      watch=lambda what, done, total: job.say(words[what], done, total),
    )  # fmt: skip
    job.say(FINISHING)
    return Made((result.path,), None, tuple(lines), result.frames / FPS)


def asked(knobs):
  """Returns the options of a generator that differ from what the weights do by themselves."""
  options = {name: value for name, value in knobs.items() if value != USUAL[name]}
  if 'motion_mean' in options:
    options['motion_mean'] = dict(zip(POSE, map(float, options['motion_mean'])))
  return options


def plain(line, *files):
  """Says a line of a command in the words of the page: no paths, no flags."""
  for file in sorted(filter(None, map(str, files)), key=len, reverse=True):
    line = line.replace(file, pathlib.Path(file).name)
  line = line.replace('--crop none', '“Use the whole picture”').replace('--crop auto', 'without it')
  line = re.sub(r'--(\w+)', lambda found: found[1].replace('_', ' '), line)
  named = any(file and line.startswith(pathlib.Path(file).name) for file in files)
  return line if named else line[:1].upper() + line[1:]


@contextlib.contextmanager
def _folder(visit):
  """Makes a folder for a result; all of it goes where the work fails or is stopped."""
  folder = visit.fresh()
  try:
    yield folder
  except BaseException:
    shutil.rmtree(folder, ignore_errors=True)
    raise


def _sound(voice, folder, limits, seed):
  """Returns the file of a voice, spoken if it is a text."""
  if voice.text is None:
    return voice.file
  if len(voice.text) > LONGEST_TEXT:
    raise InputError(
      f'expected a text of {LONGEST_TEXT} letters at most, got {len(voice.text)}: shorten it'
    )
  path = folder / 'spoken.wav'
  spoken.write(path, voice.text, seed=seed)
  return path


def _seconds(path, limits, job):
  """Measures a voice; reads no further than what is allowed."""
  count = 0
  for block in sound.mono_blocks(path, SAMPLE_RATE):
    count += len(block)
    job.say(job.stage)
    if count > limits.seconds * SAMPLE_RATE:
      raise InputError(f'expected a voice of {limits.seconds:.0f} s at most, got a longer: cut it')
  return count / SAMPLE_RATE
