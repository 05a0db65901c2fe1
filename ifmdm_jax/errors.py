"""Bad input ends in one line: what was expected, what came, what to do."""

import contextlib
import contextvars
import errno
import os
import signal
import sys

from ifmdm_jax import extras

extras.install_hook()

# For flags of entry points: two commands may both have --output, and be imported together.
SHARED = dict(allow_override=True)
AGAIN = 5.0  # seconds after which a stopped command that still runs is stopped again,
SOON = 0.05  # and after which one is whose stop is known to have been ignored
STOPPED = 129, 130, 143  # exit statuses: by a terminal that was closed, by Ctrl-C, by SIGTERM
LONGEST = 1000  # letters of a message
_to = contextvars.ContextVar('to', default=None)  # who is told notes; None: stderr
# What the operating system answers -> in words, and what to do.
NO_ROOM = 'no room is left', 'make room, and use the same command'
SYSTEM = {
  errno.ENOENT: ('there is no such file or folder', 'check the path'),
  errno.ENOTDIR: ('a part of the path is a file, not a folder', 'check the path'),
  errno.EISDIR: ('it is a folder', 'name a file'),
  errno.EEXIST: ('it exists already', 'choose another name'),
  errno.ENOTEMPTY: ('the folder is not empty', 'choose another one'),
  errno.EACCES: ('permission denied', 'change the permissions, or choose another place'),
  errno.EPERM: ('permission denied', 'change the permissions, or choose another place'),
  errno.EROFS: ('this place can only be read', 'choose another one'),
  errno.ENAMETOOLONG: ('the name is too long', 'choose a shorter one'),
  errno.ELOOP: ('links lead in a circle', 'check the path'),
  errno.ENOSPC: NO_ROOM,
  errno.EDQUOT: NO_ROOM,
  errno.EFBIG: ('the file is too large for this place', 'choose another one'),
  errno.EPIPE: ('nobody reads any more what is written', 'let the other program read to the end'),
  errno.EMFILE: ('too many files are open', 'raise the limit (ulimit -n)'),
  errno.EBUSY: ('it is in use', 'wait for the other program'),
  errno.EIO: ('the disk cannot be read or written', 'check the disk'),
}
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # of a disk
# Not the file's fault, but the machine's: another time it may go well.
PASSING = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO,
           errno.EROFS, errno.EBUSY, errno.EACCES, errno.EPERM, errno.EAGAIN}  # fmt: skip


class InputError(ValueError):
  """Something the user gave cannot be used; the message is one line and says what to do."""

  def __init__(self, message):
    line = ' '.join(str(message).split())
    if len(line) > LONGEST:
      line = f'{line[: LONGEST * 2 // 3]} ... {line[-LONGEST // 4 :]}'
    super().__init__(line)


def system(error, path=None):
  """Says in words what the operating system answered, where, and what to do.

  Args:
    error: an OSError; a ValueError of a path, which cannot be one; or a MemoryError.
    path: that it is about, where the error does not say.
  """
  if isinstance(error, MemoryError):
    return 'there is not enough memory: use a smaller input, or close other programs'
  if isinstance(error, UnicodeError):
    return 'a name is not UTF-8: rename the file'
  if not isinstance(error, OSError):
    return f'{str(path)!r} is no path: check it'
  said = os.strerror(error.errno) if error.errno else str(error) or type(error).__name__
  what, advice = SYSTEM.get(error.errno, (said.splitlines()[0], 'check the path'))
  path = path if path is not None else error.filename
  return f'{what}{f" at {path}" if path is not None else ""}: {advice}'


@contextlib.contextmanager
def explained(expected, path=None):
  """Turns what the operating system says within the block into an InputError.

    with errors.explained('a table', path):
      text = path.read_text()

  Args:
    expected: what was wanted, after 'expected'.
    path: see `system`.
  """
  try:
    yield
  except InputError:
    raise
  except (OSError, UnicodeError) as error:
    raise InputError(f'expected {expected}, {system(error, path)}') from error


def note(text):
  """Says something that the user should know, without stopping."""
  tell = _to.get()
  if tell is None:
    print(f'note: {text}', file=sys.stderr)
  else:
    tell(' '.join(str(text).split()))


@contextlib.contextmanager
def notes_to(tell):
  """Passes the notes of a block, in this thread, to a function of a line instead of stderr."""
  before = _to.set(tell)
  try:
    yield
  finally:
    _to.reset(before)


@contextlib.contextmanager
def fail_cleanly():
  """Turns an InputError, an extra that is not installed, or what the operating system says into
  one line on stderr and exit status 2 (ctrl-C: 130).

  A context manager, and so a decorator for `main` too:

    @errors.fail_cleanly()
    def main(_): ...
  """
  try:
    yield
  except InputError as error:
    _fail(error)
  except ModuleNotFoundError as error:
    if not (said := extras.missing(error)):
      raise
    _fail(said)
  except UnicodeEncodeError as error:
    if not any('\udc80' <= letter <= '\udcff' for letter in error.object):  # bytes of a file's name
      raise
    _fail(InputError(system(error)))
  except (OSError, MemoryError) as error:
    if isinstance(error, BrokenPipeError):  # or Python would complain again at its end
      with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    _fail(InputError(system(error)))
  except KeyboardInterrupt:
    print('stopped.', file=sys.stderr)
    sys.exit(130)


def _fail(said):
  print(f'error: {said}', file=sys.stderr)
  sys.exit(2)


def run(main, rest=False, rewrite=None):
  """Runs a command's `main` by `absl.app.run`; bad flags are one line and exit status 2 as well.

  A command that is stopped (SIGTERM, a closed terminal, Ctrl-C) unwinds: what is half written goes.
  With `rest`, main also gets the words after `--`, which are meant for a command that it calls.
  `rewrite`: a function of the command's words, before flags are read.
  """
  from absl import app, flags, logging  # here: only commands have flags

  def parse(argv):
    asked = {word.lstrip('-').split('=')[0] for word in argv[1:] if word.startswith('-')}
    if asked & {'h', 'help', 'helpshort', 'helpfull'}:
      app.usage(shorthelp='helpfull' not in asked, writeto_stdout=True)
      sys.exit(0)
    ours, theirs = rewrite(argv) if rewrite else argv, []
    if rest and '--' in argv:
      split = argv.index('--')
      ours, theirs = argv[:split], argv[split + 1 :]
    try:
      words = flags.FLAGS(ours)
      if len(words) > 1:
        raise flags.Error(f'expected flags only, got {words[1]!r}')
      return words + theirs
    except (flags.Error, ValueError) as error:  # the latter: --nostream=1
      print(f'error: {" ".join(str(error).split())}: --help lists the flags', file=sys.stderr)
      sys.exit(2)

  def quiet(argv):
    logging.set_verbosity(logging.FATAL)  # Orbax tells every step, and every failure at length,
    logging.logging.getLogger('asyncio').setLevel('CRITICAL')  # the same; what fails is said here
    unwind_when_stopped()
    for stream in (sys.stdout, sys.stderr):  # names of files need not be UTF-8
      if hasattr(stream, 'reconfigure'):
        stream.reconfigure(errors='backslashreplace')
    main(argv)
    sys.stdout.flush()  # here a closed pipe is one line

  try:
    app.run(fail_cleanly()(quiet), flags_parser=parse)
  except SystemExit as end:
    if end.code in STOPPED:  # all is unwound; threads that still work, or wait for ever, are left
      sys.stdout.flush()
      sys.stderr.flush()
      os._exit(end.code)
    raise


def unwind_when_stopped():
  signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell may ignore it
  for name in ('SIGTERM', 'SIGHUP'):
    number = getattr(signal, name, None)  # Windows has no SIGHUP
    if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores it
      signal.signal(number, _stop)
  sys.unraisablehook = _ignored


def _stop(number, _):
  """Ends the command; and again, should the first time have come where exceptions are swallowed."""
  stop = SystemExit(128 + number)
  _stop_again(stop, AGAIN)
  raise stop


def _stop_again(stop, seconds):
  """Raises another exception like `stop` after some seconds, and every AGAIN from then on.

  Says whether it can: Windows has no such timer.
  """
  if not hasattr(signal, 'setitimer'):
    return False

  def rise(*_):
    raise type(stop)(*stop.args)

  signal.signal(signal.SIGALRM, rise)
  signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
  return True


def _ignored(raised):
  """Tells of an exception that Python has to ignore; a stop is no fault, but comes once more.

  It may fall into what the garbage collector calls, JAX's for one, where nothing can be raised.
  """
  stop = raised.exc_value
  ended = isinstance(stop, SystemExit) and stop.code in STOPPED
  if not (ended or isinstance(stop, KeyboardInterrupt)) or not _stop_again(stop, SOON):
    sys.__unraisablehook__(raised)
