"""The release weights in pieces: trains a stage for so many minutes and writes down what it cost.

  python -m ifmdm_jax.prepare --source CLIPS --output runs/cache
  python experiments/release/train.py --stage autoencoder --minutes 9
  python experiments/release/train.py --stage motion --minutes 9
  python experiments/release/train.py --stage student --minutes 9
  python -m ifmdm_jax.bundle --output runs/lite \
      --parts autoencoder=runs/autoencoder,motion=runs/motion,student=runs/student

The same command goes on where the last piece ended; a piece is a row of `pieces.csv`. `--licence`
takes only clips and stills whose licence or provenance it finds; `--licence open`, the pattern OPEN
below, nothing but CC BY, works of governments and generated faces, trains beside the other weights
in runs/autoencoder_open, runs/motion_open and runs/student_open. What follows `--` goes to the
trainer:

  ... --stage autoencoder --minutes 60 -- --config.model.loss.perceptual=1.0
"""

import csv
import pathlib
import platform
import subprocess
import sys
import time

import numpy as np
from absl import flags

from ifmdm_jax import errors, files
from ifmdm_jax.pipeline import codes
from ifmdm_jax.pipeline.statistics import set_statistics

OPEN = '^HDTF|^GRID|White House|US Government|UK government|US Congress|public domain|GAN-generated'
HERE = pathlib.Path(__file__).parent
STAGES = {
  'autoencoder': ('autoencoder:lite', 'val/psnr'),
  'motion': ('motion:lite', 'val/mse'),
  'student': ('distill:lite', 'val/mse'),
}
WINDOW = 65  # frames, as data.frames of configs/motion.py

_STAGE = flags.DEFINE_enum('stage', 'autoencoder', list(STAGES), 'What to train.', **errors.SHARED)
_MINUTES = flags.DEFINE_float('minutes', 9.0, 'Length of the piece.', **errors.SHARED)
_RUNS = flags.DEFINE_string('runs', 'runs', 'Folder of cache and workdirs.', **errors.SHARED)
_LICENCE = flags.DEFINE_string('licence', '', 'Pattern to find, or "open".', **errors.SHARED)
_TABLE = flags.DEFINE_string(
  'table', str(HERE / 'pieces.csv'), 'Table to add a row to.', **errors.SHARED
)


def last(log, name):
  """(step, value) of the last row called `name` in a log.csv, or (0, '')."""
  if not log.exists():
    return 0, ''
  with open(log, newline='') as file:
    rows = [row for row in csv.DictReader(file) if row['name'] == name]
  return (int(rows[-1]['step']), rows[-1]['value']) if rows else (0, '')


def units(runs, licence, workdir):
  """The file of code and feature statistics: of the cache, or of what has the licence alone.

  `workdir` is that of stage 2, whose student sees codes as it does.
  """
  if not licence:
    return runs / 'cache' / 'motion' / 'statistics.npz'
  path = workdir / 'statistics.npz'
  if not path.exists():
    clips = codes.read(runs / 'cache', 'train', licence)
    workdir.mkdir(parents=True, exist_ok=True)
    column = lambda name: [getattr(clip, name) for clip in clips]
    numbers = set_statistics(column('codes'), column('features'), WINDOW, column('opening'))
    np.savez(path, **numbers)
  return path


def main(arguments):
  runs, licence = pathlib.Path(_RUNS.value), _LICENCE.value
  name = '{}_open' if licence == 'open' else '{}'
  licence = OPEN if licence == 'open' else licence
  config, measure = STAGES[_STAGE.value]
  workdir, teacher = (runs / name.format(stage) for stage in (_STAGE.value, 'motion'))
  command = [
    *(sys.executable, '-m', 'ifmdm_jax.train', '--config', config, '--workdir', str(workdir)),
    *(f'--max_minutes={_MINUTES.value}', f'--config.data.cache={runs / "cache"}'),
    f'--config.data.licence={licence}',
  ]
  if _STAGE.value in ('motion', 'student'):
    command += [
      f'--config.model.normalizer={units(runs, licence, teacher)}',
      f'--config.data.autoencoder={runs / name.format("autoencoder")}',
    ]
  if _STAGE.value == 'student':
    command += [f'--init_from={teacher}', f'--config.model.teacher={teacher}']
  before, began = last(workdir / 'log.csv', 'train/loss')[0], time.monotonic()
  status = subprocess.run([*command, *arguments[1:]], check=False).returncode
  if status:
    sys.exit(status)
  row = dict(
    stage=_STAGE.value,
    licence=licence or 'all',
    from_step=before,
    to_step=last(workdir / 'log.csv', 'train/loss')[0],
    minutes=round((time.monotonic() - began) / 60, 1),
    machine=platform.processor() or platform.machine(),
    measure=measure,
    value=last(workdir / 'log.csv', measure)[1],
    arguments=' '.join(arguments[1:]),
  )
  files.add_rows(_TABLE.value, [row])
  print(', '.join(f'{name} {value}' for name, value in row.items()))


if __name__ == '__main__':
  errors.run(main, rest=True)
