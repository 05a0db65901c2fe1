"""How near to its tolerance does each comparison come? A plugin that lists the nearest.

  python -m pytest -p tests.margins --margins margins.csv

A comparison that uses most of its tolerance here fails on another processor, whose sums are
rounded in another order: widen it, relative to the size of what it compares, or find out why it is
so far off.
"""

import csv

import numpy as np
import pytest

_ROWS, _TEST = [], ['']


def pytest_addoption(parser):
  parser.addoption('--margins', default='margins.csv', help='file to write')


def pytest_runtest_setup(item):
  _TEST[0] = item.nodeid


@pytest.fixture(autouse=True, scope='session')
def _measure():
  compare = np.testing.assert_allclose

  def measured(actual, desired, rtol=1e-7, atol=0, **options):
    _ROWS.append((_TEST[0], *margin(actual, desired, rtol, atol)))
    compare(actual, desired, rtol=rtol, atol=atol, **options)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(np.testing, 'assert_allclose', measured)
    yield


def margin(actual, desired, rtol, atol):
  """Returns the largest share of the tolerance that a difference uses, and the size of what is
  compared, with the smallest tolerance in shares of it."""
  actual, desired = np.broadcast_arrays(np.float64(actual), np.float64(desired))
  if not desired.size:
    return 0.0, 0.0, np.inf
  allowed, size = atol + rtol * np.abs(desired), np.abs(desired).max()
  with np.errstate(all='ignore'):
    used = np.nan_to_num(np.abs(actual - desired) / allowed).max()
    return used, size, np.nan_to_num(np.divide(allowed.max(), size), nan=np.inf)


def pytest_sessionfinish(session):
  with open(session.config.getoption('--margins'), 'w', newline='', encoding='utf-8') as file:
    rows = csv.writer(file)
    rows.writerow(['test', 'share of the tolerance', 'size', 'tolerance / size'])
    rows.writerows(sorted(_ROWS, key=lambda row: -row[1]))
