"""Writes report.html: one file that a browser opens; the videos lie beside it in videos/.

The table with its intervals, a dot per clip, then the clips, worst first: real, driven and
reenacted side by side with sound, and how far the mouth opens over time.
"""

import html
import pathlib

import numpy as np

from ifmdm_jax import files
from ifmdm_jax.evaluation import generators, suite
from ifmdm_jax.evaluation import table as tables

COLOURS = {
  'reference': '#888', 'driven': '#c2410c', 'reenact_': '#1d4ed8', 'own_': '#c2410c',
  'another_': '#1d4ed8',
}  # fmt: skip
ROWS = ('#888', '#bbb', '#c2410c', '#1d4ed8', '#15803d', '#7e22ce')
WORST_BY = {
  suite.TALK: ('sync_ridge', 'reenact_psnr_mouth', 'reenact_lpips', 'lmd'),
  suite.DUB: ('own_lower_lpips', 'own_lmd', 'another_sync_ridge', 'another_flicker_ratio'),
}
FIGURES = {  # further ones of a clip
  suite.TALK: ('sync_ridge_shuffled', 'opening_ratio', 'head_ratio', 'jitter_ratio'),
  suite.DUB: ('own_lower_psnr', 'own_sync_ridge', 'another_sync_ridge_shuffled', 'another_seam'),
}
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1100px; padding: 0 1rem;
  color: #1c1917; background: #fff }
h1, h2 { font-weight: 600 } table { border-collapse: collapse; width: 100% }
td, th { padding: .25rem .6rem; border-bottom: 1px solid #e7e5e4; text-align: right;
  font-variant-numeric: tabular-nums; white-space: nowrap }
td:first-child, th:first-child { text-align: left } .ci { color: #78716c; font-size: 85% }
.about { color: #78716c; white-space: normal; text-align: left; font-size: 85% }
td.about, th.about { text-align: left } .clip { margin: 2rem 0 } video, img { width: 100% }
.dots { display: grid; grid-template-columns: repeat(auto-fill, minmax(250px, 1fr)); gap: 1rem }
.dots figure { margin: 0 } figcaption { font-size: 85% } svg { width: 100%; height: auto }
.key span { margin-right: 1.2rem } .key i { display: inline-block; width: .8em; height: .8em;
  border-radius: 50%; margin-right: .35em } .note { color: #92400e }
"""


def write(output, table):
  """Writes report.html into the folder `output`; see `table.Table`."""
  output, title = pathlib.Path(output), f'{table.main} on {table.settings["protocol"]}'
  parts = [
    f'<!doctype html><meta charset="utf-8"><title>{html.escape(title)}</title>',
    f'<style>{STYLE}</style><h1>{html.escape(title)}</h1>',
    _settings(table.settings),
    '<h2>Table</h2>', _table(table),
    '<h2>Clip by clip</h2>', _key(table.records), '<div class="dots">', *_dots(table), '</div>',
    '<h2>Clips, worst first</h2>',
    *_clips(output, table),
  ]  # fmt: skip
  files.write_text(output / 'report.html', '\n'.join(parts))


def _settings(settings):
  items = [f'<dt>{html.escape(k)}</dt><dd>{html.escape(str(v))}</dd>' for k, v in settings.items()]
  return f'<details><summary>How it was measured</summary><dl>{"".join(items)}</dl></details>'


def _table(table):
  head = ''.join(f'<th>{html.escape(tables.TITLES.get(row, row))}</th>' for row in table.rows)
  columns = ''.join(f'<td>{html.escape(needs)}</td>' for needs in table.needs.values())
  body = [f'<tr><td>{tables.NEEDS}</td>{columns}<td class="about"></td></tr>']
  for name, metric in table.metrics.items():
    if all(row[name].value is None for row in table.rows.values()):
      continue
    columns = ''.join(f'<td>{_cell(row[name], metric)}</td>' for row in table.rows.values())
    unit = f' {metric.unit}' if metric.unit else ''
    body.append(
      f'<tr><td>{name}{html.escape(unit)} {tables.ARROWS[metric.better]}</td>{columns}'
      f'<td class="about">{html.escape(metric.about)}</td></tr>'
    )
  missing = [
    f'<li>{html.escape(", ".join(names))}: {html.escape(reason)}</li>'
    for reason, names in tables.absent(table).items()
  ]
  return (
    f'<table><tr><th>mean [95 % over clips]</th>{head}<th class="about"></th></tr>'
    f'{"".join(body)}</table><p>Absent:</p><ul>{"".join(missing) or "<li>nothing</li>"}</ul>'
  )


def _cell(cell, metric):
  if cell.value is None:
    return f'<span title="{html.escape(cell.reason, quote=True)}">–</span>'
  value, *interval = tables.number(cell, metric).split(' ', 1)
  return value + ''.join(f' <span class="ci">{each}</span>' for each in interval)


def _key(records):
  dots = [
    f'<span><i style="background:{colour}"></i>{html.escape(tables.TITLES.get(row, row))}</span>'
    for row, colour in zip(records, ROWS)
  ]
  return f'<p class="key">{"".join(dots)}</p>'


def _dots(table):
  """Yields one small plot per metric: a line of dots for every row, a bar for the interval."""
  for name, metric in table.metrics.items():
    rows = {
      row: [(c.name, c.number(name)) for c in clips if c.number(name) is not None]
      for row, clips in table.records.items()
    }  # fmt: skip
    values = [value for row in rows.values() for _, value in row]
    if not values:
      continue
    low, high = min(values), max(values)
    x = lambda value, low=low, span=(high - low) or 1: 10 + 230 * (value - low) / span
    marks = []
    for i, (row, points) in enumerate(rows.items()):
      y, colour, cell = 12 + 16 * i, ROWS[i % len(ROWS)], table.rows[row][name]
      if cell.low is not None:
        marks.append(
          f'<line x1="{x(cell.low):.1f}" x2="{x(cell.high):.1f}" y1="{y}" y2="{y}" '
          f'stroke="{colour}" stroke-width="5" stroke-opacity=".3"/>'
        )
      marks += [
        f'<circle cx="{x(value):.1f}" cy="{y}" r="3.5" fill="{colour}" fill-opacity=".7">'
        f'<title>{html.escape(clip)}: {value:.{metric.digits}f}</title></circle>'
        for clip, value in points
      ]
    height = 12 + 16 * len(rows)
    ends = ''.join(
      f'<text x="{at}" y="{height + 8}" font-size="10" text-anchor="{anchor}" fill="#78716c">'
      f'{value:.{metric.digits}f}</text>'
      for at, anchor, value in ((5, 'start', low), (245, 'end', high))
    )
    unit = f' {metric.unit}' if metric.unit else ''
    yield (
      f'<figure><svg viewBox="0 0 250 {height + 12}">{"".join(marks)}{ends}</svg><figcaption>'
      f'{name}{html.escape(unit)} {tables.ARROWS[metric.better]}</figcaption></figure>'
    )


def worst_first(table):
  """Sorts records of the main row by their mean rank over WORST_BY; what failed comes first."""
  records = table.records[table.main]
  ranks = {id(record): [] for record in records}
  for name in WORST_BY[table.kind]:
    scored = [r for r in records if r.number(name) is not None]
    if not scored:
      continue
    falls = table.metrics[name].better == 'down'
    scored.sort(key=lambda r: r.number(name), reverse=falls)
    for rank, record in enumerate(scored):
      ranks[id(record)].append(rank / len(scored))
  return sorted(records, key=lambda r: np.mean(ranks[id(r)]) if ranks[id(r)] else -1.0)


def _clips(output, table):
  row = table.main
  for record in worst_first(table):
    name = html.escape(record.name)
    yield f'<div class="clip" id="{name}"><h3>{name}</h3>'
    for note in [*record.notes, *filter(None, [record.failed])]:
      yield f'<p class="note">{html.escape(note)}</p>'
    if (output / 'videos' / row / f'{record.name}.mp4').exists():
      kinds = [kind for kind in record.series if kind != 'reference']
      titles = ', '.join(['real', *(kind.rstrip('_') for kind in kinds)])
      source = html.escape(f'videos/{row}/{record.name}.mp4', quote=True)
      yield f'<p>{titles}</p><video controls preload="metadata" src="{source}"></video>'
    if (output / 'spread' / row / f'{record.name}.jpg').exists():
      source = html.escape(f'spread/{row}/{record.name}.jpg', quote=True)
      instants = ', '.join(map(str, generators.INSTANTS))
      yield f'<p>where seeds differ after {instants} s, dark: nowhere</p><img src="{source}">'
    if record.metrics:
      yield _figures(record, table)
      yield _curves(record.series)
    yield '</div>'


def _figures(record, table):
  chosen = (*WORST_BY[table.kind], *FIGURES[table.kind])
  metrics, parts = table.metrics, []
  for name in chosen:
    value = record.number(name)
    if value is not None:
      parts.append(f'{name} {value:.{metrics[name].digits}f}')
  return f'<p>{" · ".join(parts)}</p>'


def _curves(series):
  """Plots the mouth opening over time, real and generated."""
  known = {kind: points for kind, points in series.items() if kind in COLOURS}
  highest = max((v for points in known.values() for v in points if v is not None), default=0) or 1
  longest = max(map(len, known.values()))
  paths = []
  for kind, points in known.items():
    path, pen = [], 'M'
    for t, value in enumerate(points):
      if value is None:
        pen = 'M'
        continue
      path.append(f'{pen}{1000 * t / max(longest - 1, 1):.1f} {100 - 95 * value / highest:.1f}')
      pen = 'L'
    paths.append(
      f'<path d="{" ".join(path)}" fill="none" stroke="{COLOURS[kind]}" stroke-width="1.5"/>'
    )
  key = ''.join(
    f'<span><i style="background:{COLOURS[kind]}"></i>{kind.rstrip("_")}</span>' for kind in known
  )
  return (
    f'<svg viewBox="0 0 1000 104" role="img" aria-label="mouth opening">{"".join(paths)}</svg>'
    f'<p class="key">mouth opening: {key}</p>'
  )
