"""From a file to a file: a film becomes the film with one face changed over spans of time."""

import io
import pathlib
import re
import time

import numpy as np

from ifmdm_jax import errors, files, media
from ifmdm_jax.audio import sound
from ifmdm_jax.dubbing import faces, fates, make, people, report, timeline
from ifmdm_jax.dubbing.film import Film
from ifmdm_jax.dubbing.write import SUFFIXES, FilmWriter
from ifmdm_jax.errors import InputError, note
from ifmdm_jax.shot import SIMPLE, Change
from ifmdm_jax.trust.origin import DEFAULT
from ifmdm_jax.video import provenance as says

NOTICE = 'Synthetic video: the face of a person was changed by a computer.'
SECONDS = re.compile(r'(?:(\d+):)?(\d+(?:\.\d*)?|\.\d+)')
SHORTEST = 0.04  # seconds of a span
ROOM = 0.2  # seconds around a span in which its change may come and go
AROUND = 30.0  # and around it that an editor sees of a take: memory does not grow with that
BEYOND = 0.05  # seconds by which a span may end after the film


def spans(text, flag):
  """Reads spans '3.2-4.1,1:05-1:06.5', seconds or minutes and seconds: list of (begins, ends).

  Raises:
    InputError: it is not written so, or a span ends before it begins.
  """
  found = []
  for part in text.split(','):
    ends = [SECONDS.fullmatch(each.strip()) for each in part.split('-')]
    if len(ends) != 2 or None in ends:
      raise InputError(
        f'expected --{flag} as seconds, 3.2-4.1 or 3.2-4.1,6-7.5, got {part.strip()!r}'
      )
    begins, ends = (60 * int(each[1] or 0) + float(each[2]) for each in ends)
    if ends - begins < SHORTEST:
      raise InputError(
        f'expected a span of --{flag} that ends after it begins, got {part.strip()}: write the '
        'earlier time first'
      )
    found.append((begins, ends))
  return found


def unit_changes(text):
  """Reads 'mouthSmileLeft=0.4@2-5,7-8': list of `Change`.

  Raises:
    InputError: it is not written so.
  """
  match = re.fullmatch(r'\s*(\w+)\s*=\s*([\d.]+)\s*@\s*(.+)', text)
  try:
    value = float(match[2]) if match else None
  except ValueError:
    value = None
  if value is None:
    raise InputError(f'expected --unit as NAME=VALUE@FROM-TO, mouthSmileLeft=0.4@2-5, got {text!r}')
  if match[1] in SIMPLE:
    raise InputError(f'expected --{match[1]} {match[3]}, got it as a unit')
  return [Change(match[1], value, *each) for each in spans(match[3], 'unit')]


def edit(
  video, output, editor, changes, *, face=None, who=None, overwrite=False, checkpoint=None,
  say=None, provenance=DEFAULT,
):  # fmt: skip
  """Writes a film in which one face is changed over spans of time; all input is checked first.

  Sound, length, size, times and other tracks stay, and every pixel that the changes do not need is
  the film's before it is marked and encoded. NAME.report.json beside the output says what was done.

  Args:
    video: file of the film.
    output: file to write, *.mp4, *.mov or *.mkv.
    editor: makes the changes: has a `size`, `check(changes)` and `edit(shot, changes)`, which
      yields `shot.Painted`.
    changes: of `shot.Change`, seconds of the film.
    face, who: whose face, see `dub`.
    overwrite: whether the output may exist.
    checkpoint: name of the weights, for the metadata.
    say: called with each line of the report when all is done; None: nobody is told.
    provenance: what the film says about its origin, `trust.origin.Options`.

  Returns:
    `make.Result`.

  Raises:
    InputError: something cannot be used; nothing is left behind then.
  """
  began = time.monotonic()
  video = pathlib.Path(video).expanduser()
  files.check(video, 'a video')
  output = files.check_output(output, (video,), overwrite, tuple(SUFFIXES))
  report_path = output.with_name(f'{output.stem}.report.json')
  make.check_person(who, face)
  if not changes:
    raise InputError('expected something to change, got nothing: --close_mouth 3.2-4.1 is one')
  editor.check(changes)
  folder = next(each for each in output.absolute().parents if each.exists())

  film = Film(video)
  if film.length:
    _check_within(changes, film.length + 1.0, film.length)
  film.say()
  with errors.explained('to be able to write', folder):
    reading = faces.read(film, make.progress(film.all_times(), film.count, 'read'), folder)
  _check_within(changes, film.end + BEYOND, film.end)
  read_by = time.monotonic()
  everybody = people.tell_apart(reading)
  chosen = people.choose(everybody, reading, film, face, who)
  fate, rows = fates.decide(reading, everybody, chosen)
  _check_seen(changes, film, fate)
  plan = timeline.plan(film.times, film.end, film.end)
  wider, around = (
    [c._replace(begins=c.begins - room, ends=c.ends + room) for c in changes]
    for room in (ROOM, AROUND)
  )
  for start, stop in fates.runs(fate, reading.takes):
    times, part = film.times[start:stop], fate[start:stop]
    if part[0] == fates.DUBBED:
      near = _inside(wider, times).any() & _inside(around, times)
      part[~near] = fates.LEFT_ALONE
  parts = report.segments(plan, fate, reading.takes)

  def painted(shot, part):
    there = [
      change._replace(begins=change.begins - part.begins, ends=change.ends - part.begins)
      for change in changes
    ]
    for block in editor.edit(shot, there):
      changed.extend(block.mask.any((1, 2)).tolist())
      yield block

  changed = []  # of each frame that is painted
  tags = says.metadata(checkpoint, None, NOTICE)
  said = make.origin(provenance, video)
  silence = np.zeros(0, np.float32)
  maker = make.Maker(film, reading, rows, plan, silence, painted, editor.size, folder)
  rate, blocks = _sound(video, output)
  with make.written(output), FilmWriter(output, film, rate, blocks, tags, said) as writer:
    maker.write(writer, parts, 'edit')
  done = np.flatnonzero(fate == fates.DUBBED)
  fate[done[~np.array(changed, bool)]] = fates.LEFT_ALONE
  parts = report.segments(plan, fate, reading.takes)
  facts = dict(
    video=video.name, output=output.name, system=editor.name,
    changes=[dict(name=c.name, value=c.value, start=c.begins, end=c.ends) for c in changes],
    film_seconds=round(film.end, 3), frames=len(fate), edited_frames=sum(changed),
    people=people.listed(everybody, film, chosen),
  )  # fmt: skip
  report.write(report_path, plan, parts, facts, report.EDITED)
  for part in parts if say else ():
    say(part.line(report.EDITED))
  took = time.monotonic() - began
  lines = make.told(film, facts['people'], 'edited', read_by - began, took)
  return make.Result(output, report_path, len(fate), sum(changed), took, lines)


def _check_within(changes, last, length):
  """Raises InputError where a change ends after the film."""
  for change in changes:
    if change.ends > last:
      raise InputError(
        f'expected a span of {change.name} within the film, which is {length:.2f} s long, got '
        f'{change.begins:g}-{change.ends:g}: end it earlier'
      )


def _inside(changes, times):
  """Says which times [T] lie in the span of a change, bool [T]."""
  inside = np.zeros(len(times), bool)
  for change in changes:
    inside |= (times >= change.begins) & (times < change.ends)
  return inside


def _check_seen(changes, film, fate):
  """Raises InputError where no frame of a span shows the face well enough, and notes some."""
  for change in changes:
    some = fate[_inside([change], film.times)]
    span = f'{change.begins:g}-{change.ends:g}'
    if not len(some):
      raise InputError(
        f'expected a span that holds a frame, {span} of {change.name} holds none: make it longer'
      )
    left = some[some != fates.DUBBED]
    why = fates.NAMES[int(np.bincount(left).argmax())] if len(left) else ''
    if len(left) == len(some):
      raise InputError(
        f'expected a face that can be changed in the span {span} of {change.name}, no frame of it '
        f'has one ({why}): choose another span'
      )
    if len(left):
      note(
        f'{len(left)} of {len(some)} frames in {span} cannot be changed ({why}): they pass as '
        'they are'
      )


def _sound(video, output):
  """Returns the rate and blocks of a film's sound, or None where its track goes over as it is."""
  import av  # here: networks and their training run without

  with media.opened(video, 'video') as (container, _):
    sounds = media.tracks(container, 'audio')
    if not sounds:
      return 0, None
    default = [stream for stream in sounds if int(stream.disposition) & 1]
    context = [*default, *sounds][0].codec_context
    codec = getattr(context.codec, 'canonical_name', context.name) if context else 'unknown'
  with av.open(io.BytesIO(), 'w', format=SUFFIXES[output.suffix.lower()]) as trial:
    if codec in trial.supported_codecs:
      return 0, None
  note(f'{output.suffix} holds no {codec}: the sound becomes AAC')
  return sound.audio_blocks(video)
