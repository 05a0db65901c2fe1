"""wav2vec2, HuBERT and WavLM as Hugging Face keeps them -> parameters of `audio.wav2vec2`."""

import jax
import jax.numpy as jnp

from ifmdm_jax.audio import wav2vec2
from ifmdm_jax.errors import InputError
from ifmdm_jax.importers import engine

CONV = 'feature_extractor.conv_layers.{i}'
POSITIONS = 'encoder.pos_conv_embed.conv'
LAYER = 'encoder.layers.{i}'

RULES = [  # original                                   path                            axes
  (CONV + '.conv.weight', 'conv{i}/kernel', 'OIK->KIO'),
  (CONV + '.conv.bias', 'conv{i}/bias', ''),
  (CONV + '.layer_norm.weight', 'norm{i}/scale', ''),
  (CONV + '.layer_norm.bias', 'norm{i}/bias', ''),
  ('feature_projection.layer_norm.weight', 'norm_project/scale', ''),
  ('feature_projection.layer_norm.bias', 'norm_project/bias', ''),
  ('feature_projection.projection.weight', 'project/kernel', 'OI->IO'),
  ('feature_projection.projection.bias', 'project/bias', ''),
  (POSITIONS + '.weight_g', 'positions/g', '11K->K11'),
  (POSITIONS + '.weight_v', 'positions/v', 'OIK->KIO'),
  (POSITIONS + '.parametrizations.weight.original0', 'positions/g', '11K->K11'),  # newer files
  (POSITIONS + '.parametrizations.weight.original1', 'positions/v', 'OIK->KIO'),
  (POSITIONS + '.bias', 'positions/bias', ''),
  ('encoder.layer_norm.weight', 'norm/scale', ''),
  ('encoder.layer_norm.bias', 'norm/bias', ''),
  ('encoder.layers.0.attention.rel_attn_embed.weight', 'relative/embedding', ''),
  (LAYER + '.attention.q_proj.weight', 'block_{i}/attention/query/kernel', 'OI->IO'),
  (LAYER + '.attention.q_proj.bias', 'block_{i}/attention/query/bias', ''),
  (LAYER + '.attention.k_proj.weight', 'block_{i}/attention/key/kernel', 'OI->IO'),
  (LAYER + '.attention.k_proj.bias', 'block_{i}/attention/key/bias', ''),
  (LAYER + '.attention.v_proj.weight', 'block_{i}/attention/value/kernel', 'OI->IO'),
  (LAYER + '.attention.v_proj.bias', 'block_{i}/attention/value/bias', ''),
  (LAYER + '.attention.out_proj.weight', 'block_{i}/attention/out/kernel', 'OI->IO'),
  (LAYER + '.attention.out_proj.bias', 'block_{i}/attention/out/bias', ''),
  (
    LAYER + '.attention.gru_rel_pos_const',
    'block_{i}/attention/position_gate/scale',
    '1H11->H',
  ),
  (
    LAYER + '.attention.gru_rel_pos_linear.weight',
    'block_{i}/attention/position_gate/gate/kernel',
    'OI->IO',
  ),
  (
    LAYER + '.attention.gru_rel_pos_linear.bias',
    'block_{i}/attention/position_gate/gate/bias',
    '',
  ),
  (LAYER + '.layer_norm.weight', 'block_{i}/norm_attention/scale', ''),
  (LAYER + '.layer_norm.bias', 'block_{i}/norm_attention/bias', ''),
  (LAYER + '.feed_forward.intermediate_dense.weight', 'block_{i}/up/kernel', 'OI->IO'),
  (LAYER + '.feed_forward.intermediate_dense.bias', 'block_{i}/up/bias', ''),
  (LAYER + '.feed_forward.output_dense.weight', 'block_{i}/down/kernel', 'OI->IO'),
  (LAYER + '.feed_forward.output_dense.bias', 'block_{i}/down/bias', ''),
  (LAYER + '.final_layer_norm.weight', 'block_{i}/norm_mlp/scale', ''),
  (LAYER + '.final_layer_norm.bias', 'block_{i}/norm_mlp/bias', ''),
  ('layer_weights', 'mix', ''),
]

IGNORED = [
  ('masked_spec_embed', 'fills what pre-training hides'),
  ('{part:quantizer|project_hid|project_q}.*', 'only pre-training predicts units of speech'),
  ('{part:lm_head|projector|classifier}.*', 'a task behind the encoder'),
]

FIXED = dict(  # what every published model has, and the network therefore does not vary
  conv_kernel=list(wav2vec2.KERNELS),
  conv_stride=list(wav2vec2.STRIDES),
  feat_extract_activation='gelu',
  hidden_act='gelu',
  layer_norm_eps=1e-5,
  conv_pos_batch_norm=False,
)


def strip(state):
  """Strips names to the bare encoder: `wav2vec2.encoder...` of a model with a task loses it."""
  heads = 'module.', 'wav2vec2.', 'hubert.', 'wavlm.'
  for head in heads:
    state = {key.removeprefix(head): value for key, value in state.items()}
  return state


def convert(state, model=None, settings=None, kind=None, layer=None):
  """Converts {their key: array} -> (Wav2Vec2, params).

  Args:
    state: of a bare encoder, or of a model with a task behind it.
    model: the module to fill, else `settings`, [config.json, preprocessor_config.json] as dicts.
    kind: what config.json should say of itself: wav2vec2, hubert or wavlm.
    layer: what the encoder gives out, 0 to its depth or 'mix'; all layers are kept. The last, or
      the mix if the file has learned one.

  Raises:
    errors.InputError: entries that do not fit, all in one line; or a variant that is not known.
  """
  state = strip(state)
  if model is None:
    model = model_of(*settings, kind=kind)
    if layer is None and 'layer_weights' in state:
      layer = wav2vec2.MIX
    model = model.clone(layer=model.depth if layer is None else layer)
  whole = model.clone(layer=wav2vec2.MIX if 'layer_weights' in state else model.depth)
  sound = jax.ShapeDtypeStruct((1, 50 * wav2vec2.HOP), jnp.float32)
  target = jax.eval_shape(whole.init, jax.random.key(0), sound)['params']
  return model, engine.convert(state, RULES, IGNORED, target)


def model_of(config, preprocessor=None, kind=None):
  """Builds the Wav2Vec2 of a config.json and, where there is one, a preprocessor_config.json."""
  said = config.get('model_type')
  if said != kind:
    raise InputError(f'config.json says model_type {said}, expected {kind}: check --kind')
  for name, expected in FIXED.items():
    if config.get(name, expected) != expected:
      raise InputError(f'config.json says {name} {config[name]}, only {expected} is known')
  group = config.get('feat_extract_norm', 'group') == 'group'
  # WavLM-base was trained on sound as it is; all others on standardised sound.
  standardised = (preprocessor or {}).get('do_normalize', not (kind == 'wavlm' and group))
  return wav2vec2.Wav2Vec2(
    depth=config.get('num_hidden_layers', 12),
    width=config.get('hidden_size', 768),
    heads=config.get('num_attention_heads', 12),
    mlp_width=config.get('intermediate_size', 3072),
    channels=tuple(config.get('conv_dim', (512,) * 7)),
    conv_bias=config.get('conv_bias', False),
    conv_norm='group' if group else 'layer',
    pre_norm=config.get('do_stable_layer_norm', False),
    project_norm=config.get('feat_proj_layer_norm', True),
    taps=config.get('num_conv_pos_embeddings', 128),
    groups=config.get('num_conv_pos_embedding_groups', 16),
    buckets=config.get('num_buckets', 320) if kind == 'wavlm' else 0,
    max_distance=config.get('max_bucket_distance', 800),
    standardised=bool(standardised),
  )


def config(model):
  """Returns config.model of the encoder."""
  return dict(module=wav2vec2.__name__, **{name: getattr(model, name) for name in wav2vec2.FIELDS})


def build(config):
  """Inverts `config`."""
  return wav2vec2.build(config)
