"""Writes what the networks in PyTorch answer to drawn inputs on drawn weights; needs PyTorch.

  python experiments/fewshot_goldens/make.py --size small --output goldens.npz

Weights, the vectors that power iterations start from and inputs are drawn from their names
(`tests/importers/foreign.py`) and not stored. Networks are run ITERATIONS times as in training, so
that each of their power iterations takes a step every time, and then once as in use: that is stored
in float32 (`out/NAME`, computed in float64). `count/SIZE/PART` are numbers of parameters at the
published size, with and without attention.
"""

import argparse
import json
import pathlib
import sys

import numpy as np
import torch

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(pathlib.Path(__file__).parent)]

import networks  # noqa: E402

from tests.importers import foreign  # noqa: E402

PAPER = dict(
  image=256,
  down=(64, 128, 256, 512, 512, 512),
  encode=(64, 128, 256, 512),
  bottleneck=4,
  decode=(512, 256, 128, 64),
  attention=(32, 64),
)
SIZES = {
  'paper': PAPER,
  'small': dict(
    image=32, down=(8, 16, 24), encode=(8, 16, 24), bottleneck=2, decode=(24, 16, 8),
    attention=(8, 16),
  ),
}  # fmt: skip
VIDEOS, SHOTS, BATCH, ITERATIONS = 5, 3, 2, 4
PARTS = ('embedder', 'generator', 'projector', 'discriminator')


def main():
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--size', choices=SIZES, default='small')
  parser.add_argument('--output', required=True)
  given = parser.parse_args()
  found = goldens(SIZES[given.size], torch.float64 if given.size == 'small' else torch.float32)
  for name, size in (('paper', PAPER), ('paper_plain', dict(PAPER, attention=(0, 0)))):
    for part, number in counted(size).items():
      found[f'count/{name}/{part}'] = np.array(number)
      print(f'{name} {part}: {number:,} parameters')
  np.savez_compressed(given.output, **found)


def counted(size):
  with torch.device('meta'):
    model = networks.FewShot(size, VIDEOS)
  of = lambda part: sum(p.numel() for p in model.get_submodule(part).parameters())
  return {part: of(part) for part in PARTS}


def goldens(size, dtype):
  model = networks.FewShot(size, VIDEOS)
  drawn = {k: list(v.shape) for k, v in model.state_dict().items() if not k.endswith('weight_v')}
  for key, value in foreign.draw(drawn).items():
    model.state_dict()[key].copy_(torch.from_numpy(value))
  model = model.to(dtype)
  inputs = [torch.from_numpy(np.asarray(x)).to(dtype) for x in pictures(size['image'])]
  inputs = [torch.movedim(x, -1, -3) for x in inputs]
  video = torch.tensor([3, 1])
  with torch.no_grad():
    model.train()
    for _ in range(ITERATIONS):
      model(*inputs, video)
    model.eval()
    out = model(*inputs, video)
  found = {'keys': np.array(json.dumps(drawn)), 'size': np.array(json.dumps(size))}
  last = lambda x: torch.movedim(x, -3, -1) if x.ndim == 4 else x
  out |= {f'map_{i}': each for i, each in enumerate(out.pop('maps'))}
  out['map_0'] = out['map_0'][:1]  # the largest
  return found | {f'out/{k}': last(v).to(torch.float32).numpy() for k, v in out.items()}


def pictures(side):
  """Draws shots and their drawings [B, K, S, S, 3], and a drawing [B, S, S, 3]."""
  shapes = (BATCH, SHOTS, side, side, 3), (BATCH, SHOTS + 1, side, side, 3), (BATCH, side, side, 3)
  shots, drawings, drawing = (foreign.picture(*shape) for shape in shapes)
  return shots, drawings[:, 1:], drawing


if __name__ == '__main__':
  main()
