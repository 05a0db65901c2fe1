"""Endless batches of what a source draws, the same for any number of processes."""

import functools
from typing import Any, Protocol

import grain
import numpy as np

from ifmdm_jax.training.data import own_rows


class Source(Protocol):
  """What examples are drawn from; grain wants it to be a `RandomAccessDataSource`, too."""

  def __len__(self) -> int:
    """Counts the items."""
    ...

  def __getitem__(self, index: int) -> Any:
    """Returns item `index`: small, it says which clip, and is not the clip itself."""
    ...

  def draw(self, item: Any, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Makes an example of an item; all that is random comes from `rng`."""
    ...


class Listed(grain.sources.RandomAccessDataSource):
  """A source whose `items` are a list, of which an example may stand there several times."""

  items: list

  def __len__(self):
    return len(self.items)

  def __getitem__(self, index):
    return self.items[index]


def by_windows(lengths, frames):
  """Lists the number of each clip as often as windows of so many frames fit into its length."""
  counts = [max(1, round(length / frames)) for length in lengths]
  return [i for i, count in enumerate(counts) for _ in range(count)]


def endless(source: Source, *, batch, seed, process_index=0, process_count=1, threads=1, ahead=2):
  """Iterates over this process's rows, {name: [batch, ...]}; positions are saved and set.

  Global batch i has rows i B .. (i + 1) B - 1 of one endless order whatever the number of
  processes, and what is random in a row depends on the seed and its place there.

  Args:
    source: see `Source`.
    batch: rows of this process.
    seed: of order and examples.
    process_index, process_count: which rows are this process's.
    threads: that read.
    ahead: batches that they read in advance.
  """
  dataset = grain.MapDataset.source(source).seed(seed).shuffle().repeat()
  dataset = dataset.random_map(functools.partial(_draw, source))
  dataset = own_rows(dataset, batch, process_index, process_count)
  options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=ahead * batch)
  return iter(dataset.to_iter_dataset(options).batch(batch))


def _draw(source, item, rng):
  return source.draw(item, rng)
