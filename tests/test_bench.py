"""The benchmark measures what its help promises, on the smallest sampler."""

import json
import subprocess
import sys

import numpy as np
import pytest

from ifmdm_jax import bench


def test_every_part_is_measured_and_nothing_is_faster_than_the_roofline(tmp_path):
  report = tmp_path / 'bench.json'
  words = ['--sizes=tiny', '--repeats=2', '--seconds=0.5', '--batches=1', '--streams=2',
           '--parts=parts,end,streams', f'--json={report}']  # fmt: skip
  program = (
    'from ifmdm_jax import bench, errors;'
    'bench.roofline = lambda: dict(float32_tflops=1e3, bfloat16_tflops=1e3, copy_gb_per_s=1e3);'
    'errors.run(bench.main)'
  )
  ran = subprocess.run(
    [sys.executable, '-c', program, *words], check=False, capture_output=True, text=True
  )
  assert ran.returncode == 0, ran.stderr[-2000:]
  found = json.loads(report.read_text())
  tiny = found['tiny']
  for name in (
    'end_to_end_fps', 'first_frame_ms', 'decoder_ms', 'motion_ms', 'encoder_ms', 'peak_memory_mb',
    'real_time_factor', 'live_streams',
  ):  # fmt: skip
    assert np.isfinite(tiny[name]) and tiny[name] >= 0
  assert set(tiny['parts']) == {
    'encoder', 'speech', 'motion', 'decoder x1', 'transfer', 'mp4',
  }  # fmt: skip
  for row in tiny['parts'].values():
    assert row['p10'] <= row['ms'] <= row['p90']
    assert row.get('roofline', 0) <= 1
  assert 'decoder x1' in ran.stdout and found['device']


def test_spread_is_in_milliseconds_and_ordered():
  found = bench.spread([0.001, 0.002, 0.003])
  assert found['ms'] == pytest.approx(2.0)
  assert found['p10'] < found['ms'] < found['p90']


@pytest.mark.parametrize(
  ('words', 'said'), [(['--sizes=huge'], 'huge'), (['--batches=one'], 'one')]
)
def test_bad_flags_are_one_line(words, said):
  ran = subprocess.run(
    [sys.executable, '-m', 'ifmdm_jax.bench', *words], capture_output=True, text=True, check=False
  )
  assert ran.returncode == 2
  assert said in ran.stderr and 'Traceback' not in ran.stderr
