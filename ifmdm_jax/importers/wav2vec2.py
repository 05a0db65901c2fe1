"""wav2vec2, HuBERT and WavLM as Hugging Face keeps them -> parameters of `audio.wav2vec2`."""

import jax
import jax.numpy as jnp

from ifmdm_jax.audio import wav2vec2
from ifmdm_jax.errors import InputError
from ifmdm_jax.importers import engine

CONV = r'feature_extractor\.conv_layers\.(\d)'
POSITIONS = r'encoder\.pos_conv_embed\.conv'
LAYER = r'encoder\.layers\.(\d+)'

RULES = [  # theirs                                     ours                            axes
  (CONV + r'\.conv\.weight', r'conv\1/kernel', 'OIK->KIO'),
  (CONV + r'\.conv\.bias', r'conv\1/bias', ''),
  (CONV + r'\.layer_norm\.weight', r'norm\1/scale', ''),
  (CONV + r'\.layer_norm\.bias', r'norm\1/bias', ''),
  (r'feature_projection\.layer_norm\.weight', 'norm_project/scale', ''),
  (r'feature_projection\.layer_norm\.bias', 'norm_project/bias', ''),
  (r'feature_projection\.projection\.weight', 'project/kernel', 'OI->IO'),
  (r'feature_projection\.projection\.bias', 'project/bias', ''),
  (POSITIONS + r'\.weight_g', 'positions/g', '11K->K11'),
  (POSITIONS + r'\.weight_v', 'positions/v', 'OIK->KIO'),
  (POSITIONS + r'\.parametrizations\.weight\.original0', 'positions/g', '11K->K11'),  # newer files
  (POSITIONS + r'\.parametrizations\.weight\.original1', 'positions/v', 'OIK->KIO'),
  (POSITIONS + r'\.bias', 'positions/bias', ''),
  (r'encoder\.layer_norm\.weight', 'norm/scale', ''),
  (r'encoder\.layer_norm\.bias', 'norm/bias', ''),
  (r'encoder\.layers\.0\.attention\.rel_attn_embed\.weight', 'relative/embedding', ''),
  (LAYER + r'\.attention\.q_proj\.weight', r'block_\1/attention/query/kernel', 'OI->IO'),
  (LAYER + r'\.attention\.q_proj\.bias', r'block_\1/attention/query/bias', ''),
  (LAYER + r'\.attention\.k_proj\.weight', r'block_\1/attention/key/kernel', 'OI->IO'),
  (LAYER + r'\.attention\.k_proj\.bias', r'block_\1/attention/key/bias', ''),
  (LAYER + r'\.attention\.v_proj\.weight', r'block_\1/attention/value/kernel', 'OI->IO'),
  (LAYER + r'\.attention\.v_proj\.bias', r'block_\1/attention/value/bias', ''),
  (LAYER + r'\.attention\.out_proj\.weight', r'block_\1/attention/out/kernel', 'OI->IO'),
  (LAYER + r'\.attention\.out_proj\.bias', r'block_\1/attention/out/bias', ''),
  (
    LAYER + r'\.attention\.gru_rel_pos_const',
    r'block_\1/attention/position_gate/scale',
    '1H11->H',
  ),
  (
    LAYER + r'\.attention\.gru_rel_pos_linear\.weight',
    r'block_\1/attention/position_gate/gate/kernel',
    'OI->IO',
  ),
  (
    LAYER + r'\.attention\.gru_rel_pos_linear\.bias',
    r'block_\1/attention/position_gate/gate/bias',
    '',
  ),
  (LAYER + r'\.layer_norm\.weight', r'block_\1/norm_attention/scale', ''),
  (LAYER + r'\.layer_norm\.bias', r'block_\1/norm_attention/bias', ''),
  (LAYER + r'\.feed_forward\.intermediate_dense\.weight', r'block_\1/up/kernel', 'OI->IO'),
  (LAYER + r'\.feed_forward\.intermediate_dense\.bias', r'block_\1/up/bias', ''),
  (LAYER + r'\.feed_forward\.output_dense\.weight', r'block_\1/down/kernel', 'OI->IO'),
  (LAYER + r'\.feed_forward\.output_dense\.bias', r'block_\1/down/bias', ''),
  (LAYER + r'\.final_layer_norm\.weight', r'block_\1/norm_mlp/scale', ''),
  (LAYER + r'\.final_layer_norm\.bias', r'block_\1/norm_mlp/bias', ''),
  (r'layer_weights', 'mix', ''),
]

IGNORED = [
  (r'masked_spec_embed', 'fills what pre-training hides'),
  (r'(quantizer|project_hid|project_q)\..*', 'only pre-training predicts units of speech'),
  (r'(lm_head|projector|classifier)\..*', 'a task behind the encoder'),
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
  """Names as the bare encoder has them: `wav2vec2.encoder...` of a model with a task loses it."""
  heads = 'module.', 'wav2vec2.', 'hubert.', 'wavlm.'
  for head in heads:
    state = {key.removeprefix(head): value for key, value in state.items()}
  return state


def convert(state, model=None, settings=None, kind=None, layer=None):
  """{their key: array} -> (Wav2Vec2, params).

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
  """Wav2Vec2 of a config.json and, where there is one, a preprocessor_config.json."""
  found = config.get('model_type')
  if found != kind:
    raise InputError(f'config.json says model_type {found}, expected {kind}: check --kind')
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
  """config.model of the encoder."""
  return dict(module=wav2vec2.__name__, **{name: getattr(model, name) for name in wav2vec2.FIELDS})


def build(config):
  """The inverse of `config`."""
  return wav2vec2.build(config)
