"""Reports what became of every film: report.json for programs, report.html for people."""

import base64
import collections
import html
import io
import json
import pathlib

from ifmdm_jax import files
from ifmdm_jax.pipeline.prep import filters
from ifmdm_jax.rates import FPS

PICTURES = 60  # pictures of kept tracks; and of dropped ones per reason a fifth of that

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em;
       color: #222; background: #fff }
h1, h2 { font-weight: 600 } figure { display: inline-block; margin: 4px; width: 112px;
       font-size: 11px; line-height: 1.3; vertical-align: top; overflow-wrap: anywhere }
figure.words { display: block; width: auto; font-size: 13px }
img.face { width: 112px; border-radius: 4px } table { border-collapse: collapse }
td, th { padding: 3px 12px 3px 0; text-align: left } td.n { text-align: right }
.note { color: #666 }
"""


def write(output, results, settings):
  """Writes both files from the results of all films.

  Args:
    output: folder of the set.
    results: list of what the result.json of each says.
    settings: dict of `results.Settings`.

  Returns:
    The summary: numbers of films, stills, tracks, hours, people, and what was dropped and why.
  """
  output, results = pathlib.Path(output), sorted(results, key=lambda r: r['source'])
  everything = [
    {**entry, **{k: r[k] for k in ('person', 'split', 'licence')}, 'folder': f'videos/{r["key"]}'}
    for r in results
    for entry in r['kept']
  ]
  kept = [entry for entry in everything if entry['stop'] - entry['start'] > 1]
  dropped = [entry for r in results for entry in r['dropped']]
  summary = dict(
    films=sum(r.get('kind') not in ('still', 'animated') for r in results),
    stills_to_animate=sum(r.get('kind') == 'animated' for r in results),
    stills=len(everything) - len(kept),
    hours_of_films=round(sum(r.get('seconds', 0) for r in results) / 3600, 4),
    hours_kept=round(sum(e['stop'] - e['start'] for e in kept) / FPS / 3600, 4),
    tracks_kept=len(kept),
    people={
      split: len({e['person'] for e in kept if e['split'] == split}) for split in ('train', 'val')
    },
    dropped=dict(collections.Counter(e['reason'] for e in dropped).most_common()),
  )
  sources = [
    {k: r.get(k) for k in ('source', 'sha256', 'bytes', 'seconds', 'offset_frames', 'damage')}
    for r in results
  ]
  body = dict(summary=summary, settings=settings, kept=kept, dropped=dropped, sources=sources)
  files.write_text(output / 'report.json', json.dumps(body, indent=1) + '\n')
  files.write_text(output / 'report.html', _page(output, results, body))
  return summary


def _page(output, results, body):
  summary, kept, dropped = body['summary'], body['kept'], body['dropped']
  rows = ''.join(
    f'<tr><td>{html.escape(name)}</td><td class=n>{value}</td></tr>'
    for name, value in (
      ('films', summary['films']),
      ('stills to animate', summary['stills_to_animate']),
      ('hours of films', _clock(summary['hours_of_films'])),
      ('hours kept', _clock(summary['hours_kept'])),
      ('tracks kept', summary['tracks_kept']),
      ('stills kept', summary['stills']),
      ('people to train on', summary['people']['train']),
      ('people held out', summary['people']['val']),
    )
  )
  reasons = ''.join(
    f'<tr><td>{html.escape(reason)}</td><td class=n>{count}</td></tr>'
    for reason, count in summary['dropped'].items()
  )
  folders = {r['source']: output / 'videos' / r['key'] for r in results}
  parts = [
    f'<!doctype html><meta charset=utf-8><title>Prepared clips</title><style>{STYLE}</style>',
    f'<h1>Prepared clips</h1><table>{rows}</table>',
    '<h2>Why tracks were dropped</h2>'
    + (f'<table>{reasons}</table>' if reasons else '<p>None was.</p>'),
    '<h2>What was measured</h2><p class=note>Kept in blue, dropped in orange; the line is the '
    'limit. Move the limits with --limit.</p>' + _histograms(body),
    _damaged(body['sources']),
    f'<h2>Kept</h2><p class=note>{min(PICTURES, len(kept))} of {len(kept)}</p>',
    ''.join(_figure(folders, e, _caption(e)) for e in _spread(kept, PICTURES)),
  ]
  for reason in summary['dropped']:
    entries = [e for e in dropped if e['reason'] == reason]
    some = _spread(entries, PICTURES // 5)
    parts.append(f'<h2>Dropped: {html.escape(reason)}</h2>')
    parts.append(f'<p class=note>{len(some)} of {len(entries)}</p>')
    parts.append(''.join(_figure(folders, e, _why(e)) for e in some))
  return '\n'.join(parts) + '\n'


def _damaged(sources):
  """Lists films of which a part is missing; what is whole of them was used."""
  rows = ''.join(
    f'<tr><td>{html.escape(source["source"])}</td><td>{html.escape(source["damage"])}</td></tr>'
    for source in sources
    if source['damage']
  )
  return f'<h2>Damaged films</h2><table>{rows}</table>' if rows else ''


def _clock(hours):
  minutes, seconds = divmod(round(3600 * hours), 60)
  return f'{minutes // 60}:{minutes % 60:02d}:{seconds:02d}'


def _spread(entries, count):
  """Picks at most `count` of them, evenly from the whole list."""
  step = max(1, -(-len(entries) // count))
  return entries[::step]


def _caption(entry):
  seconds = (entry['stop'] - entry['start']) / FPS
  return f'{entry["source"]}, {seconds:.1f} s, voice {entry["offset_frames"]:+d} frames'


def _why(entry):
  limit = f' (limit {entry["limit"]:g})' if 'limit' in entry else ''
  if entry.get('detail'):
    return f'{entry["source"]}: {entry["value"]} {entry["detail"]}{limit}'
  (measure,) = (name for name, reason in filters.REASONS.items() if reason == entry['reason'])
  return f'{entry["source"]}: {filters.quantity(measure)}: {entry["value"]}{limit}'


def _figure(folders, entry, caption):
  picture = ''
  path = folders.get(entry['source'], pathlib.Path()) / entry.get('picture', 'none')
  if entry.get('picture') and path.exists():
    data = base64.b64encode(path.read_bytes()).decode()
    picture = f'<img class=face alt="" src="data:image/jpeg;base64,{data}">'
  kind = '' if picture else ' class=words'
  return f'<figure{kind}>{picture}<figcaption>{html.escape(caption)}</figcaption></figure>'


def _histograms(body):
  import matplotlib  # a second, and of the extra `train`

  matplotlib.use('Agg')
  from matplotlib import pyplot  # after the backend is chosen

  names = list(filters.REASONS)
  figure, axes = pyplot.subplots(2, 4, figsize=(11, 4.6))
  limits = body['settings']['limits']
  for axis, name in zip(axes.ravel(), names):
    values = [
      [e['measures'][name] for e in body[kind] if name in e.get('measures', {})]
      for kind in ('kept', 'dropped')
    ]
    if any(values):
      axis.hist(values, bins=30, stacked=True, color=['#3b76af', '#ef8636'])
    axis.axvline(limits[name], color='#444', linewidth=1)
    axis.set_title(filters.quantity(name), fontsize=10)
    axis.yaxis.get_major_locator().set_params(integer=True)
    axis.tick_params(labelsize=8)
  figure.tight_layout()
  file = io.BytesIO()
  figure.savefig(file, dpi=80, metadata={'Software': None})
  pyplot.close(figure)
  data = base64.b64encode(file.getvalue()).decode()
  return f'<img alt="histograms" src="data:image/png;base64,{data}">'
