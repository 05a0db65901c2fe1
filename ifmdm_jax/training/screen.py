"""One screen for a terminal: progress and time left, every term, speed, the latest validation."""

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

TREND = '▁▂▃▄▅▆▇█'
SPEED = ('samples_per_s', 'steps_per_s', 'data_wait', 'mfu', 'lr')


class Screen:
  """Redraws itself; printed lines scroll by above it."""

  def __init__(self, title, start, steps, console=None):
    self._title = title
    self._progress = Progress(
      TextColumn('step'), MofNCompleteColumn(), BarColumn(None), TextColumn('left'),
      TimeRemainingColumn(), expand=True,
    )  # fmt: skip
    self._task = self._progress.add_task('', total=steps, completed=start)
    self._history, self._train, self._val = {}, {}, ('', {})
    console = console or Console(stderr=True)
    self._live = Live(self._draw(), console=console, refresh_per_second=4)
    self._live.start()

  def step(self):
    self._progress.advance(self._task)

  def train(self, figures):
    self._train = figures
    for name, value in figures.items():
      self._history.setdefault(name, []).append(value)
    self._live.update(self._draw())

  def validation(self, step, figures):
    self._val = f' at step {step}', figures
    self._live.update(self._draw())

  def close(self):
    self._live.stop()

  def _draw(self):
    terms = Table('term', 'now', 'weighted', 'trend', expand=True, box=None, header_style='dim')
    for name, value in self._train.items():
      if name not in SPEED and not name.startswith('weighted/'):
        weighted = self._train.get(f'weighted/{name}')
        weighted_text = '' if weighted is None else f'{weighted:.4g}'
        terms.add_row(name, f'{value:.4g}', weighted_text, trend(self._history[name]))
    speed = '   '.join(
      f'{name} {self._train[name]:{".0%" if name in ("data_wait", "mfu") else ".3g"}}'
      for name in SPEED
      if name in self._train
    )
    step, figures = self._val
    held_out = '   '.join(f'{name} {value:.4g}' for name, value in figures.items())
    lines = [self._progress, terms, speed or 'compiling ...']
    if figures:
      lines.append(f'validation{step}: {held_out}')
    return Panel(Group(*lines), title=self._title)


def trend(values, width=24):
  """Draws the last values as a row of bars."""
  values = values[-width:]
  low, high = min(values), max(values)
  span = (high - low) or 1.0
  return ''.join(TREND[int((value - low) / span * (len(TREND) - 1))] for value in values)
