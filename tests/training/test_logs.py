import errno
import io
import sys
import types

import numpy as np
import pytest
from tensorboardX.proto.event_pb2 import Event

from ifmdm_jax import errors
from ifmdm_jax.training import screen
from ifmdm_jax.training.logs import Logs, _clock, weights_of


def test_rows_after_the_restored_step_are_written_anew(tmp_path, capsys):
  with Logs(tmp_path, start=0, steps=30) as logs:
    logs.validation(10, {'loss': 1.0})
    logs.validation(20, {'loss': 2.0})
  with Logs(tmp_path, start=10, steps=30) as logs:
    logs.validation(20, {'loss': 3.0})
  rows = (tmp_path / 'log.csv').read_text().splitlines()
  assert [row.split(',')[0::3] for row in rows] == [['step', 'value'], ['10', '1'], ['20', '3']]
  assert 'step 20  val  loss 3' in capsys.readouterr().out


def test_a_line_has_speed_and_the_time_left(tmp_path, capsys):
  with Logs(tmp_path, start=0, steps=100) as logs:
    logs.train(50, {'lr': 0.1, 'loss': 0.25}, batch=4, waited=0.0, seconds=1.0)
  line = capsys.readouterr().out.splitlines()[-1]
  assert line.startswith('step 50/100  loss 0.25') and line.endswith('left')
  assert 'steps/s' in line and 'data wait 0%' in line


def test_clock_reads_like_one():
  assert [_clock(s) for s in (5, 65, 5025)] == ['0m05s', '1m05s', '1h23m']


def test_terms_are_logged_as_they_are_and_weighted(tmp_path):
  weights = weights_of({'gan_weight': 2.0, 'loss': {'photo': 4.0}, 'size': 64})
  assert weights == {'gan': 2.0, 'photo': 4.0}
  with Logs(tmp_path, start=0, steps=9, weights=weights) as logs:
    logs.speed(flops=10.0, peak=1e9)
    logs.train(1, {'gan': 0.5, 'photo': 1.5}, batch=2, waited=0.0, seconds=1.0)
    logs.histograms(1, {'codes': np.arange(9.0)})
  rows = dict(row.split(',')[2:] for row in (tmp_path / 'log.csv').read_text().splitlines())
  assert rows['train/weighted/gan'] == '1' and rows['train/weighted/photo'] == '6'
  assert float(rows['train/mfu']) > 0


def test_a_screen_shows_terms_time_left_and_validation():
  console = screen.Console(file=io.StringIO(), force_terminal=True, width=90, height=30)
  shown = screen.Screen('run', 5, 10, console)
  shown.train({'loss': 2.0, 'gan': 0.5, 'weighted/gan': 1.0, 'samples_per_s': 12.0})
  shown.validation(5, {'psnr': 21.5})
  shown.step()
  shown.close()
  text = console.file.getvalue()
  assert all(word in text for word in ('6/10', 'loss', 'samples_per_s 12', 'psnr 21.5', 'left'))
  assert screen.trend([0, 1, 2, 3]) == '▁▃▅█'


def test_weights_and_biases_is_an_extra(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'wandb', None)
  with pytest.raises(errors.InputError, match=r'pip install "ifmdm_jax\[wandb\]"'):
    Logs(tmp_path, start=0, steps=9, wandb='project')
  sent = []
  run = types.SimpleNamespace(log=lambda rows, step: sent.append((step, rows)), finish=print)
  fake = types.SimpleNamespace(init=lambda **options: run)
  monkeypatch.setitem(sys.modules, 'wandb', fake)
  with Logs(tmp_path, start=0, steps=9, wandb='project') as logs:
    logs.validation(3, {'loss': 1.0})
  assert sent == [(3, {'val/loss': 1.0})]


def test_a_full_disk_stops_the_logs_and_not_the_run(tmp_path, monkeypatch, capsys):
  with Logs(tmp_path, start=0, steps=9) as logs:
    logs.validation(1, {'loss': 1.0})

    def full(*_):
      raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(logs._board, 'scalar', full)
    for step in range(2, 40):  # more than any queue would hold
      logs.validation(step, {'loss': 1.0})
    logs.histograms(40, {'codes': np.arange(9.0)})
  out = capsys.readouterr().out
  assert out.count('logs cannot be written') == 1 and 'No space left' in out


def test_steps_after_the_restored_one_are_hidden_on_the_board(tmp_path):
  with Logs(tmp_path, start=7, steps=9) as logs:
    logs.validation(8, {'loss': 1.0})
  (file,) = (tmp_path / 'tensorboard').iterdir()
  events, data, at = [], file.read_bytes(), 0
  while at < len(data):  # records of length, check, event, check
    length = int.from_bytes(data[at : at + 8], 'little')
    events.append(Event.FromString(data[at + 12 : at + 12 + length]))
    at += length + 16
  assert [(event.step, event.WhichOneof('what')) for event in events] == [
    (0, 'file_version'), (8, 'session_log'), (8, 'summary'),
  ]  # fmt: skip
