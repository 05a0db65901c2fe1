"""Runs all of a sweep: here, several at a time, or as an array job of SLURM."""

import os
import shlex
import subprocess
import time

from tqdm import tqdm

from ifmdm_jax.errors import InputError
from ifmdm_jax.sweeps.definition import RESULT


def local(sweep, workdir, parallel):
  """Does all runs that have no result yet, `parallel` at a time; returns the failed ones."""
  waiting = [i for i in range(len(sweep.changes)) if not (workdir / str(i) / RESULT).exists()]
  running, failed = {}, []
  with tqdm(total=len(waiting), desc=sweep.name, unit='run', disable=None) as bar:
    try:
      while waiting or running:
        while waiting and len(running) < parallel:
          index = waiting.pop(0)
          (workdir / str(index)).mkdir(parents=True, exist_ok=True)
          with (workdir / str(index) / 'output.txt').open('a') as log:
            running[index] = subprocess.Popen(sweep.command(index, workdir), stdout=log, stderr=log)
        for index in [i for i, process in running.items() if process.poll() is not None]:
          if running.pop(index).returncode:
            failed.append(index)
            bar.write(f'run {index} failed: {workdir / str(index) / "output.txt"}')
          bar.update()
        time.sleep(0.2)
    finally:  # Ctrl-C, SIGTERM: each run saves and ends
      for process in running.values():
        process.terminate()
      for process in running.values():
        process.wait()
  return failed


def slurm(sweep, workdir, extra):
  """Writes an array job of what is left and hands it to sbatch; returns what that says."""
  left = [i for i in range(len(sweep.changes)) if not (workdir / str(i) / RESULT).exists()]
  if not left:
    return 'nothing is left to run'
  workdir.mkdir(parents=True, exist_ok=True)
  words = sweep.command('INDEX', workdir)
  line = shlex.join(words).replace('INDEX', '"$SLURM_ARRAY_TASK_ID"')
  script = workdir / 'array.sh'
  script.write_text(
    '#!/bin/bash\n'
    f'#SBATCH --job-name={sweep.name}\n'
    f'#SBATCH --array={",".join(map(str, left))}\n'
    f'#SBATCH --output={workdir.absolute()}/slurm-%a.txt\n'
    '#SBATCH --signal=TERM@120\n'  # two minutes to save
    '#SBATCH --requeue\n'
    f'cd {shlex.quote(os.getcwd())}\n'
    f'exec srun {line}\n'
  )
  try:
    done = subprocess.run(
      ['sbatch', *shlex.split(extra), str(script)], capture_output=True, text=True
    )
  except FileNotFoundError:
    raise InputError(
      f'{script} is written, but there is no sbatch here: submit it where there is one'
    ) from None
  if done.returncode:
    raise InputError(f'sbatch refused {script}: {done.stderr}')
  return done.stdout.strip()
