"""Writes what the networks in PyTorch answer to drawn inputs on drawn weights; needs PyTorch.

  python experiments/difftalk_goldens/make.py --size small --output goldens.npz

Weights are drawn from their names (`tests/importers/foreign.py`) and not stored. The file holds
names and shapes of a checkpoint (`keys`), numbers of parameters (`count/PART`), and of every input
and output its float64 result as float32. `small` has all levels of the published networks, 32
channels for 256 and for 128; the networks of the conditions are the published ones.
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
  vq=dict(width=128, multipliers=(1, 2, 4), blocks=2, entries=8192, channels=3),
  unet=dict(width=256, multipliers=(1, 2, 3, 4), blocks=2, attention=(2, 4, 8), head_width=32),
  speech_width=29,
)
SIZES = {
  'paper': PAPER,
  'small': dict(
    PAPER,
    vq=dict(PAPER['vq'], width=32, entries=512),
    unet=dict(PAPER['unet'], width=32),
  ),
}
PARTS = {
  'vq': 'first_stage_model',
  'unet': 'model.diffusion_model',
  'audio': 'cond_stage_model_for_audio',
  'attention': 'cond_stage_model_for_audio_smooth',
  'landmarks': 'cond_stage_model_for_ldm',
}


def main():
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--size', choices=SIZES, default='small')
  parser.add_argument('--output', required=True)
  given = parser.parse_args()
  with torch.no_grad():
    found = goldens(SIZES[given.size], torch.float64 if given.size == 'small' else torch.float32)
  np.savez_compressed(given.output, **found)
  for name in PARTS:
    print(f'{name}: {found[f"count/{name}"]:,} parameters')


def goldens(size, dtype):
  model = networks.LatentDiffusion(size).eval()
  shapes = {key: list(value.shape) for key, value in model.state_dict().items()}
  for key, value in foreign.draw(shapes).items():
    model.state_dict()[key].copy_(torch.from_numpy(value))
  model = model.to(dtype)
  found = {'keys': np.array(json.dumps(shapes))}
  for name, part in PARTS.items():
    found[f'count/{name}'] = np.array(
      sum(p.numel() for p in model.get_submodule(part).parameters())
    )
  inputs = drawn_inputs()
  x = {name: torch.from_numpy(np.asarray(value)).to(dtype) for name, value in inputs.items()}
  maps = lambda y: y.permute(0, 3, 1, 2)
  out = {}
  vq, z = model.first_stage_model, maps(x['latent'])
  out['encoded'] = vq.encode(maps(x['picture'])).permute(0, 2, 3, 1)
  out['index'] = vq.quantize(z)[1]
  out['decoded'] = vq.decode(z).permute(0, 2, 3, 1)
  voice = model.cond_stage_model_for_audio(x['speech'].flatten(0, 1))
  out['audio'] = voice.reshape(*x['speech'].shape[:2], -1)
  out['attention'] = model.cond_stage_model_for_audio_smooth(x['voice'])
  out['landmarks'] = model.cond_stage_model_for_ldm((x['points'] + 1) * 128)  # pixels of 256
  context = model.context(x['speech'], (x['points'] + 1) * 128)
  noised = maps(torch.cat([x['z_t'], x['z_m'], x['z_r']], dim=3))
  out['noise'] = model.model.diffusion_model(noised, x['t'], context).permute(0, 2, 3, 1)
  found |= {f'in/{name}': value for name, value in inputs.items()}
  integers = lambda value: value if value.dtype == torch.int64 else value.to(torch.float32)
  found |= {f'out/{name}': integers(value).numpy() for name, value in out.items()}
  return found


def drawn_inputs():
  """Draws them from their names as weights are."""
  shapes = dict(
    picture=(1, 32, 32, 3), latent=(1, 8, 8, 3), speech=(2, 8, 16, 29), voice=(2, 8, 64),
    points=(2, 39, 2), z_t=(2, 16, 16, 3), z_m=(2, 16, 16, 3), z_r=(2, 16, 16, 3),
  )  # fmt: skip
  draw = lambda name, shape: foreign.draw({f'input/{name}/bias': shape})[f'input/{name}/bias']
  found = {}
  for name, shape in shapes.items():
    array = draw(name, (int(np.prod(shape)),)) * 10  # one axis: standard normal times 0.1
    found[name] = np.asarray(array.reshape(shape), np.float32)
  found['points'] = np.tanh(found['points'])
  return found | {'t': np.array([37, 731])}


if __name__ == '__main__':
  main()
