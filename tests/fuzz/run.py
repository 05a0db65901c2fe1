"""Damaged inputs through the functions that the commands call: one clear line, or a sane result.

  python -m tests.fuzz.run --cases 2000          (make fuzz)
  python -m tests.fuzz.run --case 1234           one of them, with its traceback

Cases run in a process of their own, so that one that ends it, hangs, or takes over 2 GB is told
from the others.
"""

import argparse
import contextlib
import io
import multiprocessing
import pathlib
import sys
import tempfile
import time
import traceback

from ifmdm_jax.errors import LONGEST, InputError
from tests.fuzz import doors, mutate

SECONDS, MEMORY = 20, 2**31  # that a case may take


def case(number, folder):
  """Runs a case; returns '' or what is wrong with it.

  Args:
    number: of the case; it decides door and damage.
    folder: empty, for its files.
  """
  name, make, read = doors.DOORS[number % len(doors.DOORS)]
  path = make(folder)
  path.write_bytes(mutate.mutate(path.read_bytes(), number))
  before = {each for each in folder.rglob('*') if each.is_file()}
  said = io.StringIO()
  try:
    with contextlib.redirect_stderr(said):
      read(path)
  except InputError as error:
    if '\n' in str(error) or len(str(error)) > LONGEST + 50:
      return f'{name}: not one line: {error}'
  except Exception as error:
    where = traceback.extract_tb(error.__traceback__)[-1]
    place = f'{pathlib.Path(where.filename).name}:{where.lineno}'
    return f'{name}: {type(error).__name__}: {str(error)[:200]} ({place})'
  if 'Traceback' in said.getvalue():
    return f'{name}: a traceback was printed'
  left = {each for each in folder.rglob('*') if each.is_file()} - before
  half = [each.name for each in left if each.name.startswith('.')]
  return f'{name}: left {half}' if half else ''


def _memory():
  """Most bytes that this process has held; 0 where nobody counts."""
  try:
    import resource  # not on Windows
  except ImportError:
    return 0
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
    1 if sys.platform == 'darwin' else 1024
  )


def serve(numbers, pipe):
  """Runs cases in this process and sends (number, what is wrong, its memory) of each."""
  for number in numbers:
    pipe.send((number, None, 0))  # begun
    with tempfile.TemporaryDirectory() as folder:
      wrong = case(number, pathlib.Path(folder))
    pipe.send((number, wrong, _memory()))


def run(numbers):
  """Yields (number, what is wrong) of all cases."""
  waiting = list(numbers)
  while waiting:
    ours, theirs = multiprocessing.get_context('spawn').Pipe()
    process = multiprocessing.get_context('spawn').Process(target=serve, args=(waiting, theirs))
    process.start()
    theirs.close()
    began, current = None, waiting[0]
    try:
      while waiting:
        if not ours.poll(SECONDS if began else 120):
          raise TimeoutError
        current, wrong, memory = ours.recv()
        if wrong is None:
          began = time.monotonic()
          continue
        waiting.remove(current)
        yield current, wrong or (f'held {memory >> 20} MB' if memory > MEMORY else '')
        if memory > MEMORY:
          break  # counted once: the next process begins anew
    except (EOFError, TimeoutError) as error:
      process.kill()
      process.join()
      waiting.remove(current)
      name = doors.DOORS[current % len(doors.DOORS)][0]
      what = (
        'hangs' if isinstance(error, TimeoutError) else f'ended the process ({process.exitcode})'
      )
      yield current, f'{name}: {what}'
    process.kill()
    process.join()


def main():
  words = argparse.ArgumentParser(description=__doc__)
  words.add_argument('--cases', type=int, default=2000)
  words.add_argument('--first', type=int, default=0)
  words.add_argument('--case', type=int)
  asked = words.parse_args()
  if asked.case is not None:
    with tempfile.TemporaryDirectory() as folder:
      name, make, read = doors.DOORS[asked.case % len(doors.DOORS)]
      path = make(pathlib.Path(folder))
      path.write_bytes(mutate.mutate(path.read_bytes(), asked.case))
      read(path)
    return
  failed = 0
  for number, wrong in run(range(asked.first, asked.first + asked.cases)):
    if wrong:
      failed += 1
      print(f'case {number}: {wrong}', flush=True)
  print(f'{asked.cases} cases, {failed} failures')
  sys.exit(failed > 0)


if __name__ == '__main__':
  main()
