"""Our own sync network: SyncNet's plan (Chung & Zisserman, 2016), small, and trained here.

  lips     five grey pictures of 48 px (published: five colour faces of 224 px)
  voice    0.2 s: ten vectors of Whisper-tiny's second block, per clip of mean 0 and deviation 1
           (published: 20 columns of 13 MFCC; `audio='mfcc'` builds that)
  widths   a quarter or less of the published ones; group norm and layer norm for batch norm
  vectors  of unit length, 128 numbers (published: 1024, of any length)

Both towers learn that a mouth belongs to the voice of its own moment: among the moments up to 15
frames away in the same clip, and among other clips' voices at the same place. Beside it the lip
tower tells how the lip points move within the clip, which a few minutes of video need.

`init`, `loss` and `evaluate` are what `ifmdm_jax.train` asks for; `load` reads the bundled weights.
"""

import pathlib

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from ifmdm_jax import files

WEIGHTS = (
  pathlib.Path(__file__).parents[1] / 'weights' / 'sync_network' / 'sync_network.safetensors'
)
SIDE = 48  # pixels
FRAMES = 5  # of a window
SHIFTS = 15  # frames either way
LIP_POINTS = 40
RATES = {'whisper_tiny': 2, 'mfcc': 4}  # speech features per frame


def flat_norm(x, name):
  """Applies layer norm over the last axis."""
  return nn.LayerNorm(epsilon=1e-5, name=name)(x)


class LipTower(nn.Module):
  """Stacked frames [B, 48, 48, 5] in [-1, 1] -> (unit vectors [B, D], lip points [B, 80])."""

  widths: tuple[int, ...] = (24, 48, 48, 96)
  dim: int = 128

  @nn.compact
  def __call__(self, x):
    def unit(x, width, size, name, stride=1):
      x = nn.Conv(width, (size, size), stride, use_bias=False, name=f'conv_{name}')(x)
      return nn.relu(nn.GroupNorm(num_groups=8, name=f'norm_{name}')(x))

    pool = lambda y: nn.max_pool(y, (2, 2), (2, 2))
    w_0, w_1, w_2, w_3 = self.widths
    x = pool(unit(x, w_0, 5, '0', stride=2))  # 12
    x = pool(unit(x, w_1, 3, '1'))  # 6
    x = unit(x, w_2, 3, '2')
    x = unit(x, w_2, 3, '3')
    x = pool(unit(x, w_2, 3, '4'))  # 3
    x = nn.Dense(w_3, use_bias=False, name='fc_5')(x.reshape(len(x), -1))
    x = nn.relu(flat_norm(x, 'norm_5'))
    points = nn.Dense(2 * LIP_POINTS, name='points')(x)
    return unit_length(nn.Dense(self.dim, name='out')(x)), points


class SpeechTower(nn.Module):
  """Ten speech features [B, 10, A] -> unit vectors [B, D]."""

  width: int = 64
  dim: int = 128

  @nn.compact
  def __call__(self, x):
    x = nn.relu(flat_norm(nn.Dense(self.width, use_bias=False, name='fc_0')(x), 'norm_0'))
    x = nn.Dense(2 * self.dim, use_bias=False, name='fc_1')(x.reshape(len(x), -1))
    x = nn.relu(flat_norm(x, 'norm_1'))
    return unit_length(nn.Dense(self.dim, name='out')(x))


class MfccTower(nn.Module):
  """MFCC [B, 20, 13] -> unit vectors [B, D], in the layers of the published audio tower."""

  width: int = 32
  dim: int = 128

  @nn.compact
  def __call__(self, x):
    def unit(x, width, name, size=(3, 3), padding='SAME'):
      x = nn.Conv(width, size, padding=padding, use_bias=False, name=f'conv_{name}')(x)
      return nn.relu(nn.GroupNorm(num_groups=8, name=f'norm_{name}')(x))

    x = x.swapaxes(1, 2)[..., None]  # coefficients, time, one channel
    x = unit(x, self.width, '0')
    x = nn.max_pool(unit(x, 2 * self.width, '1'), (3, 3), (1, 2))
    x = unit(unit(x, 2 * self.width, '2'), 2 * self.width, '3')
    x = nn.max_pool(unit(x, 2 * self.width, '4'), (3, 3), (2, 2))
    x = unit(x, 4 * self.width, '5', (5, 4), 'VALID').reshape(len(x), -1)
    return unit_length(nn.Dense(self.dim, name='out')(x))


def unit_length(x):
  return x * jax.lax.rsqrt(jnp.sum(x**2, axis=-1, keepdims=True) + 1e-8)


class SyncNetwork(nn.Module):
  """Both towers over whole clips."""

  audio: str = 'whisper_tiny'

  def setup(self):
    self.lip = LipTower()
    self.voice = MfccTower() if self.audio == 'mfcc' else SpeechTower()
    self.log_scale = self.param('log_scale', nn.initializers.constant(2.3), ())

  def lips(self, crops):
    """Encodes grey crops [B, T, 48, 48] -> vectors and lip points, [B, T - 4, D or 80]."""
    stacked = windows(crops, FRAMES, 1)  # [B, N, 5, 48, 48]
    batch, count = stacked.shape[:2]
    stacked = jnp.moveaxis(stacked, 2, -1).reshape(batch * count, *crops.shape[2:], FRAMES)
    vectors, points = self.lip(stacked)
    return vectors.reshape(batch, count, -1), points.reshape(batch, count, -1)

  def voices(self, features):
    """Encodes speech features [B, S, A] as vectors [B, N, D] of five frames each."""
    rate = RATES[self.audio]
    parts = windows(features, FRAMES * rate, rate)
    batch, count = parts.shape[:2]
    return self.voice(parts.reshape(batch * count, *parts.shape[2:])).reshape(batch, count, -1)

  def __call__(self, crops, features):
    return *self.lips(crops), self.voices(features), self.log_scale


def windows(x, length, hop):
  """Cuts windows: [B, T, ...] -> [B, (T - length) // hop + 1, length, ...]."""
  starts = np.arange(0, x.shape[1] - length + 1, hop)
  return x[:, starts[:, None] + np.arange(length)]


def init(rng, config):
  width = 13 if config.audio == 'mfcc' else 384
  rate = RATES[config.audio]
  crops = jnp.zeros((1, FRAMES, SIDE, SIDE))
  features = jnp.zeros((1, FRAMES * rate, width))
  return SyncNetwork(config.audio).init(rng, crops, features)['params']


def similarities(params, batch, config):
  """Computes (cosines [B, N, 31] over shifts -15..15, of others [B, N, B], points, scale, mask)."""
  lips, points, voices, log_scale = SyncNetwork(config.audio).apply(
    {'params': params}, batch['lips'].astype(jnp.float32) / 127.5 - 1, batch['features']
  )
  count = lips.shape[1]
  # Voices begin SHIFTS frames before the lips: column s is the voice s - SHIFTS frames later.
  beside = jnp.stack([voices[:, s : s + count] for s in range(2 * SHIFTS + 1)], axis=2)
  cosines = jnp.einsum('bnd,bnsd->bns', lips, beside)
  others = jnp.einsum('bnd,cnd->bnc', lips, voices[:, SHIFTS : SHIFTS + count])
  valid = windows(batch['valid'], count, 1).swapaxes(1, 2)  # [B, N, 31]: that voice exists
  return cosines, others, points, jnp.exp(jnp.minimum(log_scale, 4.0)), valid


def cross_entropy(logits, known):
  """Computes (mean, logits without the unknown) of logits [..., 31].

  Labels are soft: clips are in sync to a frame or so, not to less.
  """
  shifts = jnp.arange(-SHIFTS, SHIFTS + 1, dtype=jnp.float32)
  labels = jnp.exp(-0.5 * (shifts / 0.7) ** 2).reshape((1,) * (logits.ndim - 1) + (-1,)) * known
  logits = jnp.where(known > 0, logits, -1e9)
  labels = labels / labels.sum(-1, keepdims=True)
  return optax.softmax_cross_entropy(logits, labels).mean(), logits


def loss(params, batch, rng, *, config, step, frozen):
  """Computes the loss; see `ifmdm_jax.training`. Batches are those of `pipeline.sources.lips`."""
  key_noise, key_drop = jax.random.split(rng)
  features = batch['features']
  noise = config.noise * jax.random.normal(key_noise, features.shape)
  # The same numbers are left out of a whole clip, as if a speaker did not use them.
  kept = jax.random.bernoulli(key_drop, 1 - config.drop, (len(features), 1, features.shape[-1]))
  batch = {**batch, 'features': (features + noise) * kept.astype(jnp.float32) / (1 - config.drop)}
  return _loss(params, batch, config)


def evaluate(params, batch, rng, *, config, frozen):
  """Computes the loss without noise, and how often the offset is right within a frame."""
  value, metrics = _loss(params, batch, config)
  return {'loss': value, **metrics}


def _loss(params, batch, config):
  cosines, others, points, scale, valid = similarities(params, batch, config)
  each, _ = cross_entropy(scale * cosines, valid)
  amount = valid.sum(1)
  mean = (cosines * valid).sum(1) / jnp.maximum(amount, 1.0)
  whole, mean = cross_entropy(scale * config.clip_scale * mean, (amount >= 6).astype(mean.dtype))
  own = jnp.broadcast_to(jnp.arange(len(cosines))[:, None], cosines.shape[:2])
  other = optax.softmax_cross_entropy_with_integer_labels(scale * others, own).mean()
  moved = lambda p: p - p.mean(1, keepdims=True)
  shape = jnp.square(moved(points) - moved(batch['points'])).mean()
  near = jnp.abs(mean.argmax(-1) - SHIFTS) <= 1
  total = each + whole + config.others * other + config.shape * shape
  metrics = dict(each=each, whole=whole, other=other, shape=shape, scale=scale)
  return total, {**metrics, 'found': near.astype(jnp.float32).mean()}


def load(path=WEIGHTS):
  """Reads the parameters of the bundled network, float32."""
  return files.read_arrays(path)
