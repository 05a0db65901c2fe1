"""Our networks against the original's outputs; and that `check` would notice a difference.

The golden comparisons of the whole networks are these: other tests compare single modules.
"""

import json
import shutil

import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.errors import InputError
from ifmdm_jax.importers import check, comparison

FILES = {  # how many arrays the goldens have of each: none may be forgotten
  'gen_S64': 95,
  'gen_S256': 106,
  'dis_S64': 13,
  'dit_A0': 31,
  'train_S64': 13,
}


@pytest.mark.parametrize('name', FILES)
def test_every_array_agrees_with_the_original(name):
  ((found, rows, _),) = check.run(testing.goldens(), only=name)
  assert found == name and len(rows) == FILES[name]
  assert all(row.passed for row in rows), '\n' + check.table([r for r in rows if not r.passed])


def some_goldens(folder, change=lambda name, array: array):
  """A folder with the discriminator's goldens alone, their arrays changed."""
  source = testing.goldens()
  (folder / 'keys').mkdir()
  shutil.copy(source / 'recipe.py', folder)
  shutil.copy(source / 'keys' / 'dis_S64.json', folder / 'keys')
  arrays = {name: array for name, array in testing.golden('dis_S64').items() if 'B1' in name}
  np.savez(folder / 'dis_S64.npz', **{k: change(k, array) for k, array in arrays.items()})
  return folder


def test_a_difference_is_a_miss_and_exit_status_1(tmp_path, capsys, monkeypatch):
  some_goldens(tmp_path, lambda name, array: array + 2e-5 * name.startswith('logits'))
  monkeypatch.setattr(check, '_GOLDENS', type('Flag', (), {'value': str(tmp_path)}))
  monkeypatch.setattr(check, '_ONLY', type('Flag', (), {'value': ''}))
  with pytest.raises(SystemExit) as stop:
    check.main([])
  assert stop.value.code == 1
  said = capsys.readouterr().out
  assert '1 of 2 arrays agree' in said and 'dis_S64: logits_B1' in said


def test_another_size_is_found_in_the_keys(tmp_path):
  some_goldens(tmp_path)
  # From the names of 64 px to those of 16: two blocks less.
  spec = json.loads((tmp_path / 'keys' / 'dis_S64.json').read_text())
  shapes = {}
  for key, shape in spec['shapes'].items():
    parts = key.split('.')
    if key.startswith('convs.') and int(parts[1]) > 2:
      continue
    shapes[key] = [16 if n in (256, 512) else n for n in shape]
  shapes['final_conv.0.weight'] = [16, 17, 3, 3]
  shapes['final_linear.0.weight'] = [16, 256]
  (tmp_path / 'keys' / 'dis_S64.json').unlink()
  (tmp_path / 'keys' / 'dis_S16.json').write_text(json.dumps({'family': 'dis', 'shapes': shapes}))
  np.savez(tmp_path / 'dis_S16.npz', logits_B4=np.zeros((4, 1)), conv0_stats=np.zeros(10))
  ((name, rows, _),) = check.run(tmp_path)
  assert name == 'dis_S16' and [row.array for row in rows] == ['logits_B4', 'conv0_stats']
  assert all(np.isfinite(row.max) and not row.passed for row in rows)  # ours are not zero


def test_comparison_sees_shapes_text_and_relative_errors():
  limit = comparison.Limit(1e-2, relative=True)
  assert comparison.compare('a', [1.005, 0], np.float32([1, 0]), limit).passed
  assert not comparison.compare('a', [1.02, 0], np.float32([1, 0]), limit).passed
  assert not comparison.compare('a', [1.0, 0.1], np.float32([1, 0]), limit).passed
  assert not comparison.compare('a', [1.0], np.float32([1, 0]), limit).passed
  assert not comparison.compare('a', None, np.float32([1, 0]), limit).passed
  assert not comparison.compare('a', [np.nan], np.float32([1]), limit).passed
  assert comparison.compare('a', ['x', 'y'], np.array(['x', 'y']), limit).passed
  assert not comparison.compare('a', ['x', 'z'], np.array(['x', 'y']), limit).passed
  assert not comparison.compare('a', [0.5, 0.0], np.zeros(2), comparison.Limit(1.0, 0.1)).passed
  summary = comparison.Limit(1.0, moments=0.1)
  assert comparison.compare('a', [0.0, 0.0, 0.5], np.zeros(3), summary).passed
  assert not comparison.compare('a', [0.0, 0.5, 0.0], np.zeros(3), summary).passed


def test_a_folder_without_goldens_is_one_clear_line(tmp_path):
  with pytest.raises(InputError, match='no keys'):
    list(check.run(tmp_path))
  some_goldens(tmp_path)
  with pytest.raises(InputError, match='--only gen'):
    list(check.run(tmp_path, only='gen'))
  (tmp_path / 'dis_S64.npz').unlink()
  with pytest.raises(InputError, match='no dis_S64.npz'):
    list(check.run(tmp_path))
