"""Does the work of `workers.run`, and writes records, on Apache Beam, for many machines."""

import functools
import threading

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from ifmdm_jax.pipeline.prep import workers


def run(sources, output, settings, make_lag, options):
  """Brings `output`/videos up to date; `output` is a folder that all machines see."""
  work = functools.partial(_work, output=str(output), settings=settings, make_lag=make_lag)
  with beam.Pipeline(options=PipelineOptions(options)) as pipeline:
    _ = pipeline | beam.Create(sources) | beam.Reshuffle() | beam.Map(work)


def _work(source, output, settings, make_lag):
  _worker(threading.get_ident(), output, settings, make_lag)(source)
  return source.key


@functools.cache
def _worker(_, output, settings, make_lag):
  """Makes one per thread of Beam's.

  A film that kills its process must not kill Beam's, which would hand it to the next machine, and
  so on.
  """
  return workers.Worker(output, settings, make_lag)


def examples(results, examples_of):
  """Returns a transform that makes (name, example) of every kept track of these results."""
  return beam.Create(results) | beam.Reshuffle() | beam.FlatMap(examples_of)
