"""The work of `workers.run` as an Apache Beam transform, for many machines."""

import functools

import apache_beam as beam

from ifmdm_jax.pipeline.prep import workers


def examples(sources, output, settings, make_sync):
  """A transform that makes (name, example) of every kept track of these films."""
  work = functools.partial(_work, output=str(output), settings=settings, make_sync=make_sync)
  return beam.Create(sources) | beam.Reshuffle() | beam.FlatMap(work)


@functools.cache
def _made(make_sync):
  return make_sync()  # once per process


def _work(source, output, settings, make_sync):
  from ifmdm_jax.pipeline import records

  result = workers.guarded(source, output, settings, _made(make_sync))
  yield from records.examples_of(result, output)
