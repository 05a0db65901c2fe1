"""Names of latent diffusion's networks: first stage with a codebook, U-Net of spatial transformers.

Rows for `engine`; a table puts them together with what is its own.
"""


def layer(theirs, ours, axes='OIHW->HWIO'):
  """Rows of weight and bias of a convolution (the default), or of another layer by its axes."""
  return [
    (f'{theirs}.weight', f'{ours}/kernel', axes),
    (f'{theirs}.bias', f'{ours}/bias', ''),
  ]


def linear(theirs, ours):
  """Rows of a linear layer."""
  return layer(theirs, ours, 'OI->IO')


def pixelwise(theirs, ours):
  """Rows of a 1x1 convolution that is a linear layer here."""
  return layer(theirs, ours, 'OI11->IO')


def norm(theirs, ours):
  """Rows of a norm with scale and bias."""
  return [(f'{theirs}.weight', f'{ours}/scale', ''), (f'{theirs}.bias', f'{ours}/bias', '')]


# -- first stage


def _block(theirs, ours):
  return [
    *norm(f'{theirs}.norm1', f'{ours}/norm_0'),
    *layer(f'{theirs}.conv1', f'{ours}/conv_0'),
    *norm(f'{theirs}.norm2', f'{ours}/norm_1'),
    *layer(f'{theirs}.conv2', f'{ours}/conv_1'),
    *layer(f'{theirs}.nin_shortcut', f'{ours}/skip'),
  ]


BOTH = '{side:encoder|decoder}'
FIRST_STAGE = [  # original                path                            axes
  *layer(f'{BOTH}.conv_in', '{side}/conv_in'),
  *layer(f'{BOTH}.conv_out', '{side}/conv_out'),
  *norm(f'{BOTH}.norm_out', '{side}/norm_out'),
  *_block(f'{BOTH}.mid.block_1', '{side}/middle/block_0'),
  *_block(f'{BOTH}.mid.block_2', '{side}/middle/block_1'),
  *norm(f'{BOTH}.mid.attn_1.norm', '{side}/middle/attention/norm'),
  *pixelwise(f'{BOTH}.mid.attn_1.q', '{side}/middle/attention/query'),
  *pixelwise(f'{BOTH}.mid.attn_1.k', '{side}/middle/attention/key'),
  *pixelwise(f'{BOTH}.mid.attn_1.v', '{side}/middle/attention/value'),
  *pixelwise(f'{BOTH}.mid.attn_1.proj_out', '{side}/middle/attention/out'),
  *_block('encoder.down.{i}.block.{j}', 'encoder/block_{i}_{j}'),
  *layer('encoder.down.{i}.downsample.conv', 'encoder/halve_{i}'),
  *_block('decoder.up.{i}.block.{j}', 'decoder/block_{i}_{j}'),
  *layer('decoder.up.{i}.upsample.conv', 'decoder/double_{i}'),
  *layer('{conv:quant_conv|post_quant_conv}', '{conv}'),
  ('quantize.embedding.weight', 'quantizer/embedding', ''),
]


# -- U-Net


def _residual(theirs, ours):
  return [
    *norm(f'{theirs}.in_layers.0', f'{ours}/norm_0'),
    *layer(f'{theirs}.in_layers.2', f'{ours}/conv_0'),
    *linear(f'{theirs}.emb_layers.1', f'{ours}/embedding'),
    *norm(f'{theirs}.out_layers.0', f'{ours}/norm_1'),
    *layer(f'{theirs}.out_layers.3', f'{ours}/conv_1'),
    *layer(f'{theirs}.skip_connection', f'{ours}/skip'),
  ]


def _transformer(theirs, ours):
  theirs_block, block = f'{theirs}.transformer_blocks.{{d}}', f'{ours}/spatial/block_{{d}}'
  rows = [
    *norm(f'{theirs}.norm', f'{ours}/spatial/norm'),
    *pixelwise(f'{theirs}.proj_in', f'{ours}/spatial/proj_in'),
    *pixelwise(f'{theirs}.proj_out', f'{ours}/spatial/proj_out'),
    *linear(f'{theirs_block}.ff.net.0.proj', f'{block}/mlp/up'),
    *linear(f'{theirs_block}.ff.net.2', f'{block}/mlp/down'),
  ]
  for i, name in enumerate(('self', 'cross', 'mlp')):
    rows += norm(f'{theirs_block}.norm{i + 1}', f'{block}/norm_{name}')
  for i, name in enumerate(('self_attention', 'cross_attention')):
    for letter, part in (('q', 'query'), ('k', 'key'), ('v', 'value')):
      theirs_part = f'{theirs_block}.attn{i + 1}.to_{letter}.weight'
      rows.append((theirs_part, f'{block}/{name}/{part}/kernel', 'OI->IO'))
    rows += linear(f'{theirs_block}.attn{i + 1}.to_out.0', f'{block}/{name}/out')
  return rows


def unet(layout):
  """Rows of a U-Net of `nn.unet` with spatial transformers; its entries are numbered in order.

  Args:
    layout: with `multipliers`, `blocks`, `attention` as of `nn.unet.Layout`.
  """
  rows = [
    *linear('time_embed.0', 'time/hidden'),
    *linear('time_embed.2', 'time/out'),
    *layer('input_blocks.0.0', 'down/conv_in'),
    *_residual('middle_block.0', 'middle/block_0'),
    *_transformer('middle_block.1', 'middle/attention'),
    *_residual('middle_block.2', 'middle/block_1'),
    *norm('out.0', 'up/norm_out'),
    *layer('out.2', 'up/conv_out'),
  ]
  levels = range(len(layout.multipliers))
  number = 1
  for level in levels:
    for i in range(layout.blocks):
      rows += _residual(f'input_blocks.{number}.0', f'down/block_{level}_{i}')
      rows += _transformer(f'input_blocks.{number}.1', f'down/attention_{level}_{i}')
      number += 1
    if level + 1 < len(levels):
      rows += layer(f'input_blocks.{number}.0.op', f'down/halve_{level}')
      number += 1
  number = 0
  for level in reversed(levels):
    for i in range(layout.blocks + 1):
      rows += _residual(f'output_blocks.{number}.0', f'up/block_{level}_{i}')
      rows += _transformer(f'output_blocks.{number}.1', f'up/attention_{level}_{i}')
      number += 1
    if level:  # the last entry of a level
      place = 2 if 2**level in layout.attention else 1
      rows += layer(f'output_blocks.{number - 1}.{place}.conv', f'up/double_{level}')
  return rows
