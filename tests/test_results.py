"""Tables of results in documents are those of results.json."""

import importlib.util
import pathlib

import pytest

PATH = pathlib.Path(__file__).parents[1] / 'experiments' / 'reproduction' / 'table.py'


@pytest.fixture(scope='module')
def tables():
  spec = importlib.util.spec_from_file_location('results_table', PATH)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def test_every_table_of_results_is_generated_from_one_file(tables):
  scores, marked = tables.results(), 0
  for path in tables.DOCUMENTS:
    text = path.read_text(encoding='utf-8')
    marked += text.count('<!-- results:')
    assert tables.rewritten(text, scores) == text, (
      f'run {PATH.name}: {path.name} is of other scores'
    )
  assert marked >= len(tables.DOCUMENTS)


def test_other_scores_are_written_between_the_marks_and_nothing_else_changes(tables):
  scores = tables.results()
  scores['rows']['lite']['reenact_psnr']['value'] = 99.125
  text = 'before\n<!-- results:metrics -->\nold\n<!-- /results -->\nafter\n'
  new = tables.rewritten(text, scores)
  assert new.startswith('before\n<!-- results:metrics -->\n| metric |')
  assert new.endswith('|\n<!-- /results -->\nafter\n') and '99.12' in new and 'old' not in new
