"""DiffTalk's weights -> `systems.difftalk.networks.Denoiser`; its first stage -> `vq.VQ`.

A published checkpoint would hold all of it: `model.diffusion_model.*` the U-Net, `model_ema.*` its
average (names without their dots), `cond_stage_model_for_audio.*`, `..._audio_smooth.*` and
`..._ldm.*` the networks of voice, temporal filter and landmarks, `first_stage_model.*` the
autoencoder. The latter is latent diffusion's vq-f4, whose own file has the same names without the
prefix. The average is taken where there is one: the published sampler does so. There is none of the
other networks.
"""

import jax
import ml_collections

from ifmdm_jax.errors import InputError
from ifmdm_jax.importers import engine, latent
from ifmdm_jax.systems.difftalk import networks, vq
from ifmdm_jax.systems.difftalk.sizes import SIZES

FIRST_STAGE = 'first_stage_model.'
UNET = 'model.diffusion_model.'
AVERAGE = 'model_ema.'
HEAD = 32  # channels of an attention head; shapes do not tell

IGNORED_FIRST_STAGE = [('loss.*', 'perceptual network and discriminator of its training')]
CONDITIONS = [
  *latent.layer('cond_stage_model_for_audio.encoder_conv.0', 'audio/conv_0', 'OIW->WIO'),
  *latent.layer('cond_stage_model_for_audio.encoder_conv.2', 'audio/conv_1', 'OIW->WIO'),
  *latent.layer('cond_stage_model_for_audio.encoder_conv.4', 'audio/conv_2', 'OIW->WIO'),
  *latent.layer('cond_stage_model_for_audio.encoder_conv.6', 'audio/conv_3', 'OIW->WIO'),
  *latent.linear('cond_stage_model_for_audio.encoder_fc1.0', 'audio/hidden'),
  *latent.linear('cond_stage_model_for_audio.encoder_fc1.2', 'audio/out'),
  *latent.linear('cond_stage_model_for_audio_smooth.attentionNet.0', 'attention/weights'),
  *latent.linear('cond_stage_model_for_ldm.encoder_fc1.0', 'landmarks/hidden_0'),
  *latent.linear('cond_stage_model_for_ldm.encoder_fc1.2', 'landmarks/hidden_1'),
  *latent.linear('cond_stage_model_for_ldm.encoder_fc1.4', 'landmarks/out'),
]
for _i in range(5):
  CONDITIONS += latent.layer(
    f'cond_stage_model_for_audio_smooth.attentionConvNet.{2 * _i}',
    f'attention/conv_{_i}',
    'OIW->WIO',
  )
IGNORED = [
  (f'{FIRST_STAGE}*', 'kind difftalk_autoencoder'),
  (f'{AVERAGE}*', 'taken in place of the weights that it averages'),
  ('{name:betas|logvar|scale_factor}', 'tables of the schedule; computed here'),
  ('{name:alphas|sqrt|log|posterior}_*', 'tables of the schedule; computed here'),
  ('{name:lvlb_weights|cond_ids}', 'tables of the schedule; computed here'),
]
# What a checkpoint does not hold. Nothing here makes DeepSpeech's 29 characters.
AS_PUBLISHED = dict(
  module='ifmdm_jax.systems.difftalk.model',
  autoencoder='',
  speech='deepspeech',
  timesteps=1000,
  first_beta=0.0015,
  last_beta=0.0195,
  context='single',
)
KNOWN = (f'{UNET}*', 'cond_stage_model_for_*', *(pattern for pattern, _ in IGNORED))


# -- stage 1


def strip_first_stage(state):
  """Strips wrappers; of a whole checkpoint it leaves the first stage alone."""
  state = engine.strip_all(state)
  inside = {key: value for key, value in state.items() if key.startswith(FIRST_STAGE)}
  return {key.removeprefix(FIRST_STAGE): value for key, value in (inside or state).items()}


def convert_first_stage(state):
  """Converts {their key: array} -> (config.model, params of `vq.VQ`).

  Args:
    state: a vq-f4 checkpoint, or a whole one of DiffTalk.

  Raises:
    errors.InputError: entries that are missing, left over or of another shape, all in one line.
  """
  state = strip_first_stage(state)
  model = ml_collections.ConfigDict(_pictures(state))
  target = jax.eval_shape(lambda key: vq.init(key, model), jax.random.key(0))
  return model, engine.convert(state, latent.FIRST_STAGE, IGNORED_FIRST_STAGE, target)


def _pictures(state):
  """Reads the sizes of a first stage off its shapes; latents are as wide as published."""
  width = _size(state, 'encoder.conv_in.weight')
  block = 'encoder.down.{}.block.0.conv2.weight'
  levels = _count(state, block)
  latents = SIZES['paper']['latent']
  return dict(
    module='ifmdm_jax.systems.difftalk.autoencoder',
    image=latents << max(levels - 1, 0),
    latent=latents,
    vq=dict(
      width=width,
      multipliers=tuple(_times(state, block.format(i), width) for i in range(max(levels, 1))),
      blocks=_count(state, 'encoder.down.0.block.{}.conv2.weight'),
      entries=_size(state, 'quantize.embedding.weight'),
      channels=_size(state, 'encoder.conv_out.weight'),
    ),
  )


# -- stage 2


def strip(state):
  """Strips wrappers and puts the average of the U-Net's weights, if there is one, in their place.

  Raises:
    errors.InputError: an average of some of them.
  """
  state = engine.strip_all(state)
  if not any(key.startswith(f'{AVERAGE}diffusion_model') for key in state):
    return state
  lost, averaged = [], dict(state)
  for key in state:
    if key.startswith(UNET):
      name = AVERAGE + key.removeprefix('model.').replace('.', '')
      averaged[key] = state.get(name)
      lost += [name] if name not in state else []
  if lost:
    raise InputError(f'{len(lost)} averages are missing, {lost[0]} first: check the checkpoint')
  return averaged


def rules(model):
  """Rows of the denoiser of a config.model."""
  rows = [
    (f'{UNET}{theirs}', f'unet/{ours}', axes) for theirs, ours, axes in latent.unet(model.unet)
  ]
  return rows + CONDITIONS


def convert(state):
  """Converts {their key: array} -> (config.model, params of `networks.Denoiser`).

  Raises:
    errors.InputError: entries that are missing, left over or of another shape, all in one line.
  """
  state = strip(state)
  model = model_of(state)
  target = jax.eval_shape(lambda key: networks.init(key, model), jax.random.key(0))
  return model, engine.convert(state, rules(model), IGNORED, target)


def model_of(state):
  """Reads config.model off the shapes of a checkpoint; heads are 32 wide, as published."""
  audio, ldm = 'cond_stage_model_for_audio', 'cond_stage_model_for_ldm'
  width, out = _size(state, f'{UNET}input_blocks.0.0.weight'), '.0.out_layers.3.weight'
  multipliers, blocks, attention, number = [], 0, [], 1
  while f'{UNET}input_blocks.{number}{out}' in state:
    multipliers.append(_times(state, f'{UNET}input_blocks.{number}{out}', width))
    if f'{UNET}input_blocks.{number}.1.norm.weight' in state:
      attention.append(2 ** (len(multipliers) - 1))
    blocks = _count(state, f'{UNET}input_blocks.{{}}{out}', number)
    number += blocks + 1  # one that halves the resolution
  attending = [width * k for i, k in enumerate(multipliers) if 2**i in attention]
  attending += [width * k for k in multipliers[-1:]]  # the middle
  if any(channels % HEAD for channels in attending):
    raise InputError(f'attention is {attending} wide, expected multiples of heads of {HEAD}')
  inside = {key: v for key, v in state.items() if key.startswith(FIRST_STAGE)}
  size = dict(SIZES['paper'], **_pictures(strip_first_stage(inside)) if inside else {})
  size['vq'] = dict(size['vq'], channels=_size(state, f'{UNET}out.2.weight'))
  size |= dict(
    **AS_PUBLISHED,
    unet=dict(
      width=width,
      multipliers=tuple(multipliers),
      blocks=blocks,
      attention=tuple(attention),
      head_width=HEAD,
    ),
    audio=dict(
      channels=tuple(_size(state, f'{audio}.encoder_conv.{2 * i}.weight') for i in range(4)),
      features=_size(state, f'{audio}.encoder_fc1.2.weight'),
    ),
    landmarks=dict(
      size['landmarks'],
      hidden=_size(state, f'{ldm}.encoder_fc1.0.weight'),
      features=_size(state, f'{ldm}.encoder_fc1.4.weight'),
      units='pixels',
    ),
    speech_width=_size(state, f'{audio}.encoder_conv.0.weight', 1),
  )
  return ml_collections.ConfigDict(size)


def config(model):
  return model.to_dict()


def build(config):
  """Inverts `config`."""
  return ml_collections.ConfigDict(config)


def _size(state, name, axis=0):
  """Reads one axis of a weight, which has to be there and to have two axes at least."""
  if name not in state or state[name].ndim < 2 or not state[name].size:
    raise InputError(f'weights have no {name} of any use: check --kind and the checkpoint')
  return state[name].shape[axis]


def _times(state, name, width):
  """Reads how many times `width` a layer is wide; one that is no multiple will not fit."""
  return max(1, _size(state, name) // width)


def _count(state, name, start=0):
  """Counts the names from a number on that are there without a gap."""
  count = 0
  while name.format(start + count) in state:
    count += 1
  return count
