"""The command: what a person sees who types it wrongly."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
  ('arguments', 'says'),
  [
    (['--workdir', 'out'], 'expected --config'),
    (['--config', 'configs/none.py:big', '--workdir', 'out'], 'configs/none.py:big cannot be read'),
    (['--config', 'configs/motion.py:huge', '--workdir', 'out'], 'huge'),
  ],
)
def test_a_wrong_command_ends_in_one_line_and_status_2(arguments, says):
  command = [sys.executable, '-m', 'ifmdm_jax.train', *arguments]
  env = {**os.environ, 'PYTHONPATH': str(ROOT)}
  done = subprocess.run(command, cwd=ROOT, env=env, text=True, capture_output=True)
  assert done.returncode == 2, done.stderr
  assert len(done.stderr.strip().splitlines()) == 1 and says in done.stderr
