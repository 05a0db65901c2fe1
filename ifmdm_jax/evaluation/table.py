"""From records of clips to one table: means, 95 % intervals over clips, and why figures are absent.

scores.json  one row flat ("sync_ridge": 0.63), then needs, ci95, n, absent, settings, rows
scores.csv   one line per row and clip, then mean and interval of each row
scores.md    the table as Markdown
"""

import csv
import dataclasses
import json
import pathlib

import numpy as np

from ifmdm_jax import files
from ifmdm_jax.evaluation import suite
from ifmdm_jax.evaluation.types import Absent, PerSet, Record

DRAWS = 1000
TITLES = {
  'ground_truth': 'ground truth',
  'first_frame': 'first frame',
  'film': 'the film',
  'pasted': 'first lips pasted',
}
ARROWS = {'up': '↑', 'down': '↓', 'truth': '→ truth'}
NEEDS = 'input'
INFINITE = 100.0  # dB, that stands for the ratio of equal pictures


@dataclasses.dataclass(frozen=True)
class Cell:
  """One figure of a table.

  Attributes:
    value: the mean over clips or the set's score; None: absent.
    low, high: 95 % interval over clips, None where there is none.
    n: clips that went into it.
    reason: why it is absent.
  """

  value: float | None
  low: float | None = None
  high: float | None = None
  n: int = 0
  reason: str = ''


@dataclasses.dataclass(frozen=True)
class Table:
  """All of an evaluation.

  Attributes:
    rows: {row: {metric: Cell}}.
    needs: {row: its input}, in words.
    records: {row: [Record of each clip]}.
    main: the row that was asked for; its figures are the flat summary.
    settings: {name: text} that a reader should know.
    kind: of the protocol, which says what metrics there are.
  """

  rows: dict[str, dict[str, Cell]]
  needs: dict[str, str]
  records: dict[str, list[Record]]
  main: str
  settings: dict[str, str]
  kind: str = suite.TALK

  @property
  def metrics(self):
    """Lists the metrics, {name: Metric}."""
    return suite.metrics(self.kind)


def bootstrap(count, statistic, draws=DRAWS, seed=0):
  """Draws clips with replacement: the 95 % interval of a statistic over `count` clips.

  Args:
    statistic: indices [draws, count] -> [draws], NaN where it cannot be had for a draw.

  Returns:
    (low, high), or (None, None) with fewer than two clips or draws.
  """
  if count < 2 or draws < 2:
    return None, None
  values = statistic(np.random.default_rng(seed).integers(count, size=(draws, count)))
  values = values[np.isfinite(values)]
  if len(values) < 2:
    return None, None
  low, high = np.percentile(values, [2.5, 97.5])
  return float(low), float(high)


def aggregate(records, scorers, store, kind=suite.TALK):
  """Averages what `scoring.run` returned: {row: {metric: Cell}}."""
  rows = {}
  for row, clips in records.items():
    cells = {name: _per_clip(name, clips) for name in suite.metrics(kind)}
    for family in suite.families(kind):
      scorer = scorers[family.name]
      if isinstance(scorer, PerSet):
        cells |= _per_set(family, scorer, row, clips, store)
    rows[row] = cells
  return rows


def _per_clip(name, clips):
  numbers = np.array([v for v in (clip.number(name) for clip in clips) if v is not None], float)
  if not len(numbers):
    values = [clip.metrics[name] for clip in clips if name in clip.metrics]
    reasons = [value.reason for value in values] or [clip.failed for clip in clips if clip.failed]
    most = max(sorted(set(reasons)), key=reasons.count, default='no clips')
    return Cell(None, reason=most)
  low, high = bootstrap(len(numbers), lambda chosen: numbers[chosen].mean(1))
  return Cell(float(numbers.mean()), low, high, len(numbers))


def _per_set(family, scorer, row, clips, store):
  described = [store.description(row, clip.name, family.name) for clip in clips if not clip.failed]
  described = [arrays for arrays in described if arrays is not None]
  if not described:
    return {}
  values, cells = scorer.score(described), {}
  count = scorer.draws if len(described) > 1 else 0  # one clip drawn again is no interval
  draws = np.random.default_rng(0).integers(len(described), size=(count, len(described)))
  drawn = [scorer.score([described[i] for i in chosen]) for chosen in draws]
  for name in family.metrics:
    own = name.removeprefix(family.video)
    value = values[own]
    if isinstance(value, Absent):
      cells[name] = Cell(None, reason=value.reason)
      continue
    spread = [each[own] for each in drawn if not isinstance(each[own], Absent)]
    low, high = np.percentile(spread, [2.5, 97.5]).tolist() if len(spread) > 1 else (None, None)
    cells[name] = Cell(float(value), low, high, len(described))
  return cells


def summary(table):
  """Returns what scores.json holds."""
  cells = table.rows[table.main]
  failed = [clip for clips in table.records.values() for clip in clips if clip.failed]
  return {
    **{name: cell.value for name, cell in cells.items() if cell.value is not None},
    'evaluated': table.main,
    'needs': table.needs,
    'n': max(cell.n for cell in cells.values()),
    'ci95': {name: [c.low, c.high] for name, c in cells.items() if c.low is not None},
    'absent': {name: cell.reason for name, cell in cells.items() if cell.value is None},
    'settings': table.settings,
    'failed': {clip.name: clip.failed for clip in failed},
    'notes': {
      name: {clip.name: list(clip.notes) for clip in clips if clip.notes}
      for name, clips in table.records.items()
    },
    'rows': {
      name: {key: dataclasses.asdict(cell) for key, cell in each.items()}
      for name, each in table.rows.items()
    },
  }


def write(output, table):
  """Writes scores.json, scores.csv and scores.md into the folder `output`."""
  output = pathlib.Path(output)
  text = json.dumps(summary(table), indent=1, ensure_ascii=False)
  files.write_text(output / 'scores.json', text + '\n')
  files.write_text(output / 'scores.md', '\n'.join(markdown(table)) + '\n')
  with (
    files.atomic(output / 'scores.csv') as half,
    open(half, 'w', newline='', encoding='utf-8') as file,
  ):
    lines = csv.writer(file)
    names = list(table.metrics)
    lines.writerow(['row', 'clip', 'person', *names, 'notes'])
    for row, clips in table.records.items():
      for clip in clips:
        values = [_csv(clip.number(name)) for name in names]
        notes = '; '.join([*clip.notes, *filter(None, [clip.failed])])
        lines.writerow([row, clip.name, clip.person, *values, notes])
      for part, key in (('mean', 'value'), ('95 % from', 'low'), ('95 % to', 'high')):
        values = [_csv(getattr(table.rows[row][name], key)) for name in names]
        lines.writerow([row, part, '', *values, ''])


def _csv(value):
  return '' if value is None else f'{value:.6g}'


def number(cell, metric):
  """Writes a figure: '20.26 [19.1, 21.4]', '–' if absent, or infinite."""
  if cell.value is None or (metric.unit == 'dB' and cell.value >= INFINITE):
    return '–'
  text = lambda value: f'{round(value, metric.digits) + 0.0:.{metric.digits}f}'  # no -0.00
  if cell.low is None:
    return text(cell.value)
  return f'{text(cell.value)} [{text(cell.low)}, {text(cell.high)}]'


def lines(table):
  """Lists (name with unit and arrow, [text of each row]) of every metric that any row has."""
  result = []
  for name, metric in table.metrics.items():
    if all(cells[name].value is None for cells in table.rows.values()):
      continue
    title = f'{name}{f" ({metric.unit})" if metric.unit else ""} {ARROWS[metric.better]}'
    result.append((title, [number(cells[name], metric) for cells in table.rows.values()]))
  return result


def absent(table):
  """Groups metrics that no row has by reason: {reason: [metrics]}."""
  reasons = {}
  for name in table.metrics:
    if all(cells[name].value is None for cells in table.rows.values()):
      reasons.setdefault(table.rows[table.main][name].reason, []).append(name)
  return reasons


def text(table):
  """Writes the table for a terminal: columns, then what is absent and why."""
  head = ['', *(TITLES.get(row, row) for row in table.rows)]
  body = [head, [NEEDS, *table.needs.values()]]
  body += [[title, *cells] for title, cells in lines(table)]
  widths = [max(len(line[i]) for line in body) for i in range(len(head))]
  padded = [
    line[0].ljust(widths[0]) + ''.join('  ' + cell.rjust(width) for cell, width in
                                       zip(line[1:], widths[1:]))
    for line in body
  ]  # fmt: skip
  missing = [f'absent: {", ".join(names)}: {reason}' for reason, names in absent(table).items()]
  return '\n'.join([*padded, *missing])


def markdown(table):
  """Yields lines of a Markdown table, then what is absent and why."""
  head = ['metric', *(TITLES.get(row, row) for row in table.rows)]
  yield '| ' + ' | '.join(head) + ' |'
  yield '| --- |' + ' --- |' * len(table.rows)
  yield f'| *{NEEDS}* | ' + ' | '.join(table.needs.values()) + ' |'
  for title, cells in lines(table):
    yield f'| `{title.split()[0]}` {" ".join(title.split()[1:])} | ' + ' | '.join(cells) + ' |'
  for reason, names in absent(table).items():
    yield ''
    yield f'Absent: {", ".join(f"`{name}`" for name in names)}: {reason}'
