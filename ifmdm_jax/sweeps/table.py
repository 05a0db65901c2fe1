"""Results of a sweep: a table of its runs and a plot."""

import csv

import numpy as np

from ifmdm_jax import files
from ifmdm_jax.errors import InputError
from ifmdm_jax.sweeps.definition import RESULT


def collect(sweep, workdir, output):
  """Writes results.csv, table.md and plot.png of the runs that are done; returns the table."""
  results = {}
  for index in range(len(sweep.changes)):
    path = workdir / str(index) / RESULT
    if path.exists():
      results[index] = files.read_json(path, 'the result of a run')
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
  text = lambda x: f'{x:.4g}' if isinstance(x, float) else _words(x)
  lines = [header, ['---'] * len(header), *rows]
  table = '\n'.join(f'| {" | ".join(map(text, line))} |' for line in lines)
  missing = len(sweep.changes) - len(results)
  table += f'\n\n{missing} of {len(sweep.changes)} runs are not done.\n' if missing else '\n'
  (output / 'table.md').write_text(table)
  plot(output / 'plot.png', sweep.name, changed, measured, results)
  return table


def plot(path, name, changed, measured, results):
  """Draws one panel per figure: bars, labelled by what was changed."""
  from matplotlib.figure import Figure  # heavy, and without pyplot: no display, no global state

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


def _words(value):
  """Writes a value for a table: 'mean + std', 'none'."""
  return ' + '.join(map(str, value)) or 'none' if isinstance(value, list) else str(value)
