"""Measures what a square costs to look at, by either network and engine, in seconds of the CPU.

  python experiments/landmarks/cost.py [--output experiments/landmarks]

Writes cost.csv: milliseconds of all cores together for one square, the median of five turns of
LOOKS, networks and engines in turn; `find` is a whole picture, with its mirror image, refined.
"""

import csv
import pathlib
import time

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from jax.scipy.ndimage import map_coordinates

from ifmdm_jax import errors
from ifmdm_jax.face import landmarker, mesh

HERE = pathlib.Path(__file__).parent
TURNS, LOOKS = 5, 10
_OUTPUT = flags.DEFINE_string('output', str(HERE), 'Folder of cost.csv.', **errors.SHARED)


def sample(pictures, grid):
  """Looks up [B, R, R, 3] at [B, h, w, 2], bilinear."""
  side = pictures.shape[1]
  one = lambda channel, rows, columns: map_coordinates(channel, [rows, columns], 1, 'nearest')
  each = jax.vmap(jax.vmap(one, (2, None, None), 2))
  return each(pictures, side * grid[..., 1] - 0.5, side * grid[..., 0] - 0.5)


def looks():
  """Lists (network, engine, what is run)."""
  random = np.random.default_rng(0)
  found = []
  for name, module, network, seen in (
    ('mesh', mesh, mesh.MeshNetwork(), mesh.FaceMesh().network),
    ('landmarker', landmarker, landmarker.LandmarkerNetwork(), landmarker.opencv()),
  ):
    params = jax.device_put(module.load())
    patch = random.integers(0, 255, (module.SIDE, module.SIDE, 3), np.uint8)
    picture = jnp.asarray(random.random((1, 256, 256, 3), np.float32))
    square = jnp.asarray(patch[None].astype(np.float32) / 255)
    # Defaults, for a closure of a loop would see the last network only.
    run = jax.jit(lambda params, x, network=network: network.apply({'params': params}, x)[0])
    find = jax.jit(lambda params, x, module=module: module.find(params, x, sample))
    found += [
      (name, 'OpenCV', lambda patch=patch, seen=seen: seen(patch)),
      (name, 'JAX', lambda run=run, p=params, x=square: run(p, x).block_until_ready()),
      (name, 'JAX, find', lambda run=find, p=params, x=picture: run(p, x).block_until_ready()),
    ]
  return found


def main(_):
  cv2.setNumThreads(1)
  runs = looks()
  for _, _, run in runs:
    run()
  spent = {(name, engine): [] for name, engine, _ in runs}
  for _ in range(TURNS):
    for name, engine, run in runs:
      start = time.process_time()
      for _ in range(LOOKS):
        run()
      spent[name, engine].append(1000 * (time.process_time() - start) / LOOKS)
  with open(pathlib.Path(_OUTPUT.value) / 'cost.csv', 'w', newline='') as file:
    writer = csv.writer(file, lineterminator='\n')
    writer.writerow(['network', 'engine', 'ms'])
    for key, values in spent.items():
      row = [*key, round(float(np.median(values)), 1)]
      writer.writerow(row)
      print(*row)


if __name__ == '__main__':
  errors.run(main)
