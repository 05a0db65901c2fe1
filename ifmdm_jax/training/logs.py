"""What people watch: a screen or lines, workdir/log.csv, TensorBoard, W&B, pictures and videos."""

import contextlib
import csv
import pathlib
import sys
import time

import cv2
import numpy as np

from ifmdm_jax import errors, files, video
from ifmdm_jax.training import hosts

HEADER = ('step', 'seconds', 'name', 'value')


class Logs:
  """Only the first process writes. `start` is the step restored: later rows of the CSV go.

  log.csv is long, a row per number: step, seconds trained so far, name, value. A disk that is full
  stops the writing, with one warning, and not the run.

  Args:
    workdir: folder.
    start, steps: of this run.
    seconds: trained before.
    weights: {term: weight}; each such term is logged as it is and as 'weighted/<term>'.
    wandb: project, or ''.
    config: for W&B.
  """

  def __init__(self, workdir, *, start, steps, seconds=0.0, weights=None, wandb='', config=None):
    self.workdir = pathlib.Path(workdir)
    self._steps, self._seconds, self._weights = steps, seconds, weights or {}
    self._mark = start, time.perf_counter(), 0.0  # step, time, seconds waited for data
    self._flops = self._peak = 0.0
    self._writes, self._lost = hosts.first(), False
    self._board = self._screen = self._run = None
    if not self._writes:
      return
    self._file = _open_csv(self.workdir / 'log.csv', start)
    self._csv = csv.writer(self._file)
    self._board = _board(self.workdir / 'tensorboard', start)
    self._run = _wandb(wandb, self.workdir, config) if wandb else None
    if sys.stderr.isatty():
      from ifmdm_jax.training.screen import Screen  # rich, of the extra `train`

      self._screen = Screen(self.workdir.name, start, steps)

  def __enter__(self):
    return self

  def __exit__(self, *_):
    if not self._writes:
      return
    for sink in (self._screen, self._file, self._board):
      with self._reporting():
        if sink:
          sink.close()
    if self._run:
      self._run.finish()

  def speed(self, flops, peak):
    """Notes FLOPs per step and FLOP/s of one device, for MFU; 0: not known."""
    self._flops, self._peak = flops, peak

  def step(self):
    """Moves the bar."""
    if self._screen:
      self._screen.step()

  def train(self, step, metrics, *, batch, waited, seconds):
    """Writes the means since the last call, with speed. `waited`: seconds of waiting in all."""
    last, then, waited_then = self._mark
    now = time.perf_counter()
    took = max(now - then, 1e-9)
    self._mark, self._seconds = (step, now, waited), seconds
    rate = (step - last) / took
    speed = dict(
      steps_per_s=rate, samples_per_s=rate * batch, data_wait=(waited - waited_then) / took
    )
    if self._flops and self._peak:
      speed['mfu'] = rate * self._flops / self._peak
    weighted = {
      f'weighted/{name}': self._weights[name] * value
      for name, value in metrics.items()
      if name in self._weights
    }
    figures = {**metrics, **weighted, **speed}
    self._write('train', step, figures)
    if self._screen:
      self._screen.train(figures)
      return
    terms = {
      k: metrics[k] for k in ('loss', *metrics) if k in metrics and k not in ('lr', 'skipped')
    }
    left = _clock((self._steps - step) / max(rate, 1e-9))
    busy = f'  MFU {speed["mfu"]:.1%}' if 'mfu' in speed else ''
    hosts.say(
      f'step {step}/{self._steps}  {_figures(terms)}  {rate:.3g} steps/s  {rate * batch:.3g}'
      f' samples/s{busy}  data wait {speed["data_wait"]:.0%}  {_clock(seconds)} done, {left} left'
    )

  def validation(self, step, metrics):
    self._write('val', step, metrics)
    if self._screen:
      self._screen.validation(step, metrics)
    else:
      hosts.say(f'step {step}  val  {_figures(metrics)}')

  def pictures(self, step, pictures):
    """Writes {name: uint8 [H, W, 3]} to TensorBoard and workdir/pictures/<name>.png."""
    folder = self.workdir / 'pictures'
    with self._reporting():
      folder.mkdir(exist_ok=True)
      for name, picture in pictures.items():
        picture = np.asarray(picture)
        if self._board:
          self._board.picture(name, picture, step)
        cv2.imwrite(str(folder / f'{name.replace("/", "_")}.png'), picture[..., ::-1])

  def histograms(self, step, arrays):
    """Writes {name: numbers} to TensorBoard."""
    with self._reporting():
      for name, values in arrays.items():
        if self._board:
          self._board.histogram(name, values, step)

  def videos(self, step, videos):
    """Writes (name, frames uint8 [T, H, W, 3], waveform [L], rate in Hz) as files with sound.

    They lie in workdir/videos/<step>/<name>.mp4.
    """
    folder = self.workdir / 'videos' / f'{step:07d}'
    with self._reporting():
      folder.mkdir(parents=True, exist_ok=True)
      for name, frames, waveform, rate in videos:
        video.write(folder / f'{name}.mp4', frames, waveform, rate, provenance=False)

  def _write(self, group, step, metrics):
    if not self._writes:
      return
    with self._reporting():
      for name, value in metrics.items():
        row = step, f'{self._seconds:.1f}', f'{group}/{name}', f'{float(value):.6g}'
        self._csv.writerow(row)
        if self._board:
          self._board.scalar(f'{group}/{name}', value, step)
      self._file.flush()
      if self._board:
        self._board.flush()
    if self._run:
      self._run.log({f'{group}/{name}': value for name, value in metrics.items()}, step=step)

  @contextlib.contextmanager
  def _reporting(self):
    """Turns what the disk refuses into one warning; the board is given up."""
    try:
      yield
    except OSError as error:
      if not self._lost:
        hosts.say(f'warning: logs cannot be written to {self.workdir}: {error.strerror or error}')
      self._lost, self._board = True, None


def weights_of(model):
  """Reads {term: weight} of a config.model: its `loss`, and every `<term>_weight`."""
  weights = {name: value for name, value in model.items() if name.endswith('_weight')}
  weights = {name.removesuffix('_weight'): value for name, value in weights.items()}
  return {**weights, **(model.get('loss') or {})}


def _open_csv(path, start):
  """The file with its header and the rows up to `start`, ready for more."""
  rows = []
  if path.exists():
    with path.open(newline='') as file:
      rows = [row for row in csv.reader(file) if len(row) == len(HEADER)][1:]
  with files.atomic(path) as half, half.open('w', newline='') as file:
    csv.writer(file).writerows([HEADER, *(row for row in rows if int(row[0]) <= start)])
  return path.open('a', newline='')


def _board(folder, start):
  try:
    from ifmdm_jax.training.board import Board  # of the extra `train`
  except ImportError:
    print('tensorboardX is not installed: figures go to log.csv only')
    return None
  return Board(folder, start)


def _wandb(project, workdir, config):
  try:
    import wandb  # of the extra `wandb`
  except ImportError as error:
    raise errors.InputError(
      'config.train.wandb needs Weights & Biases: pip install "ifmdm_jax[wandb]", or leave it empty'
    ) from error
  # The folder's name as id: the same command goes on with the same curves.
  return wandb.init(
    project=project,
    dir=str(workdir),
    id=workdir.name,
    resume='allow',
    config=config.to_dict() if config else None,
  )


def _figures(metrics):
  return '  '.join(f'{name} {float(value):.4g}' for name, value in metrics.items())


def _clock(seconds):
  """5025 -> '1h23m'."""
  if seconds > 1e7:
    return '?'
  minutes, seconds = divmod(int(seconds), 60)
  return f'{minutes // 60}h{minutes % 60:02d}m' if minutes >= 60 else f'{minutes}m{seconds:02d}s'
