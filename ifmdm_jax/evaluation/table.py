"""From records of clips to one table: means, 95 % intervals over clips, and why figures are absent.

scores.json  the evaluated row flat ("sync_ridge": 0.63), then ci95, n, absent, settings, rows
scores.csv   one line per row and clip, then mean and interval of each row
scores.md    the table as Markdown
"""

import csv
import dataclasses
import json
import os
import pathlib

import numpy as np

from ifmdm_jax.evaluation import suite
from ifmdm_jax.evaluation.types import Absent

DRAWS = 1000
TITLES = {'ground_truth': 'ground truth', 'first_frame': 'first frame'}
ARROWS = {'up': '↑', 'down': '↓', 'truth': '→ truth'}


@dataclasses.dataclass(frozen=True)
class Cell:
  """One figure of a table.

  Attributes:
    value: the mean over clips or the set's score; None: absent.
    low, high: 95 % interval over clips, None where it was not made.
    n: clips that it is made of.
    reason: why it is absent.
  """

  value: float | None
  low: float | None = None
  high: float | None = None
  n: int = 0
  reason: str = ''


def bootstrap(count, statistic, draws=DRAWS, seed=0):
  """95 % interval of a statistic over `count` clips, drawn with replacement.

  Args:
    statistic: indices [count] -> float, NaN if it cannot be had for this draw.

  Returns:
    (low, high), or (None, None) with fewer than two clips or draws.
  """
  if count < 2 or draws < 2:
    return None, None
  rng = np.random.default_rng(seed)
  found = np.array([statistic(rng.integers(count, size=count)) for _ in range(draws)])
  found = found[np.isfinite(found)]
  if len(found) < 2:
    return None, None
  low, high = np.percentile(found, [2.5, 97.5])
  return float(low), float(high)


def aggregate(records, scorers, store):
  """{row: {metric: Cell}} of what `scoring.run` returned."""
  table = {}
  for row, clips in records.items():
    cells = {name: _per_clip(name, clips) for name in suite.metrics()}
    for family in suite.FAMILIES:
      scorer = scorers[family.name]
      if not isinstance(scorer, Absent) and suite.is_set(scorer):
        cells |= _per_set(family, scorer, row, clips, store)
    table[row] = cells
  return table


def _per_clip(name, clips):
  values = [clip['metrics'].get(name) for clip in clips if 'metrics' in clip]
  numbers = np.array([value for value in values if isinstance(value, float | int)], float)
  if not len(numbers):
    reasons = [value['absent'] for value in values if value] or [
      clip['failed'] for clip in clips if 'failed' in clip
    ]
    return Cell(
      None, reason=max(sorted(set(reasons)), key=reasons.count) if reasons else 'no clips'
    )
  low, high = bootstrap(len(numbers), lambda chosen: numbers[chosen].mean())
  return Cell(float(numbers.mean()), low, high, len(numbers))


def _per_set(family, scorer, row, clips, store):
  described = [store.description(row, clip['name'], family.name) for clip in clips
               if 'metrics' in clip]  # fmt: skip
  described = [arrays for arrays in described if arrays is not None]
  if not described:
    return {}
  whole, cells = scorer.score(described), {}
  count = scorer.draws if len(described) > 1 else 0  # one clip drawn again is no interval
  draws = np.random.default_rng(0).integers(len(described), size=(count, len(described)))
  drawn = [scorer.score([described[i] for i in chosen]) for chosen in draws]
  for name in family.metrics:
    value = whole[name]
    if isinstance(value, Absent):
      cells[name] = Cell(None, reason=value.reason)
      continue
    spread = [each[name] for each in drawn if not isinstance(each[name], Absent)]
    low, high = np.percentile(spread, [2.5, 97.5]).tolist() if len(spread) > 1 else (None, None)
    cells[name] = Cell(float(value), low, high, len(described))
  return cells


def main_row(table):
  """The evaluated row: the first one that is not there always, else the first."""
  return next((row for row in table if row not in TITLES), next(iter(table)))


def summary(table, records, settings):
  """What scores.json holds."""
  row = main_row(table)
  cells = table[row]
  rows = {
    name: {key: dataclasses.asdict(cell) for key, cell in each.items()}
    for name, each in table.items()
  }
  failed = [clip for clips in records.values() for clip in clips if 'failed' in clip]
  return {
    **{name: cell.value for name, cell in cells.items() if cell.value is not None},
    'evaluated': row,
    'n': max(cell.n for cell in cells.values()),
    'ci95': {name: [c.low, c.high] for name, c in cells.items() if c.low is not None},
    'absent': {name: cell.reason for name, cell in cells.items() if cell.value is None},
    'settings': settings,
    'failed': {clip['name']: clip['failed'] for clip in failed},
    'notes': {
      name: {clip['name']: clip['notes'] for clip in clips if clip['notes']}
      for name, clips in records.items()
    },
    'rows': rows,
  }


def write(output, table, records, settings):
  """scores.json, scores.csv and scores.md in the folder `output`."""
  output = pathlib.Path(output)
  text = json.dumps(summary(table, records, settings), indent=1, ensure_ascii=False)
  _replace(output / 'scores.json', text + '\n')
  _replace(output / 'scores.md', '\n'.join(markdown(table)) + '\n')
  temporary = output / '.scores.csv.tmp'
  with open(temporary, 'w', newline='') as file:
    lines = csv.writer(file)
    names = list(suite.metrics())
    lines.writerow(['row', 'clip', 'person', *names, 'notes'])
    for row, clips in records.items():
      for clip in clips:
        values = [_csv(clip.get('metrics', {}).get(name)) for name in names]
        notes = '; '.join([*clip['notes'], *([clip['failed']] if 'failed' in clip else [])])
        lines.writerow([row, clip['name'], clip['person'], *values, notes])
      for part, key in (('mean', 'value'), ('95 % from', 'low'), ('95 % to', 'high')):
        values = [_csv(getattr(table[row][name], key)) for name in names]
        lines.writerow([row, part, '', *values, ''])
  os.replace(temporary, output / 'scores.csv')


def _replace(path, text):
  temporary = path.with_name(f'.{path.name}.tmp')
  temporary.write_text(text)
  os.replace(temporary, path)


def _csv(value):
  return f'{value:.6g}' if isinstance(value, float | int) else ''


def number(cell, metric):
  """'20.26 [19.1, 21.4]', '–' if absent."""
  if cell.value is None:
    return '–'
  shown = lambda value: f'{round(value, metric.digits) + 0.0:.{metric.digits}f}'  # no -0.00
  if cell.low is None:
    return shown(cell.value)
  return f'{shown(cell.value)} [{shown(cell.low)}, {shown(cell.high)}]'


def lines(table):
  """[(name with unit and arrow, cell text of each row)] of every metric that any row has."""
  result = []
  for name, metric in suite.metrics().items():
    if all(cells[name].value is None for cells in table.values()):
      continue
    title = f'{name}{f" ({metric.unit})" if metric.unit else ""} {ARROWS[metric.better]}'
    result.append((title, [number(cells[name], metric) for cells in table.values()]))
  return result


def absent(table):
  """{reason: [metrics]} of the metrics that no row has, for a line each."""
  reasons = {}
  for name in suite.metrics():
    if all(cells[name].value is None for cells in table.values()):
      reasons.setdefault(table[main_row(table)][name].reason, []).append(name)
  return reasons


def text(table):
  """For a terminal: columns, then what is absent and why."""
  head = ['', *(TITLES.get(row, row) for row in table)]
  body = [head] + [[title, *cells] for title, cells in lines(table)]
  widths = [max(len(line[i]) for line in body) for i in range(len(head))]
  shown = [
    line[0].ljust(widths[0]) + ''.join('  ' + cell.rjust(width) for cell, width in
                                       zip(line[1:], widths[1:]))
    for line in body
  ]  # fmt: skip
  missing = [f'absent: {", ".join(names)}: {reason}' for reason, names in absent(table).items()]
  return '\n'.join([*shown, *missing])


def markdown(table):
  """The same as lines of a Markdown table."""
  head = ['metric', *(TITLES.get(row, row) for row in table)]
  yield '| ' + ' | '.join(head) + ' |'
  yield '| --- |' + ' --- |' * len(table)
  for title, cells in lines(table):
    yield f'| `{title.split()[0]}` {" ".join(title.split()[1:])} | ' + ' | '.join(cells) + ' |'
  for reason, names in absent(table).items():
    yield ''
    yield f'Absent: {", ".join(f"`{name}`" for name in names)}: {reason}'
