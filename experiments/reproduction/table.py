"""Puts a finished evaluation into this folder: results.json, results.csv, the table of LOG.md.

  python experiments/reproduction/table.py --scores out/evaluation

Copies the scores and rewrites what stands between the <!-- table --> marks. Prints the two short
tables for the front page.
"""

import json
import os
import pathlib
import shutil

from absl import flags

from ifmdm_jax import errors

_SCORES = flags.DEFINE_string(
  'scores', 'out/evaluation', "Output of ifmdm_jax.evaluate.", **errors.SHARED
)  # fmt: skip
HERE = pathlib.Path(__file__).parent
BEGIN, END = '<!-- table -->', '<!-- /table -->'
REENACTMENT = (  # title, metric, decimals
  ('PSNR, full frame, dB', 'reenact_psnr', 2),
  ('PSNR, face, dB', 'reenact_psnr_face', 2),
  ('PSNR, mouth box, dB', 'reenact_psnr_mouth', 2),
  ('LPIPS (Alex, lower is better)', 'reenact_lpips', 3),
  ('mouth opening found again, r', 'reenact_opening_r', 2),
  ('mouth opening found again, slope', 'reenact_opening_slope', 2),
  ('eyelids found again, r', 'reenact_eyelid_r', 2),
)
DRIVEN = (
  ('`sync_ridge`', 'sync_ridge', 2),
  ('`sync_ridge`, shuffled voice', 'sync_ridge_shuffled', 2),
  ('deviation of the mouth opening', 'opening_std', 3),
  ('deviation of the head, over real', 'head_ratio', 2),
  ('jitter, over real', 'jitter_ratio', 2),
  ('flicker of still places, /255', 'flicker', 3),
)


def short(scores, metrics, rows):
  """Lines of a Markdown table: metrics down, (title, row) across."""
  yield '|  | ' + ' | '.join(title for title, _ in rows) + ' |'
  yield '| --- |' + ' --- |' * len(rows)
  for title, metric, digits in metrics:
    values = [scores['rows'][row][metric]['value'] for _, row in rows]
    cells = ['–' if value is None else f'{value:.{digits}f}' for value in values]
    yield f'| {title} | ' + ' | '.join(cells) + ' |'


def main(_):
  folder = pathlib.Path(_SCORES.value)
  if not (folder / 'scores.json').exists():
    raise errors.InputError(
      f'expected scores.json in {folder}, there is none: run python -m ifmdm_jax.evaluate first'
    )
  for ending in ('json', 'csv'):
    shutil.copyfile(folder / f'scores.{ending}', HERE / f'results.{ending}')
  scores = json.loads((folder / 'scores.json').read_text())
  settings = scores['settings']
  facts = (
    f'{scores["n"]} clips of `{settings["protocol"]}`, {settings["size"]}. {settings["machine"]}, '
    f'{settings["version"]}, {settings["minutes"]} minutes.'
  )
  table = (folder / 'scores.md').read_text()
  log = (HERE / 'LOG.md').read_text()
  before, rest = log.split(BEGIN)
  after = rest.split(END)[1]
  temporary = HERE / '.LOG.md.tmp'
  temporary.write_text(f'{before}{BEGIN}\n{facts}\n\n{table}{END}{after}')
  os.replace(temporary, HERE / 'LOG.md')
  ours = scores['evaluated']
  print('\n'.join(short(scores, REENACTMENT, [('first frame', 'first_frame'), ('ours', ours)])))
  print()
  print('\n'.join(short(scores, DRIVEN, [('real video', 'ground_truth'), ('ours', ours)])))


if __name__ == '__main__':
  errors.run(main)
