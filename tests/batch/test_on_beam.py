"""Batches on Apache Beam, where it is installed."""

import pytest

pytest.importorskip('apache_beam')

from apache_beam import Create  # noqa: E402
from apache_beam.testing import util  # noqa: E402
from apache_beam.testing.test_pipeline import TestPipeline  # noqa: E402

import ifmdm_jax  # noqa: E402
from ifmdm_jax.batch import command, jobs, maker, on_beam, run  # noqa: E402
from ifmdm_jax.trust.origin import Options  # noqa: E402
from tests.batch import small  # noqa: E402


def test_outcomes_come_of_jobs_and_one_that_kills_its_process_costs_itself(monkeypatch, tmp_path):
  monkeypatch.setattr(run, '_maker', small.dying)
  wanted = [jobs.Job(number, f'p{number % 3}.png', 'v.wav', f'{number}.mp4') for number in range(6)]
  settings = maker.Settings(str(tmp_path), str(tmp_path))
  with TestPipeline() as pipeline:
    outcomes = pipeline | Create(wanted) | on_beam.MakeVideos(settings)
    found = outcomes | 'seen' >> on_beam.beam.Map(lambda each: (each.number, each.status))
    util.assert_that(found, util.equal_to([(n, 'failed' if n % 2 else 'made') for n in range(6)]))


def test_beam_makes_the_same_folder(monkeypatch, tmp_path):
  small.inputs(tmp_path)
  (tmp_path / 'p9.png').write_bytes(b'no picture')
  rows = ['p0.png,v0.wav,a.mp4,1', 'p9.png,v0.wav,b.mp4,2', 'p1.png,v0.wav,x/c.mp4,3']
  path = small.table(tmp_path, rows)
  monkeypatch.setattr(ifmdm_jax, 'load', lambda *_, **__: small.Quick(), raising=False)
  monkeypatch.setattr(run, 'maker_worker', lambda settings: Here(settings))
  same = dict(provenance=Options(wanted=False), compile_cache='none')
  beam = ['--runner=DirectRunner']
  assert command.make(path, tmp_path / 'one', {'crop': 'none'}, workers=0, **same) == 1
  assert command.make(path, tmp_path / 'two', {'crop': 'none'}, beam=beam, **same) == 1
  files = sorted(p.relative_to(tmp_path / 'one') for p in (tmp_path / 'one').rglob('*'))
  assert files == sorted(p.relative_to(tmp_path / 'two') for p in (tmp_path / 'two').rglob('*'))
  for name in files:
    if (tmp_path / 'one' / name).is_file():
      assert (tmp_path / 'one' / name).read_bytes() == (tmp_path / 'two' / name).read_bytes()


class Here:
  """A worker that needs no process."""

  closed = False

  def __init__(self, settings):
    self.make = maker.Maker(settings)

  def __call__(self, job):
    return self.make(job)

  def close(self):
    pass
