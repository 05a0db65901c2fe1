"""Each part of a generator by itself, the way to the host, and the video codec."""

import pathlib
import tempfile

import cv2
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.benchmark import measure
from ifmdm_jax.generator import Probed
from ifmdm_jax.trust.mark import Marker
from ifmdm_jax.video import Writer

FRAMES = 8  # that travel to the host together


def measure_parts(generator, roof, repeats, batches):
  """Times every part that a generator offers, and what follows it.

  Args:
    generator: its parts are measured where it is `Probed`.
    roof: of `measure.roofline`.
    repeats: of each part.
    batches: frames drawn by one call, several numbers.

  Returns:
    {part: numbers}, of one unit of what a call makes: a picture, a window, a frame.
  """
  rows = {}
  for probe in generator.probes(batches) if isinstance(generator, Probed) else ():
    rows[label(probe)] = _row(probe, roof, repeats)
  rows['transfer'] = _transfer(generator.size, repeats)
  rows['mp4'] = _mp4(generator.size, repeats)
  rows['mark'] = _mark(generator.size, repeats)
  return rows


def label(probe):
  """Names a row: 'decoder x8'."""
  return f'{probe.name} x{probe.batch}' if probe.batch else probe.name


def headline(rows):
  """Takes the best of each part's batches: {'decoder_ms', 'decoder_fps', 'encoder_ms', ...}."""
  numbers = {}
  for part, row in rows.items():
    name, batched, _ = part.partition(' x')
    numbers[f'{name}_ms'] = min(row['ms'], numbers.get(f'{name}_ms', row['ms']))
    if batched:
      numbers[f'{name}_fps'] = 1000 / numbers[f'{name}_ms']
  return numbers


def _row(probe, roof, repeats):
  units = probe.batch or 1
  row = {name: value / units for name, value in measure.clock(probe.run, repeats).items()}
  if probe.loops > 1:
    row['evaluations'] = probe.loops
  if probe.function is None:
    return row
  cost = measure.compiled_cost(probe.function, probe.arguments, probe.constants)
  # The compiler counts the body of a loop once.
  cost.update({name: cost[name] * probe.loops / probe.units for name in ('gflop', 'gb')})
  return measure.with_roofline(row | cost, roof, probe.dtype)


def _transfer(size, repeats):
  """Times one frame from the device to the host."""
  frames = jnp.asarray(np.random.default_rng(0).integers(0, 255, (FRAMES, size, size, 3), np.uint8))
  fresh = [jnp.array(frames) for _ in range(repeats + 1)]
  row = measure.clock(lambda: np.array(fresh.pop()), repeats)
  return {name: value / FRAMES for name, value in row.items()}


def _mark(size, repeats):
  """Times the mark in one frame, on one core."""
  picture = np.random.default_rng(0).integers(0, 255, (size, size), dtype=np.uint8)
  marker, threads = Marker(0), cv2.getNumThreads()
  cv2.setNumThreads(1)
  try:
    return measure.clock(lambda: marker.mark_light(picture, 0.25), repeats)
  finally:
    cv2.setNumThreads(threads)


def _mp4(size, repeats):
  """Times one frame of a moving picture into a file, nothing beside it."""
  picture = np.random.default_rng(0).integers(0, 255, (size, size, 3), dtype=np.uint8) // 2
  picture += np.arange(size, dtype=np.uint8)[:, None, None] // 4
  count = max(25, repeats)
  with tempfile.TemporaryDirectory() as folder:
    began = measure.Clock()
    with Writer(pathlib.Path(folder) / 'o.mp4', provenance=False) as writer:
      for k in range(count):
        writer.add(np.roll(picture, k, 0))
    wall, cpu = began.read()
  ms = 1000 * wall / count
  return dict(ms=ms, p10=ms, p90=ms, cpu_ms=1000 * cpu / count)
