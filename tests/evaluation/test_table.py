import json

import numpy as np
import pytest

from ifmdm_jax.evaluation import images, suite, table
from ifmdm_jax.evaluation.types import Absent, Record


@pytest.fixture(autouse=True)
def psnr_alone(monkeypatch):
  monkeypatch.setattr(suite, 'FAMILIES', (suite.Family(images, only=('psnr',)),))


def records(values):
  clips = [Record(f'c{i}', 'p', {'psnr': value}) for i, value in enumerate(values)]
  return {'mine': clips}


def aggregate(values):
  return table.aggregate(records(values), {'images': images.load()}, None)['mine']['psnr']


def test_the_interval_holds_the_mean_and_narrows_with_more_clips():
  rng = np.random.default_rng(0)
  few, many = aggregate(rng.normal(20, 1, 8).tolist()), aggregate(rng.normal(20, 1, 200).tolist())
  assert few.low < few.value < few.high and few.n == 8
  assert many.high - many.low < few.high - few.low
  assert many.high - many.low == pytest.approx(2 * 1.96 / 200**0.5, rel=0.2)


def test_the_same_clips_give_the_same_interval():
  assert aggregate([1.0, 2.0, 4.0]) == aggregate([1.0, 2.0, 4.0])


def test_clips_that_lack_a_metric_are_left_out_and_counted():
  cell = aggregate([1.0, Absent('no sound'), 3.0])
  assert cell.value == 2 and cell.n == 2


def test_a_metric_that_no_clip_has_is_absent_for_the_commonest_reason():
  cell = aggregate([Absent('no face'), Absent('no sound'), Absent('no sound')])
  assert cell.value is None and cell.reason == 'no sound'


def test_one_clip_has_no_interval():
  assert aggregate([5.0]) == table.Cell(5.0, None, None, 1)


def test_the_scores_are_flat_and_say_what_is_absent(tmp_path):
  found = records([10.0, 20.0]) | {'ground_truth': records([100.0, 100.0])['mine']}
  rows = table.aggregate(found, {'images': images.load()}, None)
  needs = {'mine': 'image', 'ground_truth': 'video'}
  result = table.Table(rows, needs, found, 'mine', {'protocol': 'test'})
  table.write(tmp_path, result)
  scores = json.loads((tmp_path / 'scores.json').read_text())
  assert scores['psnr'] == 15 and scores['evaluated'] == 'mine' and scores['n'] == 2
  assert scores['absent']['speed'] and 'speed' not in scores
  assert scores['rows']['ground_truth']['psnr']['value'] == 100
  text = table.text(result)
  assert '15.00 [10.00, 20.00]' in text and 'absent: ' in text
  lines = (tmp_path / 'scores.md').read_text().splitlines()
  assert lines[0] == '| metric | mine | ground truth |' and '`psnr` (dB) ↑' in lines[3]
  assert lines[2] == f'| *{table.NEEDS}* | image | video |' and scores['needs'] == needs
