"""Endless batches of what a source draws, the same for any number of processes."""

import functools

import grain

from ifmdm_jax.training.data import own_rows


def endless(source, *, batch, seed, process_index=0, process_count=1, threads=1, ahead=2):
  """Iterator over this process's rows, {name: [batch, ...]}; positions are saved and set.

  `source[i]` is an item and `source.draw(item, rng)` an example of it. Global batch i has rows
  i B .. (i + 1) B - 1 of one endless order whatever the number of processes, and what is random in
  a row depends on the seed and its place there. `ahead`: batches that `threads` read in advance.
  """
  dataset = grain.MapDataset.source(source).seed(seed).shuffle().repeat()
  dataset = dataset.random_map(functools.partial(_draw, source))
  dataset = own_rows(dataset, batch, process_index, process_count)
  options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=ahead * batch)
  return iter(dataset.to_iter_dataset(options).batch(batch))


def _draw(source, item, rng):
  return source.draw(item, rng)
