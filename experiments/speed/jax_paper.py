"""The paper's encoder and decoder as the sampler runs them, beside `torch_paper.py`.

  python experiments/speed/jax_paper.py --size 512 --repeats 10

Weights are random. Prints median and best milliseconds of wall and of CPU time per part.
"""

import argparse
import time

import jax
import numpy as np

from ifmdm_jax import testing
from ifmdm_jax.configs import autoencoder as configs
from ifmdm_jax.systems.ifmdm.autoencoder import paper


def main():
  parser = argparse.ArgumentParser()
  parser.add_argument('--size', type=int, default=512)
  parser.add_argument('--repeats', type=int, default=10)
  args = parser.parse_args()
  config = configs.get_config('paper').model
  config.update(size=args.size, refine=False)
  shapes = jax.eval_shape(lambda rng: paper.init(rng, config), jax.random.key(0))
  params = {'gen': jax.device_put(testing.random_params(shapes['gen']))}
  image = np.random.default_rng(0).integers(0, 255, (args.size, args.size, 3), dtype=np.uint8)
  encode = jax.jit(lambda params, image: paper.portrait(params, image, config))
  draw = jax.jit(lambda params, portrait, code: paper.draw(params, portrait, code, config))
  portrait = encode(params, image)
  code = np.zeros((1, config.motion_dim), np.float32)
  for name, run in (
    ('encoder', lambda: encode(params, image)),
    ('decoder', lambda: draw(params, portrait, code)),
  ):
    jax.block_until_ready(run())
    wall, cpu = [], []
    for _ in range(args.repeats):
      began = time.perf_counter(), time.process_time()
      jax.block_until_ready(run())
      wall.append(1000 * (time.perf_counter() - began[0]))
      cpu.append(1000 * (time.process_time() - began[1]))
    wall, cpu = sorted(wall), sorted(cpu)
    print(
      f'jax   {name} {args.size}: wall {wall[len(wall) // 2]:.0f} (best {wall[0]:.0f}) ms, '
      f'cpu {cpu[len(cpu) // 2]:.0f} (best {cpu[0]:.0f}) ms'
    )


if __name__ == '__main__':
  main()
