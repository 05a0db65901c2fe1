"""Says of any video what it tells about its origin, and whether that was tampered with.

  python -m ifmdm_jax.verify talk.mp4
  python -m ifmdm_jax.verify folder --json          every film in it, as JSON
  python -m ifmdm_jax.verify talk.mp4 --trust roots.pem

Five layers are looked at, each is present, absent, broken, not ours, or unknown (cannot be read):

  manifest   a signed statement (C2PA): who made it, how, from what, and that no byte has changed
  mark       a number in the pixels, which outlives encoding, scaling and cropping
  aigc       the tag that Chinese law asks for
  notice     a comment for people
  iscc       a fingerprint of the pictures in the manifest; needs the extra `fingerprint`

Exit status: 0, all files say that they are synthetic and made with ifmdm_jax; 1, one of them does
not; 3, one was changed after it was signed, or contradicts itself; 2, something cannot be read.
That a video says nothing proves nothing. docs/verify.md explains it without technical words.
"""

import json
import pathlib
import sys

from absl import flags

from ifmdm_jax import errors, files
from ifmdm_jax.errors import SHARED, InputError, note
from ifmdm_jax.trust import report
from ifmdm_jax.video import read

FILE = flags.DEFINE_multi_string('file', None, 'A film, or a folder; "--file" may be left out.',
                                 **SHARED)  # fmt: skip
JSON = flags.DEFINE_bool('json', False, 'Print JSON, a list with one entry a film.', **SHARED)
TRUST = flags.DEFINE_string('trust', None, 'Certificates (PEM) whose signatures are trusted, '
                            'besides the own ones.', **SHARED)  # fmt: skip
SECONDS = flags.DEFINE_float('seconds', 60.0, 'From the start of a film, in which the mark is '
                             'looked for.', lower_bound=2.0, **SHARED)  # fmt: skip


def films(path):
  """Lists a film, or those of a folder and of the folders in it.

  Raises:
    InputError: there is none.
  """
  path = pathlib.Path(path).expanduser()
  if not path.is_dir():
    return [files.check(path, 'a video')]
  found = [
    each for each in sorted(path.rglob('*'))
    if each.suffix.lower() in read.SUFFIXES and each.is_file() and each.name[0] != '.'
  ]  # fmt: skip
  if not found:
    raise InputError(f'expected films, the folder {path} holds none: pass another one')
  return found


def main(_):
  if not FILE.value:
    raise InputError('expected a file or a folder, got none: --help shows an example')
  trusted = report.check_trusted(TRUST.value) if TRUST.value else None
  found, unreadable = [], 0
  paths = [each for path in FILE.value for each in films(path)]
  for path in paths:
    try:
      each = report.examine(path, trusted, SECONDS.value)
    except InputError as error:
      if len(paths) == 1:
        raise
      note(str(error))
      unreadable += 1
      continue
    found.append(each)
    if not JSON.value:
      print('\n'.join(report.lines(each)), flush=True)
  if JSON.value:
    print(json.dumps(found, indent=1))
  status = max([report.STATUS[each['verdict']] for each in found], default=0)
  if status != 3 and unreadable:
    status = 2
  sys.stdout.flush()
  sys.exit(status)


def named(argv):
  """Takes words for files that are neither flags nor the value of one."""
  words, before = [argv[0]], ''
  for word in argv[1:]:
    valued = before.lstrip('-') in ('file', 'trust', 'seconds') and before.startswith('-')
    words.append(word if valued or word.startswith('-') else f'--file={word}')
    before = word
  return words


if __name__ == '__main__':
  errors.run(main, rewrite=named)
