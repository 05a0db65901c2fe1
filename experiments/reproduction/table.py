"""Writes the tables of results into every document that shows one.

  python experiments/reproduction/table.py --scores out/evaluation     a new evaluation
  python experiments/reproduction/table.py --also out/vlogger          another system's row besides
  python experiments/reproduction/table.py                             the one that is here

Copies the scores to results.json and results.csv, then rewrites what stands between the marks
<!-- results:NAME --> and <!-- /results --> of DOCUMENTS. NAME is one of TABLES; a test holds the
documents to results.json.
"""

import json
import pathlib
import re
import shutil

from absl import flags

from ifmdm_jax import errors, files
from ifmdm_jax.evaluation import suite, table

_ALSO = flags.DEFINE_string(
  'also', None, 'Output of another system, by the same protocol.', **errors.SHARED
)
_SCORES = flags.DEFINE_string('scores', None, 'Output of ifmdm_jax.evaluate.', **errors.SHARED)
HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
DOCUMENTS = (
  ROOT / 'README.md',
  ROOT / 'ifmdm_jax' / 'weights' / 'lite' / 'MODEL_CARD.md',
  HERE / 'README.md',
  HERE / 'LOG.md',
)
MARKS = re.compile(r'(<!-- results:(\w+) -->\n).*?(<!-- /results -->)', re.DOTALL)
NAMES = {  # rows of results.json
  'ground_truth': 'real video',
  'first_frame': 'first frame, repeated',
  'lite': 'IF-MDM `lite` 0.9',
  'vlogger': 'VLOGGER `lite` 0.1, composed',
}
ALSO = ('vlogger',)  # rows of evaluations of their own, that the table of systems alone shows
METRICS = (  # title, metric, decimals
  ('reenactment, PSNR, full frame, dB ↑', 'reenact_psnr', 2),
  ('reenactment, PSNR, face, dB ↑', 'reenact_psnr_face', 2),
  ('reenactment, PSNR, mouth box, dB ↑', 'reenact_psnr_mouth', 2),
  ('reenactment, LPIPS (Alex) ↓', 'reenact_lpips', 3),
  ('reenactment, mouth opening, r ↑', 'reenact_opening_r', 2),
  ('reenactment, mouth opening, slope → 1', 'reenact_opening_slope', 2),
  ('reenactment, eyelids, r ↑', 'reenact_eyelid_r', 2),
  ('`sync_ridge` → real', 'sync_ridge', 2),
  ('`sync_ridge`, shuffled voice → real', 'sync_ridge_shuffled', 2),
  ('`lse_d_own` ↓', 'lse_d_own', 3),
  ('`csim_sface` ↑', 'csim_sface', 3),
  ('mouth opening, deviation over real → 1', 'opening_ratio', 2),
  ('head, deviation over real → 1', 'head_ratio', 2),
  ('jitter, over real → 1', 'jitter_ratio', 2),
  ('flicker of still places, /255 → real', 'flicker', 3),
  ('a minute, r against the same begun anew, lowest ↑', 'drift_r', 2),
  ('a minute, deviation of the opening, the same, least ↑', 'drift_spread', 2),
  ('codes inside the range of people ↑', 'code_range', 4),
  ('silence, mouth opening, furthest ↓', 'silence_rest', 3),
)
SYSTEMS = (  # title, [(metric, decimals)] of one cell
  ('PSNR, full / face / mouth, dB ↑',
   [('reenact_psnr', 2), ('reenact_psnr_face', 2), ('reenact_psnr_mouth', 2)]),
  ('LPIPS ↓', [('reenact_lpips', 3)]),
  ('`sync_ridge` → real', [('sync_ridge', 2)]),
  ('`lse_d_own` ↓', [('lse_d_own', 3)]),
  ('head motion, over real → 1', [('head_ratio', 2)]),
)  # fmt: skip


def results(folder=HERE):
  """Reads results.json."""
  return json.loads((folder / 'results.json').read_text(encoding='utf-8'))


def metrics(scores):
  """Yields a table with metrics down and rows across."""
  rows = [row for row in scores['rows'] if row not in ALSO]
  yield from _head(['metric', *(table.TITLES.get(row, row) for row in rows)])
  yield _line([table.NEEDS, *(scores['needs'][row] for row in rows)])
  for title, metric, digits in METRICS:
    yield _line([title, *(_number(scores, row, metric, digits) for row in rows)])


def systems(scores):
  """Yields a table with a system a row."""
  yield from _head(['', 'needs', *(title for title, _ in SYSTEMS)])
  for row in scores['rows']:
    cells = [' / '.join(_number(scores, row, *each) for each in group) for _, group in SYSTEMS]
    yield _line([NAMES.get(row, row), scores['needs'][row], *cells])


def everything(scores):
  """Yields how it was measured and every metric with its interval."""
  facts = scores['settings']
  yield (
    f'{scores["n"]} clips of `{facts["protocol"]}`, {facts["size"]}. {facts["machine"]}, '
    f'{facts["version"]}, {facts["minutes"]} minutes.'
  )
  yield ''
  other = dict.fromkeys(suite.metrics(), table.Cell(None, reason='not of this evaluation'))
  rows = {
    row: other | {name: table.Cell(**cell) for name, cell in cells.items()}
    for row, cells in scores['rows'].items()
    if row not in ALSO
  }
  needs = {row: scores['needs'][row] for row in rows}
  yield from table.markdown(table.Table(rows, needs, {}, scores['evaluated'], facts))


TABLES = {'metrics': metrics, 'systems': systems, 'all': everything}


def rewritten(text, scores):
  """Returns a document with the tables of these scores between its marks."""
  return MARKS.sub(lambda m: m[1] + '\n'.join(TABLES[m[2]](scores)) + '\n' + m[3], text)


def _head(titles):
  yield _line(titles)
  yield '|' + ' --- |' * len(titles)


def _line(cells):
  return '| ' + ' | '.join(cells) + ' |'


def _number(scores, row, metric, digits):
  value = scores['rows'][row].get(metric, {}).get('value')  # None: not of this evaluation
  infinite = 'psnr' in metric and value is not None and value >= table.INFINITE
  return '–' if value is None or infinite else f'{value:.{digits}f}'


def main(_):
  if _SCORES.value:
    folder = pathlib.Path(_SCORES.value)
    if not (folder / 'scores.json').exists():
      raise errors.InputError(
        f'expected scores.json in {folder}, there is none: run python -m ifmdm_jax.evaluate first'
      )
    for ending in ('json', 'csv'):
      shutil.copyfile(folder / f'scores.{ending}', HERE / f'results.{ending}')
  if _ALSO.value:
    whole, more = results(), json.loads((pathlib.Path(_ALSO.value) / 'scores.json').read_text())
    for row in ALSO:
      whole['rows'][row], whole['needs'][row] = more['rows'][row], more['needs'][row]
    files.write_text(HERE / 'results.json', json.dumps(whole, indent=1) + '\n')
  for path in DOCUMENTS:
    files.write_text(path, rewritten(path.read_text(encoding='utf-8'), results()))


if __name__ == '__main__':
  errors.run(main)
