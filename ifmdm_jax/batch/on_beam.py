"""Makes the videos of a batch on Apache Beam: on this machine, or on a cluster.

  with beam.Pipeline(options=...) as pipeline:
    outcomes = pipeline | beam.Create(share.groups(jobs, 32)) | on_beam.MakeVideos(settings)

All machines see the portraits, the voices and the folder of the videos under the same paths.
"""

import json
import pathlib
import shutil
import threading

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.utils import shared

from ifmdm_jax import errors, files, processes
from ifmdm_jax.batch import maker, share

FOLDER = '.outcomes'  # below that of the videos, while a pipeline runs


class _Crew:
  """The one process of a Beam worker that holds the weights; its threads take turns.

  A job that kills its process must not kill Beam's, which would hand it to the next machine, and so
  on.
  """

  def __init__(self, ready, settings):
    self.worker, self.turn = processes.Worker(ready, settings), threading.Lock()

  def __call__(self, job):
    with self.turn:
      return share.made(self.worker, job)

  def __del__(self):
    self.worker.close()


class _Make(beam.DoFn):
  def __init__(self, settings, ready, handle):
    self.settings, self.ready, self.handle = settings, ready, handle

  def setup(self):
    self.crew = self.handle.acquire(lambda: _Crew(self.ready, self.settings))

  def process(self, group):
    for job in group:
      yield self.crew(job)

  def teardown(self):
    self.crew = None


class MakeVideos(beam.PTransform):
  """Turns lists of `Job`s, each of one portrait, into `maker.Outcome`s.

  What is finished is kept, so that a bundle that Beam tries again costs nothing.
  """

  def __init__(self, settings, ready=maker.ready):
    super().__init__()
    self.settings, self.ready = settings, ready

  def expand(self, groups):
    made = beam.ParDo(_Make(self.settings, self.ready, shared.Shared()))
    return groups | beam.Reshuffle() | made


def run(jobs, settings, options, ready=maker.ready):
  """Makes all jobs, then yields their `Outcome`s, as far as machines left a word.

  Args:
    jobs: list of `Job`.
    settings: `maker.Settings`.
    options: of the pipeline, a list of flags.
    ready: see `share.among`.
  """
  folder = pathlib.Path(settings.output) / FOLDER
  shutil.rmtree(folder, ignore_errors=True)
  with errors.explained('a folder to write into', folder):
    folder.mkdir(parents=True)
  try:
    with beam.Pipeline(options=PipelineOptions(options)) as pipeline:
      outcomes = (
        pipeline
        | beam.Create(share.groups(jobs, share.MOST))
        | MakeVideos(settings, ready)
      )  # fmt: skip
      _ = outcomes | beam.Map(_keep, str(folder))
    for path in sorted(folder.glob('*.json')):
      yield maker.Outcome(*files.read_json(path))
  finally:
    shutil.rmtree(folder, ignore_errors=True)


def _keep(outcome, folder):
  """Leaves an outcome where the machine that began finds it."""
  files.write_text(pathlib.Path(folder) / f'{outcome.number}.json', json.dumps(outcome))
