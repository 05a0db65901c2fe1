"""Makes the jobs of a batch on Apache Beam, for many machines.

  outcomes = jobs | on_beam.MakeVideos(settings)

`jobs`: a collection of `jobs.Job`; `settings`: `maker.Settings`, whose folders all machines see.
"""

import json
import pathlib
import tempfile
import threading

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.utils import shared

from ifmdm_jax import files
from ifmdm_jax.batch import run
from ifmdm_jax.batch.maker import Outcome

SHARD = 64  # jobs of one portrait that one worker makes in a row, at most


class MakeVideos(beam.PTransform):
  """Makes a video of each job: a collection of `jobs.Job` becomes one of `maker.Outcome`.

  Jobs of a portrait go to one worker, some of many together; a worker loads the weights once.
  """

  def __init__(self, settings):
    super().__init__()
    self.settings = settings

  def expand(self, jobs):
    return (
      jobs
      | 'by portrait' >> beam.Map(lambda job: (_shard(job), job))
      | beam.GroupByKey()
      | beam.Reshuffle()
      | 'make' >> beam.ParDo(_Make(self.settings))
    )


class _Make(beam.DoFn):
  """Makes the jobs of a shard, in a process that a broken file may kill without harm to Beam's."""

  def __init__(self, settings):
    self.settings, self.shared = settings, shared.Shared()

  def setup(self):
    self.crew = self.shared.acquire(lambda: _Crew(self.settings))

  def process(self, shard):
    for job in sorted(shard[1]):
      yield self.crew(job)

  def teardown(self):
    self.crew = None


class _Crew:
  """The one process beside one of Beam's, whose threads, often a dozen, take turns with it."""

  def __init__(self, settings):
    self.worker, self.turn = run.maker_worker(settings), threading.Lock()

  def __call__(self, job):
    with self.turn:
      return run.attempt(self.worker, job)

  def __del__(self):  # no thread holds it any more
    self.worker.close()


def _shard(job):
  """Names a shard: the portrait, and which of its shards."""
  return json.dumps([*job.portrait, job.number // SHARD])


def make(jobs, settings, options):
  """Brings a batch's folder up to date, see `run.run`.

  Args:
    jobs: list of `jobs.Job`.
    settings: `maker.Settings`.
    options: of the Beam pipeline, words.
  """
  with files.alone(settings.folder), tempfile.TemporaryDirectory(
    dir=settings.folder, prefix='.outcomes-'
  ) as place:  # fmt: skip
    with beam.Pipeline(options=PipelineOptions(options)) as pipeline:
      outcomes = pipeline | beam.Create(jobs) | MakeVideos(settings)
      lines = outcomes | beam.Map(json.dumps)
      _ = lines | beam.io.WriteToText(str(pathlib.Path(place) / 'part'))
    return run.conclude(jobs, settings, _read(place))


def _read(place):
  for part in sorted(pathlib.Path(place).glob('part*')):
    with open(part, encoding='utf-8') as file:
      for line in file:
        number, status, frames, reason, notes, full = json.loads(line)
        yield Outcome(number, status, frames, reason, tuple(notes), full)
