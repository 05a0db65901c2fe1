"""The work of `workers.run` as an Apache Beam transform, for many machines."""

import functools
import threading

import apache_beam as beam

from ifmdm_jax.pipeline.prep import workers


def examples(sources, output, settings, make_sync):
  """A transform that makes (name, example) of every kept track of these films."""
  work = functools.partial(_work, output=str(output), settings=settings, make_sync=make_sync)
  return beam.Create(sources) | beam.Reshuffle() | beam.FlatMap(work)


def _work(source, output, settings, make_sync):
  from ifmdm_jax.pipeline import records

  worker = _worker(threading.get_ident(), output, settings, make_sync)
  yield from records.examples_of(worker(source), output)


@functools.cache
def _worker(_, output, settings, make_sync):
  """One per thread of Beam's: a film that kills its process must not kill Beam's, which would hand
  it to the next machine, and so on."""
  return workers.Worker(output, settings, make_sync)
