"""What people watch: a bar or one line, workdir/log.csv, TensorBoard, and picture files."""

import csv
import pathlib
import sys
import time

import jax
import numpy as np

HEADER = ('step', 'seconds', 'name', 'value')


class Logs:
  """Only the first process writes. `start` is the step restored: later rows of the CSV go.

  log.csv is long, a row per number: step, seconds trained so far, name, value.
  """

  def __init__(self, workdir, *, start, steps, seconds=0.0):
    self.workdir = pathlib.Path(workdir)
    self._steps, self._seconds = steps, seconds
    self._mark = start, time.perf_counter(), 0.0  # step, time, seconds waited for data
    self._writes = jax.process_index() == 0
    if not self._writes:
      return
    self._file = _open_csv(self.workdir / 'log.csv', start)
    self._csv = csv.writer(self._file)
    self._board = _board(self.workdir / 'tensorboard', start)
    self._bar = _bar(start, steps) if sys.stderr.isatty() else None

  def __enter__(self):
    return self

  def __exit__(self, *_):
    if self._writes:
      self._file.close()
      if self._board:
        self._board.close()
      if self._bar:
        self._bar.close()

  def step(self):
    """Moves the bar."""
    if self._writes and self._bar:
      self._bar.update(1)

  def train(self, step, metrics, *, batch, waited, seconds):
    """The means since the last call, with speed. `waited`: seconds of waiting in all."""
    last, then, waited_then = self._mark
    now = time.perf_counter()
    took = max(now - then, 1e-9)
    self._mark, self._seconds = (step, now, waited), seconds
    rate = (step - last) / took
    speed = dict(
      steps_per_s=rate, samples_per_s=rate * batch, data_wait=(waited - waited_then) / took
    )
    self._write('train', step, {**metrics, **speed})
    shown = {k: metrics[k] for k in ('loss', *metrics) if k in metrics and k != 'lr'}
    left = _clock((self._steps - step) / max(rate, 1e-9))
    self._say(
      f'step {step}/{self._steps}  {_figures(shown)}  {rate:.3g} steps/s  {rate * batch:.3g}'
      f' samples/s  data wait {speed["data_wait"]:.0%}  {_clock(seconds)} done, {left} left'
    )

  def evaluation(self, step, metrics):
    self._write('val', step, metrics)
    self._say(f'step {step}  val  {_figures(metrics)}')

  def pictures(self, step, pictures):
    """{name: uint8 [H, W, 3] RGB} to TensorBoard and workdir/pictures/<name>.png (the latest)."""
    if not self._writes:
      return
    import cv2

    folder = self.workdir / 'pictures'
    folder.mkdir(exist_ok=True)
    for name, picture in pictures.items():
      picture = np.asarray(picture)
      if self._board:
        self._board.add_image(name, picture, step, dataformats='HWC')
      cv2.imwrite(str(folder / f'{name.replace("/", "_")}.png'), picture[..., ::-1])

  def _write(self, group, step, metrics):
    if not self._writes:
      return
    for name, value in metrics.items():
      row = step, f'{self._seconds:.1f}', f'{group}/{name}', f'{float(value):.6g}'
      self._csv.writerow(row)
      if self._board:
        self._board.add_scalar(f'{group}/{name}', float(value), step)
    self._file.flush()

  def _say(self, line):
    if not self._writes:
      return
    if self._bar:
      self._bar.write(line)
    else:
      print(line, flush=True)


def _open_csv(path, start):
  """The file with its header and the rows up to `start`, ready for more."""
  rows = []
  if path.exists():
    with path.open(newline='') as file:
      rows = [row for row in csv.reader(file) if len(row) == len(HEADER)][1:]
  file = path.open('w', newline='')
  csv.writer(file).writerows([HEADER, *(row for row in rows if int(row[0]) <= start)])
  return file


def _board(folder, start):
  try:
    from tensorboardX import SummaryWriter
  except ImportError:
    print('tensorboardX is not installed: figures go to log.csv only')
    return None
  return SummaryWriter(str(folder), purge_step=start + 1 if start else None)


def _bar(start, steps):
  from tqdm import tqdm

  return tqdm(initial=start, total=steps, unit='step', dynamic_ncols=True, smoothing=0.05)


def _figures(metrics):
  return '  '.join(f'{name} {float(value):.4g}' for name, value in metrics.items())


def _clock(seconds):
  """5025 -> '1h23m'."""
  if seconds > 1e7:
    return '?'
  minutes, seconds = divmod(int(seconds), 60)
  return f'{minutes // 60}h{minutes % 60:02d}m' if minutes >= 60 else f'{minutes}m{seconds:02d}s'
