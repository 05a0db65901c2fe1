"""Bad input ends in one line: what was expected, what came, what to do."""

import contextlib
import os
import signal
import sys

from ifmdm_jax import extras

extras.install_hook()

# For flags of entry points: two commands may both have --output, and be imported together.
SHARED = dict(allow_override=True)
AGAIN = 5.0  # seconds after which a stopped command that still runs is stopped again
STOPPED = 129, 130, 143  # exit statuses: by a terminal that was closed, by Ctrl-C, by SIGTERM


class InputError(ValueError):
  """Something the user gave cannot be used; the message is one line and says what to do."""

  def __init__(self, message):
    super().__init__(' '.join(str(message).split()))


def note(text):
  """Says something that the user should know, without stopping."""
  print(f'note: {text}', file=sys.stderr)


@contextlib.contextmanager
def fail_cleanly():
  """Turns an InputError, or an extra that is not installed, into one line on stderr and exit
  status 2 (ctrl-C: 130).

  A context manager, and so a decorator for `main` too:

    @errors.fail_cleanly()
    def main(_): ...
  """
  try:
    yield
  except InputError as error:
    print(f'error: {error}', file=sys.stderr)
    sys.exit(2)
  except ModuleNotFoundError as error:
    if not (said := extras.missing(error)):
      raise
    print(f'error: {said}', file=sys.stderr)
    sys.exit(2)
  except KeyboardInterrupt:
    print('stopped.', file=sys.stderr)
    sys.exit(130)


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
    except flags.Error as error:
      print(f'error: {" ".join(str(error).split())}: --help lists the flags', file=sys.stderr)
      sys.exit(2)

  def quiet(argv):
    logging.set_verbosity(logging.ERROR)  # Orbax tells every step of every read
    _unwind_when_stopped()
    main(argv)

  try:
    app.run(fail_cleanly()(quiet), flags_parser=parse)
  except SystemExit as end:
    if end.code in STOPPED:  # all is unwound; threads that still work, or wait for ever, are left
      sys.stdout.flush()
      sys.stderr.flush()
      os._exit(end.code)
    raise


def _unwind_when_stopped():
  signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell may ignore it
  for name in ('SIGTERM', 'SIGHUP'):
    number = getattr(signal, name, None)  # Windows has no SIGHUP
    if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores it
      signal.signal(number, _stop)


def _stop(number, _):
  """Ends the command; and again, should the first time have come where exceptions are swallowed."""
  status = 128 + number
  if hasattr(signal, 'setitimer'):  # not on Windows
    signal.signal(signal.SIGALRM, lambda *_: sys.exit(status))
    signal.setitimer(signal.ITIMER_REAL, AGAIN, AGAIN)
  sys.exit(status)
