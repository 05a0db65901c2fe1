"""The files of an evaluation that is under way, so that a stopped one goes on."""

import dataclasses
import json
import pathlib
import traceback

import numpy as np

from ifmdm_jax import files
from ifmdm_jax.errors import InputError
from ifmdm_jax.evaluation.types import Absent, Record


class Store:
  """Records under OUTPUT/clips, and OUTPUT/errors.log."""

  def __init__(self, output):
    self.output = pathlib.Path(output)

  def path(self, row, name, ending='.json'):
    return self.output / 'clips' / row / f'{name}{ending}'

  def map_path(self, row, name):
    """Says where the picture of how much samples of a clip differ is; see `diversity`."""
    return self.output / 'spread' / row / f'{name}.jpg'

  def read(self, row, name, fingerprint):
    """Returns the `Record` that was written for this fingerprint, else None."""
    try:
      content = json.loads(self.path(row, name).read_text())
      if content.pop('fingerprint') != fingerprint:
        return None
      content['metrics'] = {key: _value(value) for key, value in content['metrics'].items()}
      record = Record(**content | {'notes': tuple(content['notes'])})
    except (OSError, ValueError, KeyError, TypeError):  # missing, damaged, of another version
      return None
    return None if record.unforeseen else record  # it may have been mended since

  def write(self, row, record, fingerprint, descriptions):
    """Writes arrays {family: {name: array}}, then the record, which says that all is there."""
    name = record.name
    self.path(row, name).parent.mkdir(parents=True, exist_ok=True)
    for old in self.path(row, name).parent.glob(f'{name}.*'):
      old.unlink()
    for family, arrays in descriptions.items():
      with files.atomic(self.path(row, name, f'.{family}.npz')) as half:
        np.savez(half, **arrays)
    content = {'fingerprint': fingerprint} | dataclasses.asdict(record)
    files.write_text(self.path(row, name), json.dumps(content, indent=1) + '\n')

  def absent(self, error):
    """Turns an error into a reason; one that nobody foresaw goes into errors.log as well."""
    if isinstance(error, InputError):
      return Absent(str(error))
    with open(self.output / 'errors.log', 'a') as log:
      log.write(''.join(traceback.format_exception(error)) + '\n')
    text = ' '.join(str(error).split())
    return Absent(f'failed, see errors.log: {type(error).__name__}: {text}', unforeseen=True)

  def description(self, row, name, family):
    """Reads the arrays that `describe` gave for a clip; None where it gave none."""
    path = self.path(row, name, f'.{family}.npz')
    if not path.exists():
      return None
    with np.load(path) as file:
      return dict(file)


def _value(value):
  return Absent(**value) if isinstance(value, dict) else value
