"""A video becomes the same video with a face changed over spans of time.

  python -m ifmdm_jax.edit --video take.mp4 --close_mouth 3.2-4.1 --output fixed.mp4

The video: any that FFmpeg decodes. What is changed is drawn from the film's own pixels, and every
other pixel is the film's before mark and encoding; sound, length, size, frame times and other
tracks stay.
Spans are seconds, 3.2-4.1, or minutes and seconds, 1:05-1:06.5; several with commas. A change comes
softly in 0.12 s before its span, and goes after it. fixed.report.json says what was done.

  a mouth that should be closed              --close_mouth 3.2-4.1
  eyes that are closed, or should be         --open_eyes 5-5.4          --close_eyes 2-2.5,6-6.3
  no blinks; long closed eyes stay           --no_blink 7-9
  any other part of the face, 0 to 1, held   --unit mouthSmileLeft=0.4@2-5
    more of them                             --unit browInnerUp=0.5@2-5 --unit jawOpen=0.3@6-7
    their names                              --units
  another voice: head and eyes stay          --translate german.wav
  several people in the video                --face 2   (1 is the one who is seen most)
  or by what they do                         --who speaking   (left, right, largest)
  what the film is, and how long it took     --verbose

Eyes open as another frame of the same take shows them, before or after, and stay closed where none
does. Frames whose eyes are open anyway stay as they are. Same video, same result.
From Python: `dubbing.edit('take.mp4', 'fixed.mp4', editor, changes)`, see docs/edit.md.

The result says that it is synthetic, in a signed manifest, a mark in the pixels, and tags
(--no_provenance, --sign, --label as for a dub). Edit only people who have agreed to it.
Bad input ends in one line, exit status 2 and no file.
"""

import functools

from absl import flags

import ifmdm_jax as ifm
from ifmdm_jax import bundle, compile_cache, dubbing, errors
from ifmdm_jax.dubbing import people
from ifmdm_jax.dubbing.edits import spans, unit_changes
from ifmdm_jax.errors import SHARED, InputError
from ifmdm_jax.shot import SIMPLE, Change
from ifmdm_jax.systems.vlogger import axes
from ifmdm_jax.systems.vlogger.edit import Editor
from ifmdm_jax.trust import flags as provenance

# fmt: off
string, integer, boolean, enum, words, several = (
  functools.partial(define, **SHARED) for define in (
    flags.DEFINE_string, flags.DEFINE_integer, flags.DEFINE_bool, flags.DEFINE_enum,
    flags.DEFINE_list, flags.DEFINE_multi_string))
VIDEO = string('video', None, 'The film of a person.')
OUTPUT = string('output', None, 'The film to write, *.mp4, *.mov or *.mkv.')
CLOSE_MOUTH = string('close_mouth', None, 'Spans in which the mouth is closed, 3.2-4.1,6-7.')
OPEN_EYES = string('open_eyes', None, 'Spans in which closed eyes are open.')
CLOSE_EYES = string('close_eyes', None, 'Spans in which the eyes are closed.')
NO_BLINK = string('no_blink', None, 'Spans without blinks.')
UNIT = several('unit', None, 'A unit of the face over spans, NAME=VALUE@FROM-TO; may be repeated.')
TRANSLATE = string('translate', None, 'A voice that the mouth is to say, by VLOGGER\'s motion; '
                   'alone. `dub` says it by that of IF-MDM.')
UNITS = boolean('units', False, 'Only print the names of the units.')
FACE = integer('face', None, 'Whose face, 1 is the person who is seen most.', lower_bound=1)
WHO = enum('who', None, list(people.WHO), 'Whose face, of several people.')
CHECKPOINT = string('checkpoint', None, 'Folder of weights that redraw a face; default: the '
                    'bundled.')
VERBOSE = boolean('verbose', False, 'Say what was found in the film, and where the time went.')
COMPILE_CACHE = string('compile_cache', None, 'Folder for compiled programs, or none; default: '
                       "in the user's cache folder.")
OVERWRITE = boolean('overwrite', False, 'Replace an existing output.')
# fmt: on
flags.adopt_module_key_flags(provenance)


def changes():
  """Reads the flags: list of `shot.Change`."""
  found = []
  for flag in (CLOSE_MOUTH, OPEN_EYES, CLOSE_EYES, NO_BLINK):
    assert flag.name in SIMPLE
    if flag.value is not None:
      found += [Change(flag.name, 1.0, *each) for each in spans(flag.value, flag.name)]
  for each in UNIT.value or ():
    found += unit_changes(each)
  return found


def main(_):
  if UNITS.value:
    print('\n'.join(axes.UNITS))
    return
  for required in (VIDEO, OUTPUT):
    if required.value is None:
      raise InputError(
        f'expected --video and --output, got no --{required.name}: --help shows an example'
      )
  wanted = changes()
  if TRANSLATE.value is not None and wanted:
    raise InputError(
      f'expected --translate alone, got it with --{wanted[0].name}: edit the film that it makes'
    )
  compile_cache.keep(COMPILE_CACHE.value)
  if TRANSLATE.value is None and provenance.SPOKEN_LABEL.value:
    raise InputError(
      "expected --spoken_label with --translate, got it without: an edit keeps the film's own sound"
    )
  common = dict(
    face=FACE.value, who=WHO.value, overwrite=OVERWRITE.value, provenance=provenance.chosen(),
    checkpoint=str(CHECKPOINT.value or 'bundled'),
  )  # fmt: skip
  if TRANSLATE.value is not None:
    speaker = ifm.load(bundle.chosen(None, 'vlogger'), drawn_by=CHECKPOINT.value)
    say = lambda part: print(part.line())
    result = dubbing.dub(VIDEO.value, TRANSLATE.value, OUTPUT.value, speaker, say=say, **common)
  else:
    editor = Editor(ifm.load(CHECKPOINT.value))
    result = dubbing.edit(VIDEO.value, OUTPUT.value, editor, wanted, say=print, **common)
  if VERBOSE.value:
    print('\n'.join(result.facts))
  print(result.line('changed'))


if __name__ == '__main__':
  errors.run(main)
