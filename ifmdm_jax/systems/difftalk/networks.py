"""The networks of stage 2: voice and landmarks -> a context; the U-Net that reads it.

  z_t, z_m, z_r   latents of the noised frame, of the masked frame, of the reference; concatenated
  speech          [B, 8, 16, C]: a window of 16 features around each of 8 neighbouring frames
  landmarks       [B, 39, 2], (x, y) as shares of half the picture, -1 and 1 at its edges

Sources: the paper, section 3.3; the audio networks are AD-NeRF's (Guo et al. 2021, section 3.1).

Landmarks are *normalised*: (xy - S / 2) / (S / 2) in a picture of S pixels. The published program
hands pixels of a 256 px picture to its landmark network; weights that were trained so, imported
ones, say `units='pixels'`, and the network brings the same input to those pixels itself.

With `context='single'`, as published, voice and landmarks are one token. Attention to one token is
that token whatever asks: the cross-attention adds the same linear map of it at every pixel, a bias
of each block. `context='tokens'` departs from it: each of the 8 voice windows and each group of
neighbouring landmarks is a token of its own, and pixels choose; the windows' tokens together also
join the time's embedding, so that what is the same everywhere need not be found by attention.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from ifmdm_jax.errors import InputError
from ifmdm_jax.nn.unet import Layout, UNet

FRAMES, STEPS = 8, 16  # neighbouring frames; speech features of a window
POINTS = 39
PUBLISHED_SIDE = 256  # pixels of the picture whose landmarks the published network reads
CONTEXTS = ('single', 'tokens')
UNITS = ('normalised', 'pixels')


def leaky(x):
  """Leaky unit of slope 0.02."""
  return nn.leaky_relu(x, 0.02)


def network(config):
  """Builds the denoiser of a `config.model`, see `sizes`.

  Raises:
    errors.InputError: a name or a number of tokens that is not offered.
  """
  layout = {key: tuple(v) if isinstance(v, list) else v for key, v in config.unet.items()}
  if config.context not in CONTEXTS:
    raise InputError(f'context is {config.context!r}, expected one of {", ".join(CONTEXTS)}')
  if config.landmarks.units not in UNITS:
    units = config.landmarks.units
    raise InputError(f'landmarks.units is {units!r}, expected one of {", ".join(UNITS)}')
  if config.landmarks.tokens < 1 or POINTS % config.landmarks.tokens:
    tokens = config.landmarks.tokens
    raise InputError(f'landmarks.tokens is {tokens}, expected 1, 3, 13 or 39: groups of one size')
  return Denoiser(
    layout=Layout(**layout),
    audio_channels=tuple(config.audio.channels),
    audio_features=config.audio.features,
    landmark_hidden=config.landmarks.hidden,
    landmark_features=config.landmarks.features,
    landmark_units=config.landmarks.units,
    landmark_tokens=config.landmarks.tokens,
    channels=config.vq.channels,
    context_kind=config.context,
  )


def init(rng, config):
  """Draws fresh parameters of the denoiser of a `config.model`."""
  z = jnp.zeros((1, config.latent, config.latent, config.vq.channels))
  speech = jnp.zeros((1, FRAMES, STEPS, config.speech_width))
  landmarks = jnp.zeros((1, POINTS, 2))
  return network(config).init(rng, z, jnp.zeros((1,), jnp.int32), z, z, speech, landmarks)['params']


class AudioNet(nn.Module):
  """One window of speech features [..., 16, C] -> [..., features].

  Attributes:
    channels: of the convolutions, each of which halves the steps: four bring 16 to one.
    features: of the result.
  """

  channels: tuple[int, ...] = (32, 32, 64, 64)
  features: int = 64

  @nn.compact
  def __call__(self, x):
    lead = x.shape[:-2]
    x = x.reshape(-1, *x.shape[-2:])
    for i, channels in enumerate(self.channels):
      x = leaky(nn.Conv(channels, (3,), 2, padding=1, name=f'conv_{i}')(x))
    if x.shape[1] != 1:
      raise InputError(f'speech windows have {x.shape[1]} steps left over, expected {STEPS} in all')
    x = leaky(nn.Dense(self.channels[-1], name='hidden')(x[:, 0]))
    return nn.Dense(self.features, name='out')(x).reshape(*lead, self.features)


class AudioAttention(nn.Module):
  """Weighs neighbouring frames: [B, T, D] -> [B, D]; only the first D / 2 numbers say the weights.

  Convolutions over the frames halve their channels down to one number each.
  """

  @nn.compact
  def __call__(self, x):
    channels = x.shape[-1] // 2
    logits = x[..., :channels]
    i = 0
    while channels > 1:
      channels //= 2
      logits = leaky(nn.Conv(channels, (3,), padding=1, name=f'conv_{i}')(logits))
      i += 1
    logits = nn.Dense(x.shape[1], name='weights')(logits[..., 0])  # frames read each other
    weights = jax.nn.softmax(logits, axis=-1)
    return jnp.einsum('bt,btd->bd', weights, x)


class LandmarkNet(nn.Module):
  """Landmarks [B, P, 2] -> [B, features].

  Attributes:
    hidden: width of the first layer.
    features: of the result, and of the layer before it.
    units: what the layers read: 'normalised' as given, or 'pixels' of the published 256 px.
  """

  hidden: int = 128
  features: int = 64
  units: str = 'normalised'

  @nn.compact
  def __call__(self, x):
    x = x.reshape(len(x), -1)
    if self.units == 'pixels':
      x = (x + 1) * (PUBLISHED_SIDE / 2)
    x = leaky(nn.Dense(self.hidden, name='hidden_0')(x))
    x = leaky(nn.Dense(self.features, name='hidden_1')(x))
    return nn.Dense(self.features, name='out')(x)


class Denoiser(nn.Module):
  """Noised latents and their conditions -> the noise in them; zero until it is trained.

  Conditions do not change along the steps of sampling: call `context` once, `denoise` every step.
  Parameters lie in `audio`, `attention`, `landmarks` and `unet`; of `context='tokens'` in `tokens`
  instead of `attention`, and one `landmarks` reads every group.

  Attributes:
    layout: of the U-Net.
    audio_channels, audio_features: see `AudioNet`.
    landmark_hidden, landmark_features, landmark_units: see `LandmarkNet`.
    landmark_tokens: of `context='tokens'`: groups of neighbouring landmarks, 1, 3, 13 or 39.
    channels: of the latents.
    context_kind: 'single' or 'tokens'.
  """

  layout: Layout
  audio_channels: tuple[int, ...] = (32, 32, 64, 64)
  audio_features: int = 64
  landmark_hidden: int = 128
  landmark_features: int = 64
  landmark_units: str = 'normalised'
  landmark_tokens: int = 13
  channels: int = 3
  context_kind: str = 'single'

  def setup(self):
    self.audio = AudioNet(self.audio_channels, self.audio_features)
    self.landmarks = LandmarkNet(self.landmark_hidden, self.landmark_features, self.landmark_units)
    if self.context_kind == 'single':
      self.attention = AudioAttention()
    else:
      self.tokens = Tokens(self.audio_features + self.landmark_features)
    self.unet = UNet(self.layout, self.channels)

  def context(self, speech, landmarks):
    """Encodes speech [B, 8, 16, C] and landmarks [B, 39, 2] -> tokens [B, K, E]."""
    voice = self.audio(speech)
    if self.context_kind == 'single':
      parts = self.attention(voice), self.landmarks(landmarks)
      return jnp.concatenate(parts, axis=-1)[:, None]
    groups = landmarks.reshape(len(landmarks) * self.landmark_tokens, -1, 2)
    face = self.landmarks(groups).reshape(len(landmarks), self.landmark_tokens, -1)
    return self.tokens(voice, face)

  def denoise(self, z_t, t, z_m, z_r, context, train=False):
    """Evaluates the U-Net.

    Args:
      z_t, z_m, z_r: [B, h, w, channels], latents noised, of the masked frame, of the reference.
      t: int [B], step in the schedule of training.
      context: [B, K, E], of `context`.
      train: whether there is dropout.

    Returns:
      [B, h, w, channels].
    """
    maps, vector = jnp.concatenate([z_t, z_m, z_r], axis=-1), None
    if self.context_kind == 'tokens':
      vector = context[:, :FRAMES].reshape(len(context), -1)
    return self.unet(maps, t, context, vector=vector, train=train)

  def __call__(self, z_t, t, z_m, z_r, speech, landmarks, train=False):
    """Evaluates all of it, for training: see `denoise` and `context`."""
    return self.denoise(z_t, t, z_m, z_r, self.context(speech, landmarks), train)


class Tokens(nn.Module):
  """Voice [B, T, D] and landmarks [B, K, D'] -> tokens [B, T + K, width], each with its place."""

  width: int

  @nn.compact
  def __call__(self, voice, face):
    tokens = jnp.concatenate(
      [nn.Dense(self.width, name='voice')(voice), nn.Dense(self.width, name='face')(face)], axis=1
    )
    places = self.param('places', nn.initializers.normal(0.02), tokens.shape[1:])
    return tokens + places[None]
