"""Bad input ends in one line: what was expected, what came, what to do."""

import contextlib
import sys

from ifmdm_jax import extras

extras.install_hook()

# For flags of entry points: two commands may both have --output, and be imported together.
SHARED = dict(allow_override=True)


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
  """`absl.app.run(main)`; flags that cannot be parsed are one line and exit status 2 as well.

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
    main(argv)

  app.run(fail_cleanly()(quiet), flags_parser=parse)
