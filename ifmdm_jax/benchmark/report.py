"""What was measured, part by part, on the terminal and in a JSON file."""

import dataclasses
import json
import os

import jax

from ifmdm_jax import files
from ifmdm_jax.benchmark import ends, parts
from ifmdm_jax.evaluation import cost
from ifmdm_jax.streaming import device

COLUMNS = ('ms', 'p10', 'p90', 'cpu_ms', 'evaluations', 'gflop', 'gb', 'temp_mb', 'roofline')


@dataclasses.dataclass(frozen=True)
class Plan:
  """What to measure; see the flags of `ifmdm_jax.bench`."""

  parts: tuple[str, ...] = ('parts', 'end', 'streams', 'starts')
  batches: tuple[int, ...] = (1, 8)
  repeats: int = 20
  seconds: float = 8.0
  streams: int = 64


def machine(roof):
  """Describes what the figures are of."""
  chip = jax.local_devices()[0]
  facts = dict(device=chip.device_kind, platform=chip.platform, cores=device.cores())
  if hasattr(os, 'getloadavg'):  # not on Windows
    facts['load'] = os.getloadavg()[0]  # above the number of cores: wall times count others' work
  return facts | {'roofline': roof}


def measure(generator, roof, plan, words):
  """Yields {name: number} part by part: what is there is reported if a later one is cut off.

  Args:
    generator: a `generator.Generator`.
    roof: of `measure.roofline`.
    plan: what to measure.
    words: flags that make the same generator in a new process.
  """
  if 'parts' in plan.parts:
    rows = parts.measure_parts(generator, roof, plan.repeats, plan.batches)
    yield dict(parts=rows) | parts.headline(rows)
  if 'end' in plan.parts:
    yield ends.measure_end(generator, plan.seconds)
  if 'streams' in plan.parts:
    yield ends.measure_streams(generator, plan.streams)
  if 'starts' in plan.parts:
    yield ends.measure_starts(words)
  yield dict(peak_memory_mb=cost.peak_memory())


def head(report):
  """Writes the machine in one line."""
  facts = {name: value for name, value in report.items() if name != 'roofline'}
  return '  '.join(_text(*fact) for fact in (facts | report['roofline']).items())


def lines(numbers):
  """Yields lines of a table."""
  if 'parts' in numbers:
    yield f'  {"":12}' + ''.join(f'{name:>12}' for name in COLUMNS)
    for part, row in numbers['parts'].items():
      yield f'  {part:12}' + ''.join(_cell(row.get(name)) for name in COLUMNS)
  for name, value in numbers.items():
    if name != 'parts':
      yield '  ' + _text(f'{name:24}', value)


def _cell(value):
  if value is None:
    return f'{"":12}'
  return f'{value:12d}' if isinstance(value, int) else f'{value:12.2f}'


def write(path, report):
  """Writes the report as JSON, in place of an older one."""
  files.write_text(path, json.dumps(report, indent=1) + '\n')


def _text(name, value):
  return f'{name} {value:.2f}' if isinstance(value, float) else f'{name} {value}'
