"""From files to a file: a film and a new voice become the film with new lips, by any generator."""

import contextlib
import inspect
import itertools
import pathlib
import time
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from ifmdm_jax import errors, files, media
from ifmdm_jax.clip import check_seed
from ifmdm_jax.dubbing import background, faces, fates, people, planes, report, timeline
from ifmdm_jax.dubbing.film import Film
from ifmdm_jax.dubbing.squares import Cutter
from ifmdm_jax.dubbing.voice import MOST, Voice
from ifmdm_jax.dubbing.write import SUFFIXES, FilmWriter
from ifmdm_jax.errors import InputError, note
from ifmdm_jax.generator import Dubs
from ifmdm_jax.rates import SAMPLE_RATE
from ifmdm_jax.trust import mark_reader
from ifmdm_jax.trust.origin import DEFAULT, EDITED, Input
from ifmdm_jax.video import provenance as says

FIRST = 10.0  # seconds of a film in which a mark is looked for
FADE = 0.12  # seconds in which new lips come and go within a take


class Result(NamedTuple):
  """What was written.

  Attributes:
    path, report: of the film and of its report.
    frames: of the film,
    dubbed: and those of them with new lips.
    seconds: that it took.
    facts: lines about the film, its people, and where the time went.
  """

  path: pathlib.Path
  report: pathlib.Path
  frames: int
  dubbed: int
  seconds: float
  facts: tuple[str, ...] = ()

  def line(self, what):
    """Says in one line how many frames are `what`, how fast, and where the report is."""
    return (
      f'{self.path}: {self.dubbed} of {self.frames} frames {what}, made in {self.seconds:.1f} s, '
      f'{self.frames / self.seconds:.1f} frames per second; {self.report.name} says what was done'
    )


class Alignment(NamedTuple):
  """How the lengths of a film and a voice differ.

  Attributes:
    film, voice: seconds.
    tempo: how many times faster the voice would have to be spoken.
  """

  film: float
  voice: float
  tempo: float

  def line(self):
    """Says it in a line."""
    longer = 'longer' if self.voice >= self.film else 'shorter'
    can = '' if 1 / (1 + MOST) <= self.tempo <= 1 + MOST else ', more than --stretch does'
    return (
      f'the voice is {abs(self.voice - self.film):.2f} s {longer} than the film ({self.voice:.2f} '
      f'and {self.film:.2f} s): it would have to be spoken {self.tempo:.3f} times as fast{can}'
    )


def align(video, audio, *, track=None):
  """Measures how the lengths of a film and of a voice differ; nothing is written.

  Args:
    video, audio: files.
    track: of the voice's file, see `ifmdm_jax.read_voice`.

  Returns:
    `Alignment`.
  """
  film, voice = Film(video), Voice(audio, track)
  length = film.length
  if not length:
    for _ in film.all_times():
      pass
    length = film.end
  return Alignment(length, voice.spoken, voice.spoken / length)


def dub(
  video, audio, output, generator, *, face=None, who=None, longer='hold', stretch=False,
  track=None, keep_background_audio=False, overwrite=False, seed=0, checkpoint=None, say=None,
  watch=None, provenance=DEFAULT, **options,
):  # fmt: skip
  """Writes a film in which one person speaks with another voice; all input is checked first.

  The film keeps its length, size, times, colours and other tracks. Where the voice ends before the
  film there is silence, and the lips rest; where it is longer, see `longer`. Frames in which the
  face cannot be used pass as they are. NAME.report.json beside the output says what was done.

  Args:
    video: file of the film.
    audio: file of the voice, or a film with it.
    output: file to write, *.mp4, *.mov or *.mkv.
    generator: what makes the lips, a `generator.Dubs`.
    face: whose lips: a number, 1 is the person who is seen most.
    who: whose lips: 'left', 'right', 'largest' or 'speaking'; None, with no face: 'largest'.
    longer: see `timeline.plan`.
    stretch: bring the voice to the film's length, by at most 12 %, its pitch kept.
    track: which sound track of `audio`, 1 is the first.
    keep_background_audio: mix in what is heard beside the old voice, see `background`.
    overwrite: whether the output may exist.
    seed: of the motion.
    checkpoint: name of the weights, for the metadata.
    say: called with each `report.Segment` when all is done; None: nobody is told.
    watch: called as (what, done, total) after each frame that is read or written, total 0 where
      nobody knows it; what it raises ends the work. None: nobody is told.
    provenance: what the film says about its origin, `trust.origin.Options`.
    options: of the generator.

  Returns:
    `Result`.

  Raises:
    InputError: something cannot be used; nothing is left behind then.
  """
  began = time.monotonic()
  video, audio = (pathlib.Path(each).expanduser() for each in (video, audio))
  files.check(video, 'a video')
  files.check(audio, 'a file with sound')
  output = files.check_output(output, (video, audio), overwrite, tuple(SUFFIXES))
  report_path = output.with_name(f'{output.stem}.report.json')
  seed = check_seed(seed)
  _check(generator, options, longer, who, face)
  if keep_background_audio:
    background.separator()
  folder = next(each for each in output.absolute().parents if each.exists())

  film, voice = Film(video), Voice(audio, track)
  film.say()
  with errors.explained('to be able to write', folder):
    frames = progress(film.all_times(), film.count, 'read', watch)
    reading = faces.read(film, frames, folder)
    if stretch:
      voice.stretch(film.end)
    voice.load(folder)
  read_by = time.monotonic()
  everybody = people.tell_apart(reading)
  chosen = people.choose(everybody, reading, film, face, who)
  fate, rows = fates.decide(reading, everybody, chosen)
  plan = timeline.plan(film.times, film.end, voice.seconds, longer)
  parts = report.segments(plan, fate, reading.takes)
  dubbed = sum(part.stop - part.start for part in parts if part.dubbed)
  if not dubbed:
    why = fates.NAMES[int(np.bincount(fate).argmax())]
    note(f'no frame of {video} can get new lips ({why}): all pass as they are')
  _say_lengths(film, voice, plan, longer)
  _say_slow(film, parts)

  tags = says.metadata(checkpoint, seed, says.DUBBED)
  said = origin(provenance, video, Input('voice', str(audio)))
  rate, sound = voice.blocks(film.end if longer == 'cut' else None)
  if keep_background_audio:
    sound = background.mixed(sound, rate, video)

  def painted(shot, _):
    return generator.dub(shot, seed=seed, **options)

  make = Maker(film, reading, rows, plan, voice.waveform, painted, generator.size, folder)
  with written(output), FilmWriter(output, film, rate, sound, tags, said) as writer:
    make.write(writer, parts, 'dub', watch)
  facts = dict(
    video=video.name, audio=audio.name, output=output.name,
    system=getattr(generator, 'name', type(generator).__name__), seed=seed, longer=longer,
    film_seconds=round(film.end, 3), voice_seconds=round(voice.seconds, 3),
    voice_tempo=round(voice.tempo, 4), result_seconds=round(plan.end, 3),
    frames=len(plan.numbers), dubbed_frames=dubbed,
    people=people.listed(everybody, film, chosen),
  )  # fmt: skip
  report.write(report_path, plan, parts, facts)
  for part in parts if say else ():
    say(part)
  took = time.monotonic() - began
  lines = told(film, facts['people'], 'dubbed', read_by - began, took)
  return Result(output, report_path, len(plan.numbers), dubbed, took, lines)


def told(film, people, did, read, took):
  """Lists lines about a film, its people and the seconds that it took."""
  lines = [film.line()]
  lines += [
    f'face {person["face"]}: {person["seconds"]:.2f} s{f", {did}" * person["chosen"]}'
    for person in people
  ]
  return (*lines, f'read in {read:.1f} s, made in {took - read:.1f} s')


@contextlib.contextmanager
def written(output):
  """Makes the folder of an output; what the disk or FFmpeg says meanwhile becomes an InputError."""
  import av  # here: networks and their training run without

  try:
    output.parent.mkdir(parents=True, exist_ok=True)
    yield
  except (OSError, av.error.FFmpegError) as error:  # disk full, folder gone
    said = errors.system(error) if isinstance(error, OSError) else media.reason(error)
    raise InputError(f'expected to be able to write {output}, {said}') from error


def origin(provenance, video, *inputs):
  """Composes what a film says about its origin; a mark that it has already stays the only one.

  Args:
    provenance: `trust.origin.Options`.
    video: that it was made from.
    inputs: further `trust.origin.Input`s.
  """
  if not provenance.wanted:
    return False
  inputs = Input('film', str(video)), *inputs
  found = mark_reader.look(video, FIRST)
  if found and found.found:
    note(f'{video} carries a mark of ifmdm_jax already, which stays')
    return provenance.origin(action=EDITED, inputs=inputs, number=found.number, marked=False)
  return provenance.origin(action=EDITED, inputs=inputs)


def _check(generator, options, longer, who, face):
  """Raises InputError where a choice is none."""
  if not isinstance(generator, Dubs):
    name = getattr(generator, 'name', type(generator).__name__)
    raise InputError(
      f'expected a generator that dubs, {name} does not: choose another --checkpoint'
    )
  known = inspect.signature(generator.dub).parameters
  anything = any(each.kind is each.VAR_KEYWORD for each in known.values())
  if unknown := [] if anything else sorted(set(options) - set(known)):
    name = getattr(generator, 'name', type(generator).__name__)
    raise InputError(f'expected options that {name} has, got --{unknown[0]}: leave it out')
  if longer not in timeline.LONGER:
    raise InputError(f'expected --longer {", ".join(timeline.LONGER)}, got {longer!r}')
  check_person(who, face)


def check_person(who, face):
  """Raises InputError where nobody, or two people, are named."""
  if who is not None and who not in people.WHO:
    raise InputError(f'expected --who {", ".join(people.WHO)}, got {who!r}')
  if who is not None and face is not None:
    raise InputError('expected --face or --who, got both: leave one out')


def _say_lengths(film, voice, plan, longer):
  """Notes what happens where film and voice are not of one length."""
  less = film.end - voice.seconds
  if less > 0.5:
    note(f'the voice ends {less:.2f} s before the film: there is silence then, and the lips rest')
  elif longer == 'cut' and less < -0.05:
    note(f'the last {-less:.2f} s of the voice are cut, as the film ends')
  elif plan.end > film.end:
    note(f'the voice is {-less:.2f} s longer than the film: --longer {longer} fills that')


def _say_slow(film, parts):
  """Notes that a film has to be read from its start for each part."""
  if not film.seekable and len(parts) > 4:
    note(
      f'{film.path} cannot be searched, and is read from its start for each of {len(parts)} '
      'segments: as MP4 it would go faster'
    )


def progress(iterable, total, what, watch=None):
  """Shows a bar of frames while they are iterated over, on a terminal; `watch` as of `dub`."""
  bar = tqdm(iterable, total=total or None, unit='frame', desc=what, disable=None)
  return bar if watch is None else _watched(bar, total, what, watch)


def _watched(frames, total, what, watch):
  """Calls `watch` after each frame."""
  for done, frame in enumerate(frames, 1):
    watch(what, done, total)
    yield frame


class Maker:
  """Makes the frames of a result, segment by segment."""

  def __init__(self, film, reading, rows, plan, waveform, paint, size, folder):
    """Prepares.

    Args:
      film: `film.Film`.
      reading: `faces.Reading` of it.
      rows: int [T], record of the face in each frame.
      plan: `timeline.Timeline`.
      waveform: float32 [L], 16 kHz, that the shots are given.
      paint: (`Shot`, `report.Segment`) -> iterator over `Painted`.
      size: side of the squares.
      folder: for nameless files.
    """
    self.film, self.reading, self.rows, self.plan = film, reading, rows, plan
    self.waveform, self.paint, self.size, self.folder = waveform, paint, size, folder

  def write(self, writer, parts, what, watch=None):
    """Writes the frames of all `report.Segment`s; `watch` as of `dub`."""
    frames = itertools.chain.from_iterable(self(part) for part in parts)
    frames = progress(frames, len(self.plan.numbers), what, watch)
    for frame, moment in zip(frames, self.plan.times):
      writer.add(frame, moment)

  def __call__(self, part):
    """Yields the frames of a `report.Segment`."""
    numbers = self.plan.numbers[part.start : part.stop]
    if not part.dubbed:
      yield from self.film.at(numbers)
      return
    times = self.plan.times[part.start : part.stop]
    begins, ends = (round(each * SAMPLE_RATE) for each in (part.begins, part.ends))
    cutter = Cutter(
      self.film, self.reading, numbers, self.rows[numbers], times, self.waveform[begins:ends],
      self.size, self.folder,
    )  # fmt: skip
    gains, done = _gains(times, part.fades), 0
    for painted in self.paint(cutter.shot, part):
      for square, mask in zip(painted.frames, painted.mask):
        if done == len(numbers):
          raise RuntimeError(f'a generator painted more frames than the {done} of its shot')
        frame = planes.copied(cutter.frame(done))
        planes.paint(frame, cutter.matrices[done], square, mask * gains[done])
        yield frame
        done += 1
    if done < len(numbers):
      raise RuntimeError(f'a generator painted {done} frames of a shot of {len(numbers)}')
    cutter.close()


def _gains(times, fades):
  """Fades new lips in and out, float32 [T]."""
  gains = np.ones(len(times), np.float32)
  spacing = float(np.median(np.diff(times))) if len(times) > 1 else FADE
  if fades[0]:
    gains = np.minimum(gains, (times - times[0] + spacing) / (FADE + spacing))
  if fades[1]:
    gains = np.minimum(gains, (times[-1] - times + spacing) / (FADE + spacing))
  return gains.astype(np.float32)
