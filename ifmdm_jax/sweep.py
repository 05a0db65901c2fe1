"""Runs a sweep: one config, several values, one table and one plot.

  python -m ifmdm_jax.sweep --config configs/sweeps/motion_statistics.py             lists
  python -m ifmdm_jax.sweep --config ... --index 2                                   runs one
  python -m ifmdm_jax.sweep --config ... --launch local --parallel 2                 runs all
  python -m ifmdm_jax.sweep --config ... --launch slurm --sbatch "--gpus=1 --time=8:00:00"
  python -m ifmdm_jax.sweep --config ... --collect                                   table, plot

A sweep is a config file with `get_config()` and `sweep(add)`, which calls add({'model.depth': 4})
once for each run; `run(config, workdir) -> {name: number}` may stand in place of training. A run
goes on where it was stopped, so the same command finishes what is left. Results are the last
validation of each run, in --output as results.csv, table.md and plot.png.

  other sizes of the config       --config configs/sweeps/motion_statistics.py:tiny
  settings of all runs            --set train.steps=200 --set data.cache=runs/cache
"""

import csv
import importlib.util
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time

import numpy as np
from absl import flags

from ifmdm_jax import errors
from ifmdm_jax.errors import InputError

_CONFIG = flags.DEFINE_string('config', None, 'File, or file:size.', **errors.SHARED)
_SET = flags.DEFINE_multi_string('set', [], 'name=value for all runs.', **errors.SHARED)
_INDEX = flags.DEFINE_integer('index', None, 'Run this one.', lower_bound=0, **errors.SHARED)
_LAUNCH = flags.DEFINE_enum(
  'launch', None, ['local', 'slurm'], 'Run all: here, or as an array job.', **errors.SHARED
)
_PARALLEL = flags.DEFINE_integer('parallel', 1, 'Runs at a time.', lower_bound=1, **errors.SHARED)
_SBATCH = flags.DEFINE_string('sbatch', '', 'More arguments of sbatch.', **errors.SHARED)
_COLLECT = flags.DEFINE_bool('collect', False, 'Write table and plot.', **errors.SHARED)
_WORKDIR = flags.DEFINE_string(
  'workdir', None, 'Runs lie here; default runs/sweeps/NAME.', **errors.SHARED
)
_OUTPUT = flags.DEFINE_string(
  'output', None, 'Results lie here; default experiments/sweeps/NAME.', **errors.SHARED
)
RESULT = 'result.json'


class Sweep:
  """A file with `get_config` and `sweep`, and the changes that it adds.

  Attributes:
    name: of the file.
    changes: [{path in the config: value}], one per run.
  """

  def __init__(self, config, settings=()):
    path, _, self._size = config.partition(':')
    self._module = _load(path)
    self.name = pathlib.Path(path).stem
    self._words = ['--config', config, *(word for text in settings for word in ('--set', text))]
    self.settings = dict(map(_setting, settings))
    self.changes = []
    self._module.sweep(self.changes.append)
    for change in self.changes:
      self._changed(change)  # a wrong name is told before anything runs

  def config(self, index):
    if index >= len(self.changes):
      raise InputError(f'--index is {index}, {self.name} has runs 0 to {len(self.changes) - 1}')
    return self._changed(self.changes[index])

  def _changed(self, change):
    config = self._module.get_config(*filter(None, [self._size]))
    for name, value in {**self.settings, **change}.items():
      try:
        _put(config, name, value)
      except (KeyError, TypeError, ValueError) as error:
        raise InputError(
          f'{self.name}: {name}={value!r} does not fit its config: {error}'
        ) from error
    return config

  def command(self, index, workdir):
    """The words that do run `index`."""
    words = [sys.executable, '-m', 'ifmdm_jax.sweep', *self._words]
    return [*words, '--workdir', str(workdir), '--index', str(index)]

  def run(self, index, workdir):
    """Does run `index` in `workdir` and leaves result.json there; returns its figures."""
    config, workdir = self.config(index), pathlib.Path(workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    figures = getattr(self._module, 'run', train)(config, workdir)
    if figures is None:
      return None
    result = dict(change=_plain(self.changes[index]), figures=figures)
    result['minutes'] = round((time.monotonic() - begin) / 60, 2)
    half = workdir / f'.{RESULT}'
    half.write_text(json.dumps(result, indent=1))
    os.replace(half, workdir / RESULT)
    return figures


def train(config, workdir):
  """Trains, with the other processes of a SLURM step if there are any.

  Returns the last validation; None where the run was stopped before its end, and in all processes
  but the first.
  """
  from ifmdm_jax.training import hosts, loop, program

  hosts.connect()
  program.keep_compiled(workdir.parent.absolute() / '.cache')
  state = loop.train(config, workdir)
  done = int(state.step) >= config.train.steps
  return last_validation(workdir) if done and hosts.first() else None


def last_validation(workdir):
  """{name: value} of the last step in log.csv that has any."""
  with (pathlib.Path(workdir) / 'log.csv').open() as file:
    rows = [row for row in csv.DictReader(file) if row['name'].startswith('val/')]
  if not rows:
    raise InputError(f'{workdir} has no validation: the sweep needs train.eval_every')
  last = [row for row in rows if row['step'] == rows[-1]['step']]
  return {row['name'].removeprefix('val/'): float(row['value']) for row in last}


def launch_local(sweep, workdir, parallel):
  """All runs that have no result yet, `parallel` processes at a time; how many failed."""
  from tqdm import tqdm

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


def launch_slurm(sweep, workdir, extra):
  """Writes an array job that does what is left, and hands it to sbatch; what sbatch says."""
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


def collect(sweep, workdir, output):
  """results.csv, table.md and plot.png of the runs that are done; the table."""
  results = {}
  for index in range(len(sweep.changes)):
    path = workdir / str(index) / RESULT
    if path.exists():
      results[index] = json.loads(path.read_text())
  if not results:
    raise InputError(f'no run of {sweep.name} is done in {workdir}: --launch local runs them')
  changed = list(dict.fromkeys(name for change in sweep.changes for name in change))
  measured = list(dict.fromkeys(name for r in results.values() for name in r['figures']))
  header = ['run', *changed, *measured, 'minutes']
  rows = [
    [index, *(r['change'].get(name, '') for name in changed),
     *(r['figures'].get(name, float('nan')) for name in measured), r['minutes']]
    for index, r in results.items()
  ]  # fmt: skip
  output.mkdir(parents=True, exist_ok=True)
  with (output / 'results.csv').open('w', newline='') as file:
    csv.writer(file).writerows([header, *rows])
  shown = lambda x: f'{x:.4g}' if isinstance(x, float) else _words(x)
  lines = [header, ['---'] * len(header), *rows]
  table = '\n'.join(f'| {" | ".join(map(shown, line))} |' for line in lines)
  missing = len(sweep.changes) - len(results)
  table += f'\n\n{missing} of {len(sweep.changes)} runs are not done.\n' if missing else '\n'
  (output / 'table.md').write_text(table)
  plot(output / 'plot.png', sweep.name, changed, measured, results)
  return table


def plot(path, name, changed, measured, results):
  """One panel per figure; bars, labelled by what was changed."""
  from matplotlib.figure import Figure  # without pyplot: no display, no global state

  labels = [
    '\n'.join(_words(r['change'].get(key, '')) for key in changed) for r in results.values()
  ]
  columns = min(len(measured), 4)
  rows = -(-len(measured) // columns)
  figure = Figure((3.2 * columns, 2.6 * rows + 0.5), layout='constrained')
  figure.suptitle(f'{name}: {", ".join(changed)}')
  for axis, key in zip(figure.subplots(rows, columns, squeeze=False).flat, measured, strict=False):
    values = [r['figures'].get(key, np.nan) for r in results.values()]
    axis.bar(range(len(values)), values, color='#4477aa')
    axis.set_xticks(range(len(values)), labels, fontsize=7)
    axis.set_title(key, fontsize=9)
    spread = max(values) - min(values)
    if min(values) > 0 and 0 < spread < 0.3 * max(values):  # small differences would not show
      axis.set_ylim(min(values) - spread, max(values) + spread)
  for axis in list(figure.axes)[len(measured) :]:
    axis.remove()
  figure.savefig(path, dpi=110)


def _put(config, name, value):
  """config.a.b = value, where it exists; ConfigDict checks the type."""
  *sections, last = name.split('.')
  for section in sections:
    config = config[section]
  if last not in config:
    raise KeyError(f'there is no {last}')
  config[last] = tuple(value) if isinstance(value, list) else value


def _setting(text):
  name, equals, value = text.partition('=')
  if not equals:
    raise InputError(f'expected --set name=value, got {text!r}')
  try:
    return name, json.loads(value)
  except json.JSONDecodeError:
    return name, value


def _words(value):
  """For a table: 'mean + std', 'none'."""
  return ' + '.join(map(str, value)) or 'none' if isinstance(value, list) else str(value)


def _plain(change):
  return {name: list(v) if isinstance(v, tuple) else v for name, v in change.items()}


def _load(path):
  if not pathlib.Path(path).is_file():
    raise InputError(f'--config: expected a file of configs/sweeps, there is no {path}')
  spec = importlib.util.spec_from_file_location(f'sweep_{pathlib.Path(path).stem}', path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  if not hasattr(module, 'sweep'):
    raise InputError(f'{path} has no sweep(add): see configs/sweeps')
  return module


def main(_):
  if not _CONFIG.value:
    raise InputError('expected --config FILE[:SIZE]; --help shows examples')
  sweep = Sweep(_CONFIG.value, _SET.value)
  workdir = pathlib.Path(_WORKDIR.value or f'runs/sweeps/{sweep.name}')
  output = pathlib.Path(_OUTPUT.value or f'experiments/sweeps/{sweep.name}')
  if _INDEX.value is not None:
    print(sweep.run(_INDEX.value, workdir / str(_INDEX.value)))
  elif _LAUNCH.value == 'slurm':
    print(launch_slurm(sweep, workdir, _SBATCH.value))
  elif _LAUNCH.value == 'local':
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, so that no run stays behind
    failed = launch_local(sweep, workdir, _PARALLEL.value)
    print(collect(sweep, workdir, output))
    if failed:
      sys.exit(1)
  elif _COLLECT.value:
    print(collect(sweep, workdir, output))
  else:
    for index, change in enumerate(sweep.changes):
      done = 'done' if (workdir / str(index) / RESULT).exists() else ''
      print(f'{index:3}  {", ".join(f"{k}={v}" for k, v in change.items())}  {done}')


if __name__ == '__main__':
  errors.run(main)
