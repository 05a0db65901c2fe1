import signal
import subprocess
import sys

import pytest

from ifmdm_jax import errors, extras

PROGRAM = """
from absl import flags
from ifmdm_jax import errors
flags.DEFINE_integer('number', 1, 'A number.')
flags.DEFINE_bool('stream', True, 'Or not.')
def main(_):
  raise errors.InputError('expected this,\\n  got that')
errors.run(main)
"""


def run(*words):
  command = [sys.executable, '-c', PROGRAM, *words]
  return subprocess.run(command, check=False, capture_output=True, text=True)


def test_an_input_error_is_one_line_and_a_value_error():
  error = errors.InputError('expected\n  one line')
  assert str(error) == 'expected one line'
  assert isinstance(error, ValueError)


def test_fail_cleanly_prints_one_line_and_exits_with_2(capsys):
  with pytest.raises(SystemExit) as caught, errors.fail_cleanly():
    raise errors.InputError('no such thing')
  assert caught.value.code == 2
  assert capsys.readouterr().err == 'error: no such thing\n'


def test_fail_cleanly_does_not_hide_our_own_mistakes():
  with pytest.raises(KeyError), errors.fail_cleanly():
    raise KeyError('a bug')


@pytest.mark.parametrize(
  ('words', 'said'),
  [
    ([], 'error: expected this, got that'),
    (['--bogus'], "error: Unknown command line flag 'bogus': --help lists the flags"),
    (['--number=x'], 'error: flag --number=x: invalid literal'),
    (['--nostream=1'], 'error: '),
    (['word'], "error: expected flags only, got 'word'"),
  ],
)
def test_a_program_fails_in_one_line_without_traceback(words, said):
  ran = run(*words)
  assert ran.returncode == 2
  assert ran.stderr.startswith(said)
  assert ran.stderr.count('\n') == 1


def test_help_is_success():
  ran = run('--help')
  assert ran.returncode == 0
  assert '--number' in ran.stdout


def test_a_missing_extra_is_named_in_one_line(capsys):
  with pytest.raises(SystemExit) as caught, errors.fail_cleanly():
    raise ModuleNotFoundError("No module named 'grain'", name='grain.sources')
  assert caught.value.code == 2
  assert capsys.readouterr().err == (
    "error: expected the package grain, which is not installed: pip install 'ifmdm_jax[train]'\n"
  )


def test_any_other_missing_module_is_a_mistake_of_ours():
  with pytest.raises(ModuleNotFoundError), errors.fail_cleanly():
    raise ModuleNotFoundError("No module named 'ifmdm_jax.nothing'", name='ifmdm_jax.nothing')


def test_a_missing_package_is_said_before_the_work():
  extras.require('numpy')
  with pytest.raises(ModuleNotFoundError, match='no_such_package'):
    extras.require('numpy', 'no_such_package')


SWALLOWS = """
import signal, time
from ifmdm_jax import errors
errors.AGAIN = 0.2
def main(_):
  print('begun', flush=True)
  try:
    time.sleep(60)
  except BaseException:  # as a finaliser does
    pass
  time.sleep(60)
errors.run(main)
"""


@pytest.mark.skipif(not hasattr(signal, 'setitimer'), reason='no timers of signals here')
def test_a_command_ends_even_if_the_first_stop_is_swallowed():
  with subprocess.Popen([sys.executable, '-c', SWALLOWS], stdout=subprocess.PIPE) as running:
    running.stdout.readline()
    running.send_signal(signal.SIGTERM)
    try:
      assert running.wait(timeout=30) == 143
    finally:
      running.kill()


IGNORED = """
import gc, time
from ifmdm_jax import errors
def within(*_):
  print('begun', flush=True)
  time.sleep(60)
def main(_):
  gc.callbacks.append(within)
  gc.collect()  # what is raised within is ignored, and Python says so at length
  gc.callbacks.clear()
  time.sleep(60)
errors.run(main)
"""


@pytest.mark.skipif(not hasattr(signal, 'setitimer'), reason='no timers of signals here')
@pytest.mark.parametrize('how, status', [('SIGTERM', 143), ('SIGINT', 130)])
def test_a_stop_within_the_garbage_collector_is_not_lost_and_shows_no_traceback(how, status):
  streams = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
  with subprocess.Popen([sys.executable, '-c', IGNORED], **streams) as running:
    running.stdout.readline()
    running.send_signal(getattr(signal, how))
    try:
      said = running.communicate(timeout=30)[1]
    finally:
      running.kill()
  assert running.returncode == status
  assert 'Traceback' not in said and 'ignored' not in said
