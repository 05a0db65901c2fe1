"""The benchmark measures what its help promises, on the smallest generator."""

import json
import subprocess
import sys

import numpy as np
import pytest
from absl import flags

from ifmdm_jax import bench
from ifmdm_jax.benchmark import ends, measure, parts
from ifmdm_jax.errors import InputError

ROOF = dict(float32_tflops=1e3, bfloat16_tflops=1e3, copy_gb_per_s=1e3)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
  """`run(*words)` -> (what the JSON file holds, what was printed)."""
  monkeypatch.setattr(measure, 'roofline', lambda: ROOF)

  def call(*words):
    report = tmp_path / 'bench.json'
    flags.FLAGS(['bench', *words, f'--json={report}'])
    bench.main(None)
    return json.loads(report.read_text()), capsys.readouterr().out

  yield call
  flags.FLAGS.unparse_flags()
  for name in bench.__dict__:
    if isinstance(getattr(bench, name), flags.FlagHolder):
      getattr(bench, name)._flagvalues[getattr(bench, name).name].unparse()


def test_every_part_is_measured_and_nothing_is_faster_than_the_roofline(run, sampler, monkeypatch):
  monkeypatch.setattr(bench, 'maker', lambda size, dtype: lambda: sampler)
  found, printed = run(
    '--sizes=tiny', '--repeats=2', '--seconds=0.5', '--batches=1', '--streams=1',
    '--parts=parts,end,streams',
  )  # fmt: skip
  tiny = found['tiny']
  for name in (
    'end_to_end_fps', 'first_frame_ms', 'decoder_ms', 'motion_ms', 'encoder_ms', 'peak_memory_mb',
    'real_time_factor', 'live_streams', 'decoder_fps', 'first_frame_needs_sound_ms',
  ):  # fmt: skip
    assert np.isfinite(tiny[name]) and tiny[name] >= 0
  assert set(tiny['parts']) == {
    'encoder',
    'speech',
    'motion',
    'decoder x1',
    'transfer',
    'mp4',
    'mark',
  }
  for row in tiny['parts'].values():
    assert row['p10'] <= row['ms'] <= row['p90']
    assert row.get('roofline', 0) <= 1
  assert tiny['parts']['motion']['evaluations'] == sampler.options().solver.steps.count
  assert 'evaluations' not in tiny['parts']['encoder']  # it has no loop
  assert 'decoder x1' in printed and 'evaluations' in printed and found['device']


def test_spread_is_in_milliseconds_and_ordered():
  numbers = measure.spread([0.001, 0.002, 0.003])
  assert numbers['ms'] == pytest.approx(2.0)
  assert numbers['p10'] < numbers['ms'] < numbers['p90']


def test_the_best_batch_is_the_headline():
  rows = {'decoder x1': {'ms': 10.0}, 'decoder x8': {'ms': 4.0}, 'speech': {'ms': 7.0}}
  assert parts.headline(rows) == {'decoder_ms': 4.0, 'decoder_fps': 250.0, 'speech_ms': 7.0}


class Plain:
  """A generator that offers nothing but what every generator has."""

  name, needs, size, fps = 'plain', frozenset({'image', 'voice'}), 64, 25

  def generate(self, clip, *, seed=0):
    for _ in range(clip.num_frames):
      yield np.zeros((1, 64, 64, 3), np.uint8)


class OfFilms(Plain):
  """A generator that is shown a film and its landmarks."""

  needs = frozenset({'video', 'landmarks', 'voice'})

  def generate(self, clip, *, seed=0):
    assert clip.image is None and clip.landmarks.shape == (len(clip.frames), 468, 2)
    assert 0 < clip.landmarks[..., 0].mean() < 64  # pixels of frames of its size
    yield clip.frames


def test_a_generator_that_needs_a_film_is_measured_with_a_drawn_one():
  numbers = ends.measure_end(OfFilms(), 0.4, repeats=1)
  assert numbers['end_to_end_fps'] > 0


def test_any_generator_is_measured_as_far_as_it_goes():
  plain = Plain()
  assert set(parts.measure_parts(plain, ROOF, 1, (1,))) == {'transfer', 'mp4', 'mark'}
  numbers = ends.measure_end(plain, 0.4, repeats=1)
  assert numbers['real_time_factor'] > 0 and numbers['first_frame_needs_sound_ms'] == 400
  assert ends.measure_streams(plain, 2) == {}


def test_a_generator_of_other_needs_is_refused_in_one_line():
  reader = Plain()
  reader.needs = frozenset({'text'})
  with pytest.raises(InputError, match='has no text'):
    ends.measure_end(reader, 0.4)


def test_the_sound_before_a_streams_first_frame_is_counted():
  class Streaming(Plain):
    def stream(self, image, blocks, sample_rate=16_000, seed=0):
      for count, _ in enumerate(blocks, 1):
        if count == 3:
          yield np.zeros((1, 64, 64, 3), np.uint8)

  numbers = ends.measure_first_frame(Streaming(), ends.clip_of(Plain(), 1.0), 2)
  assert numbers['first_frame_needs_sound_ms'] == 300 and numbers['first_frame_ms'] < 1000


@pytest.mark.parametrize(
  ('words', 'said'),
  [
    (['--sizes=huge'], 'huge'),
    (['--batches=one'], 'one'),
    (['--seconds=nan'], '--seconds above 0, got .* nan'),
    (['--parts=x'], '--parts of .*, got x'),
    (['--parts='], '--parts of '),
  ],
)
def test_bad_flags_are_one_line(run, words, said):
  with pytest.raises(InputError, match=said):
    run(*words)


@pytest.mark.parametrize('word', ['--seconds=-1', '--seconds=0', '--seconds=1e9', '--dtype=x',
                                  '--streams=0'])  # fmt: skip
def test_what_no_benchmark_can_have_is_no_flag(run, word):
  """Before anything is measured: it once took 40 seconds to fail."""
  with pytest.raises(flags.IllegalFlagValueError, match=word.split('=')[0].strip('-')):
    run(word)


def test_a_new_process_draws_a_first_frame_and_says_in_one_line_what_it_cannot():
  command = [sys.executable, '-m', 'ifmdm_jax.bench', '--first_frame']
  done = subprocess.run([*command, '--sizes=none:tiny'], capture_output=True, text=True)
  assert done.returncode == 2 and 'Traceback' not in done.stderr
  assert "got 'none'" in done.stderr
