"""Two hundred damaged inputs; `make fuzz` takes two thousand, each in a process that may die."""

import pytest

from tests.fuzz import doors, run

pytest.importorskip('tensorflow_datasets')
CASES = 200


@pytest.mark.parametrize('door', range(len(doors.DOORS)), ids=[name for name, *_ in doors.DOORS])
def test_a_damaged_input_is_one_line_or_a_sane_result(door, tmp_path):
  wrong = []
  for number in range(door, CASES, len(doors.DOORS)):
    folder = tmp_path / str(number)
    folder.mkdir()
    wrong.append(run.case(number, folder))
  assert not list(filter(None, wrong))


@pytest.mark.parametrize('door', range(len(doors.DOORS)), ids=[name for name, *_ in doors.DOORS])
def test_the_undamaged_input_is_read(door, tmp_path):
  """Otherwise the cases would say nothing."""
  name, make, read = doors.DOORS[door]
  if name in ('protocol', 'encoder', 'output'):  # its clips, its weights, itself are not there
    pytest.skip('an example of the form alone')
  read(make(tmp_path))
