"""Outputs of an independent build in PyTorch, see experiments/difftalk_goldens, and these networks.

Weights are drawn from their names (`tests/importers/foreign.py`) on both sides and come here the
way a published checkpoint would, through the importer's tables.
"""

import json

import jax
import numpy as np

from ifmdm_jax.importers import difftalk
from ifmdm_jax.systems.difftalk import networks, vq
from tests.importers import foreign

PARTS = {
  'vq': difftalk.FIRST_STAGE,
  'unet': difftalk.UNET,
  'audio': 'cond_stage_model_for_audio.',
  'attention': 'cond_stage_model_for_audio_smooth.',
  'landmarks': 'cond_stage_model_for_ldm.',
}


def read(path):
  """Reads (names and shapes of the checkpoint, counts, inputs, outputs)."""
  with np.load(path) as file:
    part = lambda name: {
      key.removeprefix(f'{name}/'): file[key] for key in file if key.startswith(f'{name}/')
    }
    return json.loads(str(file['keys'])), part('count'), part('in'), part('out')


def answers(shapes, inputs):
  """Runs the networks on drawn weights: {output: float32 [...]}; `index` int32."""
  state = foreign.draw(shapes)
  model, params = difftalk.convert_first_stage(state)
  x = {name: value if value.dtype.kind == 'i' else np.float32(value) for name, value in
       inputs.items()}  # fmt: skip
  first = runner(vq.network(model), params)
  found = {
    'encoded': first('encode', x['picture']),
    'index': first('quantize', x['latent']).index,
    'decoded': first('decode', x['latent']),
  }
  model, params = difftalk.convert(state)
  assert model.landmarks.units == 'pixels'
  denoiser, alone = networks.network(model), lambda module, name: runner(module, params[name])
  audio = networks.AudioNet(denoiser.audio_channels, denoiser.audio_features)
  landmarks = networks.LandmarkNet(
    denoiser.landmark_hidden, denoiser.landmark_features, denoiser.landmark_units
  )
  found |= {
    'audio': alone(audio, 'audio')('__call__', x['speech']),
    'attention': alone(networks.AudioAttention(), 'attention')('__call__', x['voice']),
    'landmarks': alone(landmarks, 'landmarks')('__call__', x['points']),
  }
  whole = runner(denoiser, params)
  context = whole('context', x['speech'], x['points'])
  found['noise'] = whole('denoise', x['z_t'], x['t'], x['z_m'], x['z_r'], context)
  return jax.device_get(found)


def runner(module, params):
  """Makes a function of (method, inputs)."""
  run = jax.jit(
    lambda params, *args, method: module.apply({'params': params}, *args, method=method),
    static_argnames='method',
  )
  return lambda method, *args: run(params, *args, method=method)


def difference(found, golden):
  """Finds the largest difference, as a share of the golden's standard deviation."""
  return float(np.abs(np.float64(found) - golden).max() / np.float64(golden).std())
