"""Weights of the original motion transformer -> `ifmdm_jax.motion.dit.MotionDiT`."""

RULES = [  # theirs                                 ours                              axes
  (r'(\w+_embedder)\.mlp\.0\.weight', r'tokens/\1/hidden/kernel', 'OI->IO'),
  (r'(\w+_embedder)\.mlp\.0\.bias', r'tokens/\1/hidden/bias', ''),
  (r'(\w+_embedder)\.mlp\.2\.weight', r'tokens/\1/out/kernel', 'OI->IO'),
  (r'(\w+_embedder)\.mlp\.2\.bias', r'tokens/\1/out/bias', ''),
  (r'blocks\.(\d+)\.attn\.qkv\.weight', r'block_\1/attention/qkv/kernel', 'OI->IO'),
  (r'blocks\.(\d+)\.attn\.qkv\.bias', r'block_\1/attention/qkv/bias', ''),
  (r'blocks\.(\d+)\.attn\.proj\.weight', r'block_\1/attention/out/kernel', 'OI->IO'),
  (r'blocks\.(\d+)\.attn\.proj\.bias', r'block_\1/attention/out/bias', ''),
  (r'blocks\.(\d+)\.mlp\.fc1\.weight', r'block_\1/mlp/up/kernel', 'OI->IO'),
  (r'blocks\.(\d+)\.mlp\.fc1\.bias', r'block_\1/mlp/up/bias', ''),
  (r'blocks\.(\d+)\.mlp\.fc2\.weight', r'block_\1/mlp/down/kernel', 'OI->IO'),
  (r'blocks\.(\d+)\.mlp\.fc2\.bias', r'block_\1/mlp/down/bias', ''),
  (r'blocks\.(\d+)\.adaLN_modulation\.1\.weight', r'block_\1/modulation/kernel', 'OI->IO'),
  (r'blocks\.(\d+)\.adaLN_modulation\.1\.bias', r'block_\1/modulation/bias', ''),
  (r'final_layer\.linear\.weight', r'final/linear/kernel', 'OI->IO'),
  (r'final_layer\.linear\.bias', r'final/linear/bias', ''),
  (r'final_layer\.adaLN_modulation\.1\.weight', r'final/modulation/kernel', 'OI->IO'),
  (r'final_layer\.adaLN_modulation\.1\.bias', r'final/modulation/bias', ''),
]
IGNORED = [
  (r'pos_embed', 'a fixed sine and cosine table; ours is computed'),
]
