from ifmdm_jax.training.logs import Logs, _clock


def test_rows_after_the_restored_step_are_written_anew(tmp_path, capsys):
  with Logs(tmp_path, start=0, steps=30) as logs:
    logs.evaluation(10, {'loss': 1.0})
    logs.evaluation(20, {'loss': 2.0})
  with Logs(tmp_path, start=10, steps=30) as logs:
    logs.evaluation(20, {'loss': 3.0})
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
