"""The sampler as one file of compiled functions, for a server that has none of this package.

  python -m ifmdm_jax.export --output talking.zip
  python -m ifmdm_jax.export --checkpoint runs/motion --plan whole --output talking.zip

The file is a zip of StableHLO programs (`jax.export`) for CPU, CUDA and TPU, the weights, and
meta.json, which says what the numbers mean. A server needs JAX, NumPy and safetensors;
experiments/speed/serve.py is one in forty lines. The functions, in the order of use:

  portrait(weights, image uint8 [R, R, 3])  -> code [1, M], and a list of arrays: the portrait
  move(weights, sound, frames, done, before, index, seed, mean, std)
                                            -> codes [1, new, M], and `before` of the next window
  draw(weights, portrait, codes [new, M])   -> uint8 [new, R, R, 3]

`sound` is float32 [L] at 16 kHz: the last `past` frames before the window, or fewer at the start,
then the window's own, then zeros; `frames` of it are sound, `done` were shown before. `before`
[1, 1 + known, M] begins as the portrait's code; `index` [1] counts windows; `mean` [1, 1, M] is the
portrait's code, `std` [1, 1, M] is meta's window_std. `index` and `seed` are uint32, `frames` and
`done` int32, all others float32.
"""

import json
import os
import pathlib
import zipfile

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from jax import export as jax_export

from ifmdm_jax import errors
from ifmdm_jax.errors import InputError

_CHECKPOINT = flags.DEFINE_string(
  'checkpoint', None, 'Release or run of stage 2; default: the bundled weights.', **errors.SHARED
)
_OUTPUT = flags.DEFINE_string('output', None, 'File to write, *.zip.', **errors.SHARED)
_PLAN = flags.DEFINE_enum(
  'plan', 'live', ['live', 'whole'], 'Windows: for a microphone, or for files.', **errors.SHARED
)

PLATFORMS = ('cpu', 'cuda', 'tpu')
RATE = 16_000


def functions(sampler, plan):
  """{name: (function of (weights, ...), example arguments without weights)} and the weights."""
  from ifmdm_jax.systems.ifmdm import sampler as sampling

  stage_1, stage_2, units = sampler.stages
  speech, speech_params = _speech(stage_2.config, plan)
  trees = {'stage_1': stage_1.params, 'stage_2': stage_2.params, 'speech': speech_params}
  weights = {
    name: np.asarray(leaf) for name, leaf in flax.traverse_util.flatten_dict(trees, sep='/').items()
  }
  unpack = lambda weights: flax.traverse_util.unflatten_dict(weights, sep='/')
  image = jax.ShapeDtypeStruct((sampler.size, sampler.size, 3), jnp.uint8)

  def portrait(weights, image):
    made = stage_1.module.portrait(unpack(weights)['stage_1'], image, stage_1.config)
    return made.code, jax.tree.leaves(made)

  made = jax.eval_shape(
    lambda params, image: stage_1.module.portrait(params, image, stage_1.config),
    stage_1.params,
    image,
  )
  structure = jax.tree.structure(made)

  def draw(weights, portrait, codes):
    portrait = jax.tree.unflatten(structure, portrait)
    params = unpack(weights)['stage_1']
    return sampling.draw_block(stage_1.module, stage_1.config, 1, params, portrait, codes)

  def move(weights, sound, frames, done, before, index, seed, mean, std):
    params = unpack(weights)
    features = speech(params['speech'], sound, frames)
    known = jnp.minimum(plan.known, done)
    first = jnp.minimum(plan.past, done)  # of what is new, in frames of the sound
    place = jnp.arange(2 * plan.length, dtype=jnp.int32) + 2 * (first - plan.known)
    y = features[jnp.clip(place, 2 * (first - known), 2 * frames - 1)]
    mask = jnp.arange(plan.length, dtype=jnp.int32) >= plan.known - known
    return sampling.dream(
      stage_2.config, units, params['stage_2'], y[None], mask[None].astype(y.dtype), before, index,
      sampling.Controls(seed, mean, std), new=plan.new, **sampler.checked(),
    )  # fmt: skip

  size = stage_2.config.motion_dim
  shape = lambda *dims, dtype=jnp.float32: jax.ShapeDtypeStruct(dims, dtype)
  number, count = shape(dtype=jnp.int32), shape(1, dtype=jnp.uint32)
  sound, one = shape(_heard(plan) * RATE // 25), shape(1, 1, size)
  before = shape(1, 1 + plan.known, size)
  codes = shape(plan.new, size)
  return weights, {
    'portrait': (portrait, [image]),
    'move': (move, [sound, number, number, before, count, count, one, one]),
    'draw': (draw, [jax.tree.leaves(made), codes]),
  }


def _heard(plan):
  return plan.past + plan.new + plan.future


def _speech(config, plan):
  """Whisper's features of a window's sound as one traced function, and its parameters."""
  from ifmdm_jax.audio import logmel, whisper, windows

  if config.audio != 'whisper_tiny':
    raise InputError(
      'expected motion that listens through whisper_tiny, got '
      f' {config.audio}: no other is exported'
    )
  network, params = whisper.load(layers=(2,))
  mel = logmel.Mel()
  bucket = next(size for size in windows.BUCKETS if 2 * _heard(plan) < size)

  def speech(params, sound, frames):  # as `audio.features.Whisper`, on one fixed length
    half = mel.n_fft // 2
    padded = jnp.concatenate([sound[half:0:-1], sound, jnp.zeros(half, sound.dtype)])
    power = mel.power(padded)[: len(sound) // mel.hop]
    log10 = jnp.log10(jnp.maximum(power, 1e-10))
    heard = jnp.arange(len(log10), dtype=jnp.int32)[:, None] < 4 * frames
    peak = jnp.max(jnp.where(heard, log10, -10.0))
    scaled = logmel.whisper_scale(log10, peak)
    fill = jnp.maximum(-1.5, (peak + 4.0) / 4.0 - 2.0)
    scaled = jnp.where(heard, scaled, fill)
    missing = 2 * bucket - len(scaled)
    scaled = jnp.concatenate([scaled, jnp.broadcast_to(fill, (missing, mel.n_mels))])
    features = network.apply({'params': params}, scaled[None], 2 * frames[None])
    return features[0, : 2 * _heard(plan)]

  return speech, params


def write(path, sampler, plan, platforms=PLATFORMS):
  """Exports a `Sampler`; returns the size of the file in bytes."""
  from safetensors.numpy import save

  weights, parts = functions(sampler, plan)
  shapes = {name: jax.ShapeDtypeStruct(x.shape, x.dtype) for name, x in weights.items()}
  path = pathlib.Path(path)
  temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
  path.absolute().parent.mkdir(parents=True, exist_ok=True)
  stage_2, units = sampler.stages[1:]
  meta = dict(
    size=sampler.size,
    fps=25,
    sample_rate=RATE,
    motion_dim=stage_2.config.motion_dim,
    new=plan.new,
    future=plan.future,
    known=plan.known,
    past=plan.past,
    window_std=np.asarray(units.statistics['window_std']).tolist(),
    platforms=list(platforms),
  )
  try:
    with zipfile.ZipFile(temporary, 'w', zipfile.ZIP_DEFLATED) as file:
      for name, (function, arguments) in parts.items():
        exported = jax_export.export(jax.jit(function), platforms=platforms)(shapes, *arguments)
        file.writestr(f'{name}.stablehlo', exported.serialize())
      file.writestr('weights.safetensors', save(weights))
      file.writestr('meta.json', json.dumps(meta, indent=1))
    os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)
  return path.stat().st_size


def main(_):
  import ifmdm_jax as ifm

  if not _OUTPUT.value:
    raise InputError('expected --output, the file to write: --help shows an example')
  sampler = ifm.load(_CHECKPOINT.value)
  size = write(_OUTPUT.value, sampler, getattr(sampler, _PLAN.value))
  print(f'{_OUTPUT.value}: {size / 1e6:.1f} MB, {_PLAN.value} windows, for {", ".join(PLATFORMS)}')


if __name__ == '__main__':
  errors.run(main)
