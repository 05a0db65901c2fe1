"""Every kind: round trips under published names and shapes, wrong kinds, LIA, half precision."""

import functools
import json
import pathlib

import jax
import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.errors import InputError
from ifmdm_jax.importers import (
  arcface,
  difftalk,
  engine,
  i3d,
  inception,
  kinds,
  lpips,
  syncnet,
  vgg,
)
from ifmdm_jax.importers import autoencoder as autoencoders
from ifmdm_jax.importers import wav2vec2 as speech
from tests.systems.difftalk import goldens as difftalk_goldens

FIXTURES = pathlib.Path(__file__).parent / 'fixtures'
DIFFTALK = pathlib.Path(__file__).parents[1] / 'systems' / 'difftalk' / 'fixtures' / 'goldens.npz'


@functools.cache
def speech_keys():
  """{model: (config.json, {entry: shape})} of Hugging Face's encoders."""
  found = {}
  for name, entry in json.loads((FIXTURES / 'speech_keys.json').read_text()).items():
    count, shapes = entry['config']['num_hidden_layers'], {}
    for key, shape in entry['shapes'].items():
      for i in range(count if '*' in key else 1):
        shapes[key.replace('*', str(i))] = shape
    found[name] = entry['config'], shapes
  return found


def golden_keys(name):
  return json.loads((testing.goldens() / 'keys' / f'{name}.json').read_text())['shapes']


def shapes_of(kind):
  """Names and shapes of a published file."""
  if kind in ('wav2vec2', 'hubert', 'wavlm'):
    return speech_keys()[f'{kind}_base'][1]
  return {
    'autoencoder': lambda: golden_keys('gen_S64'),
    'discriminator': lambda: golden_keys('dis_S64'),
    'motion': lambda: golden_keys('dit_A0'),
    'difftalk': lambda: difftalk_goldens.read(DIFFTALK)[0],
    'difftalk_autoencoder': lambda: difftalk.strip_first_stage(shapes_of('difftalk')),
    'vgg16': lambda: vgg.published('vgg16'),
    'vgg19': lambda: vgg.published('vgg19'),
    'lpips': lpips.published,
    'arcface': arcface.published,
    'syncnet': syncnet.published,
    'inception_fid': inception.published,
    'i3d': i3d.published,
  }[kind]()


def random_state(shapes):
  """Any bits will do: float32, and counters as whole numbers."""
  rng = np.random.default_rng(0)
  return {
    key: rng.integers(0, 99, shape)
    if key.endswith('num_batches_tracked')
    else rng.random(shape, np.float32)
    for key, shape in shapes.items()
  }


def zeros(shapes):
  """Shapes are all that matters: views of one zero."""
  return {key: np.broadcast_to(np.float32(0), shape) for key, shape in shapes.items()}


def imported(kind, state, monkeypatch, **options):
  if kinds.KINDS[kind].folder:
    config = speech_keys()[f'{kind}_base'][0]
    monkeypatch.setattr(kinds.files, 'settings', lambda _: [config, {}])
  return kinds.convert(kind, state, 'weights', **options)


def back(kind, found, **given):
  part = kinds.KINDS[kind].part
  params = {part: found.params} if part else found.params
  return kinds.export(kind, found.config, params, **given)


@pytest.mark.parametrize('kind', kinds.KINDS)
def test_import_and_export_are_bit_equal_inverses(kind, monkeypatch):
  state = random_state(shapes_of(kind))
  found = imported(kind, state, monkeypatch)
  exported = back(kind, found, names=found.names, unused=found.unused)
  assert set(exported) == set(state)
  for key, value in state.items():
    assert exported[key].dtype == value.dtype and exported[key].shape == value.shape
    assert exported[key].tobytes() == value.tobytes(), key


@pytest.mark.parametrize('kind', ['autoencoder', 'discriminator', 'motion'])
def test_weights_that_were_trained_here_have_every_name_of_the_original(kind, monkeypatch):
  shapes = shapes_of(kind)
  exported = back(kind, imported(kind, zeros(shapes), monkeypatch))
  assert {key: list(value.shape) for key, value in exported.items()} == shapes
  original = testing.recipe().make
  for key, value in exported.items():
    if key.endswith('.kernel') or key == 'pos_embed':  # buffers have their published values
      np.testing.assert_allclose(value, original('gen', key, shapes[key]), atol=1e-7)


def test_a_checkpoint_from_before_the_refine_block_goes_back_without():
  early = {key: v for key, v in zeros(golden_keys('gen_S64')).items() if 'refine' not in key}
  model, params = autoencoders.convert(early)
  exported = kinds.export('autoencoder', autoencoders.config(model), {'gen': params})
  assert set(exported) == set(early)


@pytest.mark.parametrize('model', ['wav2vec2_large', 'hubert_large', 'wavlm_large'])
def test_every_entry_of_a_large_speech_encoder_is_known(model):
  config, shapes = speech_keys()[model]
  module, params = speech.convert(zeros(shapes), settings=[config, None], kind=model.split('_')[0])
  assert (module.depth, module.width, module.layer) == (24, 1024, 24)
  names, unused = engine.sort(zeros(shapes), speech.RULES, params)
  assert list(unused) == ['masked_spec_embed'] and len(names) + 1 == len(shapes)


def test_a_model_with_a_task_behind_the_encoder_gives_its_encoder(monkeypatch):
  shapes = {f'wav2vec2.{key}': shape for key, shape in shapes_of('wav2vec2').items()}
  shapes |= {'lm_head.weight': (32, 768), 'lm_head.bias': (32,), 'layer_weights': (13,)}
  found = imported('wav2vec2', zeros(shapes), monkeypatch)
  assert found.config['layer'] == 'mix' and found.params['mix'].shape == (13,)
  assert {'lm_head.weight', 'masked_spec_embed'} <= set(found.unused)
  assert imported('wav2vec2', zeros(shapes), monkeypatch, layer=9).config['layer'] == 9


def test_a_speech_encoder_of_another_kind_is_named(monkeypatch):
  config, shapes = speech_keys()['hubert_base']
  with pytest.raises(InputError, match='model_type hubert, expected wavlm'):
    speech.convert(zeros(shapes), settings=[config, None], kind='wavlm')
  with pytest.raises(InputError, match='hidden_act relu, only gelu'):
    speech.convert({}, settings=[{**config, 'hidden_act': 'relu'}, None], kind='hubert')


@pytest.mark.parametrize('real, said', [('discriminator', 'motion'), ('arcface', 'i3d')])
def test_a_wrong_kind_names_the_right_one(real, said, monkeypatch):
  with pytest.raises(InputError, match=f'but of {real}: pass --kind {real}'):
    imported(said, zeros(shapes_of(real)), monkeypatch)


def test_a_damaged_checkpoint_lists_what_does_not_fit(monkeypatch):
  state = zeros(shapes_of('motion'))
  del state['blocks.3.attn.qkv.bias']
  state['surprise'] = np.zeros(3)
  state['x_embedder.mlp.2.bias'] = np.zeros(7)
  with pytest.raises(InputError, match='1 missing, 1 extra, 1 misshapen') as error:
    imported('motion', state, monkeypatch)
  for part in ('block_3/attention/qkv/bias', 'surprise 3', 'x_embedder.mlp.2.bias 7'):
    assert part in str(error.value)


def test_half_precision_becomes_float32_and_is_reported(monkeypatch):
  state = {k: v.astype(np.float16) for k, v in random_state(shapes_of('motion')).items()}
  found = imported('motion', state, monkeypatch)
  assert found.halves == len(state)
  assert {leaf.dtype for leaf in jax.tree.leaves(found.params)} == {np.dtype(np.float32)}
  np.testing.assert_array_equal(
    found.params['final']['linear']['bias'], state['final_layer.linear.bias'].astype(np.float32)
  )


def test_averaged_weights_are_taken_where_there_are_any(monkeypatch):
  state = zeros(shapes_of('motion'))
  ema = {key: value + 1 for key, value in state.items()}
  found = imported('motion', {'model': state, 'ema': ema, 'opt': {}}, monkeypatch)
  assert found.params['final']['linear']['bias'][0] == 1
  found = imported('motion', {'model': state}, monkeypatch)
  assert found.params['final']['linear']['bias'][0] == 0


def test_a_transformer_of_unknown_shape_asks_for_its_heads(monkeypatch):
  state = zeros(shapes_of('motion'))
  short = {key: v for key, v in state.items() if not key.startswith('blocks.5.')}
  with pytest.raises(InputError, match='pass --heads'):
    imported('motion', short, monkeypatch)
  assert imported('motion', short, monkeypatch, heads=8).config['depth'] == 5


@pytest.mark.parametrize('wrapped', [False, True])
def test_lia_loads(wrapped, monkeypatch):
  shapes = {
    key: shape
    for key, shape in golden_keys('gen_S256').items()
    if 'refine_block' not in key and 'conv_gen' not in key
  }
  state = zeros(shapes)
  if wrapped:
    state = {'gen': {f'module.{key}': value for key, value in state.items()}, 'dis': {}}
  found = imported('autoencoder', state, monkeypatch)
  config = found.config
  assert (config['size'], config['motion_dim'], config['refine'], config['lia']) == (
    256, 20, False, True,
  )  # fmt: skip
  assert found.params['motion_head']['fc_4']['bias'].shape == (20,)  # LIA adds it
  exported = back('autoencoder', found)
  assert {key: list(value.shape) for key, value in exported.items()} == shapes
