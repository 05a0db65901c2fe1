"""The denoiser: a diffusion transformer over motion codes, conditioned per frame on speech.

Source: the paper's second stage; blocks with adaLN-Zero after DiT (Peebles & Xie 2023).
Axes: B batch, T frames, M motion code, A audio feature, D width, K = T + 3 tokens.
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp

from ifmdm_jax.nn.embed import Embedder, drop_samples, positions, timestep_features
from ifmdm_jax.nn.transformer import ModulatedBlock, ModulatedOutput

FEATURES_PER_FRAME = 2  # 50 audio features and 25 frames per second
EXTRA_TOKENS = 3  # hint, mean, std


class Tokens(nn.Module):
  """One token per frame, then hint, mean and std; and the condition that modulates each token.

  Attributes: see `MotionDiT`.
  """

  width: int
  frames: int
  drop_audio: float
  drop_hint: float
  drop_stats: float
  clean_drop: bool

  @nn.compact
  def __call__(self, x_t, t, y, hint, mean, std, train=False, audible=None):
    b, frames, _ = x_t.shape
    d = self.width
    keep = lambda x: x if audible is None else x * audible[:, None, None].astype(x.dtype)
    path_drop = self.drop_audio
    if self.clean_drop:
      path_drop = 0.0
      if train and self.drop_audio > 0:
        y = drop_samples(y, self.drop_audio, self.make_rng('drop'))

    # the frame's own token: motion alone, plus motion and sound mixed
    sound = Embedder(d // 2 // FEATURES_PER_FRAME, name='yy_embedder')(y)
    motion = Embedder(d // 2, name='xx_embedder')(x_t)
    mixed = jnp.concatenate([motion, sound.reshape(b, frames, d // 2)], axis=-1)
    tokens = Embedder(d, name='x_embedder')(x_t)
    tokens = tokens + Embedder(d, path_drop, name='xy_embedder')(keep(mixed), train)

    # three tokens that tell where the motion starts and how it is distributed
    extra = (
      Embedder(d, self.drop_hint, name='x_hint_embedder')(hint, train),
      Embedder(d, self.drop_stats, name='x_mean_embedder')(mean, train),
      Embedder(d, self.drop_stats, name='x_std_embedder')(std, train),
    )
    tokens = jnp.concatenate([tokens, *extra], axis=1)
    # a window shorter than usual leaves out its last frames' places, not those of the extra tokens
    table = positions(self.frames + EXTRA_TOKENS, d)
    table = jnp.concatenate([table[:frames], table[self.frames :]], axis=0)
    tokens = tokens + table[None]

    # the condition: sound of the frame and the timestep; nothing for the extra tokens
    features = Embedder(d, path_drop, name='y_embedder')(keep(y), train)
    features = features.reshape(b, frames, FEATURES_PER_FRAME, d).mean(2)
    time = Embedder(d, name='t_embedder')(timestep_features(t))
    cond = features + time[:, None, :]
    cond = jnp.concatenate([cond, jnp.zeros((b, EXTRA_TOKENS, d), cond.dtype)], axis=1)
    return tokens, cond


class MotionDiT(nn.Module):
  """Noised motion and speech -> what the diffusion asks for.

  Attributes:
    width, depth, heads: of the transformer.
    channels: of the output; twice the motion code where the variance is learned.
    frames: length of a window in training; shorter ones are accepted.
    drop_audio, drop_hint, drop_stats: probability that a sample is trained without them.
    clean_drop: False, the paper: the two ways of the sound into the network are dropped
      independently, and the second one loses the noised motion with it. True: the features
      themselves are dropped, exactly what guidance evaluates as "no sound".
  """

  width: int = 512
  depth: int = 6
  heads: int = 8
  channels: int = 40
  frames: int = 64
  drop_audio: float = 0.3
  drop_hint: float = 0.3
  drop_stats: float = 0.3
  clean_drop: bool = False

  @nn.compact
  def __call__(self, x_t, t, y, hint, mean, std, mask=None, train=False, audible=None):
    """One evaluation.

    Args:
      x_t: [B, T, M], noised motion.
      t: int [B], step in the schedule of training.
      y: [B, 2T, A], speech features; zeros mean "no sound".
      hint: [B, 1, M], motion of the frame before the window; zeros mean "unknown".
      mean, std: [B, 1, M], statistics of the motion wanted; zeros mean "unknown".
      mask: [B, T], nonzero for real frames: no token sees the others.
      train: drop inputs; needs the random stream 'drop'.
      audible: [B], 0 takes both ways of the sound from a sample as the paper's training does; None
        for all ones.

    Returns:
      [B, T, channels].
    """
    tokens, cond = Tokens(
      self.width,
      self.frames,
      self.drop_audio,
      self.drop_hint,
      self.drop_stats,
      self.clean_drop,
      name='tokens',
    )(x_t, t, y, hint, mean, std, train, audible)
    visible = None
    if mask is not None:
      visible = jnp.pad(mask != 0, ((0, 0), (0, EXTRA_TOKENS)), constant_values=True)
    for i in range(self.depth):
      tokens = ModulatedBlock(self.heads, name=f'block_{i}')(tokens, cond, visible)
    return ModulatedOutput(self.channels, name='final')(tokens, cond)[:, : x_t.shape[1]]
