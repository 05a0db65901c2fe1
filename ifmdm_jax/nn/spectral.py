"""Spectral normalisation (Miyato et al. 2018, "Spectral Normalization for GANs", algorithm 1).

A kernel W, seen as a matrix with one row for each output channel, is divided by its largest
singular value sigma = u^T W v. The singular vectors u and v are kept in the collection 'spectral',
which nothing trains: one power iteration moves them at every forward pass in which that collection
is mutable, and they stay as they are in every other.

  y, changed = network.apply({'params': p, 'spectral': s}, x, mutable=['spectral'])    # training
  y = network.apply({'params': p, 'spectral': s}, x)                                   # use
"""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from ifmdm_jax.nn.equalized import IMAGE, per_channel

COLLECTION = 'spectral'
EPSILON = 1e-4
FIRST_ITERATIONS = 15  # at initialisation, so that the first division is by about sigma


def unit(vector, epsilon=EPSILON):
  """Divides a vector by its length, or by epsilon where it is shorter."""
  return vector / jnp.maximum(jnp.sqrt((vector**2).sum()), epsilon)


def power_iteration(matrix, u, epsilon=EPSILON):
  """Takes a step towards the first singular vectors of [O, I]: u [O] -> (u [O], v [I])."""
  v = unit(matrix.T @ u, epsilon)
  return unit(matrix @ v, epsilon), v


def normalized(module, kernel, epsilon=EPSILON):
  """Divides a kernel [..., O] of `module` by its largest singular value, to be called in compact.

  Keeps u and v among the module's variables; the gradient goes through W / sigma with u and v
  fixed, as published.
  """
  matrix = kernel.astype(jnp.float32).reshape(-1, kernel.shape[-1]).T  # [O, I]
  fixed = lax.stop_gradient(matrix)

  def first():
    start = jax.random.normal(module.make_rng('params'), matrix.shape[:1])
    step = lambda _, pair: power_iteration(fixed, pair[0], epsilon)
    return lax.fori_loop(0, FIRST_ITERATIONS, step, power_iteration(fixed, unit(start), epsilon))

  begun = None if module.has_variable(COLLECTION, 'u') else first()
  state = [module.variable(COLLECTION, name, lambda i=i: begun[i]) for i, name in enumerate('uv')]
  vectors = [vector.value for vector in state]
  if module.is_mutable_collection(COLLECTION) and not module.is_initializing():
    vectors = power_iteration(fixed, vectors[0], epsilon)
    for variable, vector in zip(state, vectors):
      variable.value = vector
  u, v = (lax.stop_gradient(vector) for vector in vectors)
  sigma = u @ (matrix @ v)
  return (kernel.astype(jnp.float32) / sigma).astype(kernel.dtype)


class SpectralConv(nn.Module):
  """Convolution with a spectrally normalised kernel, zero padding: [B, H, W, C] -> [.., features].

  Attributes:
    padding: pixels on every side; None keeps the resolution at stride 1.
  """

  features: int
  size: int = 3
  stride: int = 1
  padding: int | None = None
  use_bias: bool = True
  epsilon: float = EPSILON
  kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()

  @nn.compact
  def __call__(self, x):
    shape = (self.size, self.size, x.shape[-1], self.features)
    kernel = normalized(self, self.param('kernel', self.kernel_init, shape), self.epsilon)
    pad = self.size // 2 if self.padding is None else self.padding
    x = lax.conv_general_dilated(
      x, kernel.astype(x.dtype), (self.stride,) * 2, ((pad, pad),) * 2, dimension_numbers=IMAGE
    )
    if self.use_bias:
      x = x + per_channel(self.param('bias', nn.initializers.zeros, (self.features,)), x)
    return x


class SpectralDense(nn.Module):
  """Linear layer with a spectrally normalised kernel: [..., D] -> [..., features]."""

  features: int
  use_bias: bool = True
  epsilon: float = EPSILON
  kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()

  @nn.compact
  def __call__(self, x):
    shape = (x.shape[-1], self.features)
    kernel = normalized(self, self.param('kernel', self.kernel_init, shape), self.epsilon)
    y = jnp.dot(x, kernel.astype(x.dtype))
    if self.use_bias:
      y = y + per_channel(self.param('bias', nn.initializers.zeros, (self.features,)), y)
    return y


class SpectralEmbed(nn.Module):
  """Table of learned rows, spectrally normalised as a whole: int [B] -> [B, features].

  The rows are as many as there are videos in a projection discriminator, uniform in +-`spread`.
  """

  rows: int
  features: int
  spread: float = 0.1
  epsilon: float = EPSILON

  @nn.compact
  def __call__(self, index):
    def uniform(key, shape):
      return jax.random.uniform(key, shape, minval=-self.spread, maxval=self.spread)

    table = self.param('embedding', uniform, (self.rows, self.features))
    return normalized(self, table.T, self.epsilon).T[index]
