"""Weights of the original motion transformer -> `ifmdm_jax.systems.ifmdm.motion.dit.MotionDiT`."""

import jax
import ml_collections

from ifmdm_jax.errors import InputError
from ifmdm_jax.importers import engine
from ifmdm_jax.nn import embed
from ifmdm_jax.systems.ifmdm.motion import model as motion
from ifmdm_jax.systems.ifmdm.motion.dit import EXTRA_TOKENS

RULES = [  # original                               path                              axes
  ('{name}_embedder.mlp.0.weight', 'tokens/{name}_embedder/hidden/kernel', 'OI->IO'),
  ('{name}_embedder.mlp.0.bias', 'tokens/{name}_embedder/hidden/bias', ''),
  ('{name}_embedder.mlp.2.weight', 'tokens/{name}_embedder/out/kernel', 'OI->IO'),
  ('{name}_embedder.mlp.2.bias', 'tokens/{name}_embedder/out/bias', ''),
  ('blocks.{i}.attn.qkv.weight', 'block_{i}/attention/qkv/kernel', 'OI->IO'),
  ('blocks.{i}.attn.qkv.bias', 'block_{i}/attention/qkv/bias', ''),
  ('blocks.{i}.attn.proj.weight', 'block_{i}/attention/out/kernel', 'OI->IO'),
  ('blocks.{i}.attn.proj.bias', 'block_{i}/attention/out/bias', ''),
  ('blocks.{i}.mlp.fc1.weight', 'block_{i}/mlp/up/kernel', 'OI->IO'),
  ('blocks.{i}.mlp.fc1.bias', 'block_{i}/mlp/up/bias', ''),
  ('blocks.{i}.mlp.fc2.weight', 'block_{i}/mlp/down/kernel', 'OI->IO'),
  ('blocks.{i}.mlp.fc2.bias', 'block_{i}/mlp/down/bias', ''),
  ('blocks.{i}.adaLN_modulation.1.weight', 'block_{i}/modulation/kernel', 'OI->IO'),
  ('blocks.{i}.adaLN_modulation.1.bias', 'block_{i}/modulation/bias', ''),
  ('final_layer.linear.weight', 'final/linear/kernel', 'OI->IO'),
  ('final_layer.linear.bias', 'final/linear/bias', ''),
  ('final_layer.adaLN_modulation.1.weight', 'final/modulation/kernel', 'OI->IO'),
  ('final_layer.adaLN_modulation.1.bias', 'final/modulation/bias', ''),
]
IGNORED = [
  ('pos_embed', 'a fixed sine and cosine table; ours is computed'),
]

# Shapes do not tell how many heads share a width: (depth, width) -> heads.
HEADS = {  # DiT-A0, A1, A2 = L, S, B, XL
  (6, 512): 8,
  (12, 512): 16,
  (24, 1024): 16,
  (12, 384): 6,
  (12, 768): 12,
  (28, 1152): 16,
}
# What a checkpoint does not hold: how it was trained, and that codes and features came as they are.
AS_PUBLISHED = dict(
  module=motion.__name__,
  timesteps=1000,
  prediction='eps',
  clean_drop=False,
  clean_guidance=False,
  drop_audio=0.3,
  drop_hint=0.3,
  drop_stats=0.3,
  velocity_weight=0.0,
  dim_weights=(),
  normalizer='',
  relative=0,
  unconditioned_dims=(0, 0),
)


def unused(model):
  """Returns {their key: array} of everything that IGNORED names."""
  return {'pos_embed': embed.positions(model.frames + EXTRA_TOKENS, model.width)[None]}


def convert(state, model=None, heads=None):
  """Converts {their key: array} -> (config.model, params).

  Args:
    state: the `ema` entry of a checkpoint.
    model: config.model of the network to fill; by default one of the checkpoint's own sizes.
    heads: of the attention, where depth and width are not those of a published variant.

  Raises:
    errors.InputError: entries that are missing, left over or of another shape, all in one line.
  """
  state = {engine.strip_wrapper(key): value for key, value in state.items()}
  model = model or model_of(state, heads)
  target = jax.eval_shape(lambda key: motion.init(key, model), jax.random.key(0))
  return model, engine.convert(state, RULES, IGNORED, target)


def model_of(state, heads=None):
  """Reads config.model off the shapes of a checkpoint."""
  motion_in, audio_in = 'x_embedder.mlp.0.weight', 'y_embedder.mlp.0.weight'
  needed = motion_in, audio_in, 'final_layer.linear.bias', 'pos_embed'
  lost = [name for name in needed if name not in state]
  if lost:
    raise InputError(f'weights have no {", ".join(lost)}: pass `ema` or `model` of a checkpoint')
  width, motion_dim = state[motion_in].shape
  depth = sum(key.startswith('blocks.') and key.endswith('.attn.proj.bias') for key in state)
  heads = heads or HEADS.get((depth, width))
  if not heads or width % heads:
    raise InputError(
      f'{depth} blocks of width {width} are no published variant, got heads {heads}: '
      'pass --heads, how many the attention has'
    )
  return ml_collections.ConfigDict(
    dict(
      AS_PUBLISHED,
      width=width,
      depth=depth,
      heads=heads,
      motion_dim=motion_dim,
      audio_width=state[audio_in].shape[1],
      frames=state['pos_embed'].shape[1] - EXTRA_TOKENS,
      learn_sigma=state['final_layer.linear.bias'].shape[0] == 2 * motion_dim,
      audio='wav2vec2',  # as the width of its features suggests; to be imported as well
    )
  )


def config(model):
  return model.to_dict()


def build(config):
  """Inverts `config`."""
  return ml_collections.ConfigDict(config)
