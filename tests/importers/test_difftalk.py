"""DiffTalk's tables: sizes from shapes, the average of the U-Net, both stages, what is amiss."""

import os
import pathlib
import pickle

import flax.traverse_util
import jax
import ml_collections
import numpy as np
import pytest
from safetensors import numpy as safetensors

import ifmdm_jax as ifm
from ifmdm_jax import import_weights
from ifmdm_jax.errors import InputError
from ifmdm_jax.importers import difftalk, engine, kinds, latent
from ifmdm_jax.systems.difftalk import model, networks, vq
from ifmdm_jax.systems.difftalk.sizes import SIZES
from ifmdm_jax.training import checkpoints
from tests.systems.difftalk import goldens

FIXTURE = pathlib.Path(__file__).parents[1] / 'systems' / 'difftalk' / 'fixtures' / 'goldens.npz'
SHAPES = goldens.read(FIXTURE)[0]  # of all parts, 32 channels wide, under the published names
OUT = 'model.diffusion_model.out.2.weight'


def zeros(shapes=SHAPES):
  """Shapes are all that matters: views of one zero."""
  return {key: np.broadcast_to(np.float32(0), shape) for key, shape in shapes.items()}


def averaged(state, value):
  """Adds what latent diffusion keeps of the average: names without dots, and two counters."""
  key = lambda name: 'model_ema.' + name.removeprefix('model.').replace('.', '')
  inside = [name for name in state if name.startswith(difftalk.UNET)]
  average = {key(name): np.full(SHAPES[name], value, np.float32) for name in inside}
  return {**state, **average, 'model_ema.decay': np.ones(()), 'model_ema.num_updates': np.ones(())}


def paths(tree):
  return set(flax.traverse_util.flatten_dict(tree, sep='/'))


def test_every_entry_of_a_published_checkpoint_has_its_place():
  """A layout has the same names at any width; nothing as large as the published one is made."""
  model = ml_collections.ConfigDict(SIZES['paper'])
  key = jax.random.key(0)
  first = jax.eval_shape(lambda key: vq.init(key, model), key)
  rest = jax.eval_shape(lambda key: networks.init(key, model), key)
  place = lambda name, rules: engine.translate(name, rules)[0]
  inside = [name for name in SHAPES if name.startswith(difftalk.FIRST_STAGE)]
  bare = difftalk.strip_first_stage(dict.fromkeys(inside))
  assert {place(name, latent.FIRST_STAGE) for name in bare} == paths(first)
  others = set(SHAPES) - set(inside)
  assert {place(name, difftalk.rules(model)) for name in others} == paths(rest)


def test_sizes_are_read_off_the_shapes():
  model = difftalk.model_of(zeros())
  paper = SIZES['paper']
  assert model.unet.to_dict() == {**paper['unet'], 'width': 32}
  assert model.vq.to_dict() == {**paper['vq'], 'width': 32, 'entries': 512}
  assert (model.image, model.latent, model.speech_width) == (256, 64, 29)
  assert (model.context, model.landmarks.units) == ('single', 'pixels')


def test_a_first_stage_comes_bare_as_well_and_leaves_its_losses_behind():
  inside = difftalk.strip_first_stage(zeros())
  inside['loss.discriminator.main.0.weight'] = np.zeros((64, 3, 4, 4), np.float32)
  model, params = difftalk.convert_first_stage(inside)
  assert model.vq.width == 32 and model.image == 256
  whole = difftalk.convert_first_stage(zeros())[1]
  assert paths(params) == paths(whole)


def test_the_average_of_the_unet_is_taken_and_an_incomplete_one_refused():
  state = averaged(zeros(), 1.0)
  state['alphas_cumprod'] = state['betas'] = np.zeros(1000, np.float32)
  _, params = difftalk.convert(state)
  assert (params['unet']['up']['conv_out']['kernel'] == 1).all()
  assert not params['audio']['out']['kernel'].any()
  del state['model_ema.diffusion_modelout2weight']
  with pytest.raises(InputError, match='1 averages are missing, model_ema.diffusion_modelout2'):
    difftalk.convert(state)


def test_what_does_not_fit_is_listed_and_the_right_kind_named():
  state = zeros()
  del state['cond_stage_model_for_audio_smooth.attentionConvNet.4.bias']
  state['cond_stage_model.transformer.weight'] = np.zeros(3)
  state[OUT] = np.zeros((3, 64, 3, 3))
  with pytest.raises(InputError, match='1 missing, 1 extra, 1 misshapen') as error:
    difftalk.convert(state)
  assert 'attention/conv_2/bias' in str(error.value) and OUT in str(error.value)
  bare = difftalk.strip_first_stage(zeros())
  with pytest.raises(InputError, match='pass --kind difftalk_autoencoder'):
    kinds.convert('difftalk', bare, 'vq-f4.ckpt')
  with pytest.raises(InputError, match='weights have no encoder.conv_in.weight'):
    difftalk.convert_first_stage({OUT: state[OUT]})


@pytest.mark.parametrize(
  'name',
  [
    OUT,
    'model.diffusion_model.input_blocks.0.0.weight',
    'model.diffusion_model.input_blocks.4.0.out_layers.3.weight',
    'cond_stage_model_for_audio.encoder_conv.4.weight',
    'first_stage_model.quantize.embedding.weight',
    'first_stage_model.encoder.down.1.block.0.conv2.weight',
  ],
)
@pytest.mark.parametrize('shape', [(), (0, 3, 3, 3), (20, 20, 3, 3), (1,)])
def test_shapes_out_of_place_are_one_line(name, shape):
  state = {**zeros(), name: np.zeros(shape, np.float32)}
  convert = difftalk.convert_first_stage if 'first' in name else difftalk.convert
  with pytest.raises(InputError):
    convert(state)


def test_the_command_makes_checkpoints_of_both_stages(tmp_path):
  file = tmp_path / 'talk.safetensors'
  file.write_bytes(safetensors.save({key: np.array(value) for key, value in zeros().items()}))
  import_weights.take('difftalk_autoencoder', [str(file)], tmp_path / 'vq')
  import_weights.take('difftalk', [str(file)], tmp_path / 'talk', dict(autoencoder=tmp_path / 'vq'))
  config, params = checkpoints.load(tmp_path / 'vq')
  assert set(params) == {'gen'} and config.model.vq.width == 32
  config, params = checkpoints.load(tmp_path / 'talk')
  assert set(params) == {'audio', 'attention', 'landmarks', 'unet'}
  assert config.model.autoencoder == str(tmp_path / 'vq')
  assert paths(model.load_autoencoder(config.model)) == paths(
    checkpoints.load(tmp_path / 'vq')[1]['gen']
  )
  with pytest.raises(InputError, match="audio encoder 'deepspeech'"):  # nothing here makes it
    ifm.load(tmp_path / 'talk')


def test_a_checkpoint_that_would_run_something_is_refused(tmp_path):
  class Evil:
    def __reduce__(self):
      return os.system, (f'touch {tmp_path / "trace"}',)

  (tmp_path / 'model.ckpt').write_bytes(pickle.dumps({'state_dict': {'betas': Evil()}}))
  for kind in ('difftalk', 'difftalk_autoencoder'):
    with pytest.raises(InputError, match='no part of weights'):
      import_weights.take(kind, [str(tmp_path / 'model.ckpt')], tmp_path / 'out')
  assert [path.name for path in tmp_path.iterdir()] == ['model.ckpt']
