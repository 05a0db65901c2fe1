"""Vector quantisation (van den Oord et al. 2017, "Neural Discrete Representation Learning").

Two ways to move the codebook: as a parameter, by the codebook term of the loss (latent diffusion's
first stage), or as running averages of what each entry was chosen for (appendix A.1), kept in the
collection 'codebook', which nothing trains; the averages move wherever that collection is mutable.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

COLLECTION = 'codebook'


class Quantized(NamedTuple):
  """What a quantiser says of z [B, ..., D]."""

  z: jax.Array  # [B, ..., D], the chosen entries; the gradient passes straight through to z
  index: jax.Array  # int32 [B, ...], which entries
  loss: jax.Array  # scalar: beta |z - sg(e)|^2, and |sg(z) - e|^2 where the codebook is a parameter


def nearest(z, codebook):
  """Finds the entry of codebook [K, D] nearest to each vector of z [..., D]: int32 [...]."""
  z, codebook = z.astype(jnp.float32), codebook.astype(jnp.float32)
  product = jnp.einsum('...d,kd->...k', z, codebook, precision=lax.Precision.HIGHEST)
  # |z|^2 is the same for all entries.
  length = (codebook**2).sum(-1)
  return jnp.argmin(jnp.expand_dims(length, range(z.ndim - 1)) - 2 * product, -1).astype(jnp.int32)


def perplexity(index, entries):
  """Counts entries in even use: exp of the entropy of their shares, from 1 to `entries`."""
  share = jnp.bincount(index.reshape(-1), length=entries) / index.size
  return jnp.exp(-(share * jnp.log(share + 1e-10)).sum())


class VectorQuantizer(nn.Module):
  """Replaces each vector by the nearest of K learned ones: z [B, ..., D] -> Quantized.

  Attributes:
    entries: K.
    beta: weight of the commitment term.
    averages: whether entries are running averages; else a parameter.
    decay: of the averages.
    epsilon: Laplace smoothing of the counts, so that an unused entry stays finite.
  """

  entries: int
  beta: float = 0.25
  averages: bool = False
  decay: float = 0.99
  epsilon: float = 1e-5

  @nn.compact
  def __call__(self, z):
    shape = (self.entries, z.shape[-1])

    def uniform(key):
      return jax.random.uniform(key, shape, minval=-1 / self.entries, maxval=1 / self.entries)

    if self.averages:
      sums = self.variable(COLLECTION, 'sums', lambda: uniform(self.make_rng('params')))
      counts = self.variable(COLLECTION, 'counts', lambda: jnp.ones(shape[:1]))
      codebook = self._means(sums.value, counts.value)
    else:
      codebook = self.param('embedding', uniform)
    index = nearest(z, codebook)
    chosen = codebook[index].astype(z.dtype)
    squared = lambda a, b: ((a - b).astype(jnp.float32) ** 2).mean()
    loss = self.beta * squared(z, lax.stop_gradient(chosen))
    if not self.averages:
      loss = loss + squared(lax.stop_gradient(z), chosen)
    elif self.is_mutable_collection(COLLECTION) and not self.is_initializing():
      self._follow(sums, counts, lax.stop_gradient(z), index)
    return Quantized(z + lax.stop_gradient(chosen - z), index, loss)

  def _follow(self, sums, counts, z, index):
    """N <- d N + (1 - d) n, m <- d m + (1 - d) sum of the vectors that chose the entry."""
    z = z.astype(jnp.float32).reshape(-1, z.shape[-1])
    index = index.reshape(-1)
    total = jnp.zeros_like(sums.value).at[index].add(z)
    number = jnp.zeros_like(counts.value).at[index].add(1.0)
    sums.value = self.decay * sums.value + (1 - self.decay) * total
    counts.value = self.decay * counts.value + (1 - self.decay) * number

  def _means(self, sums, counts):
    total = counts.sum()
    smooth = (counts + self.epsilon) / (total + self.entries * self.epsilon) * total
    return sums / smooth[:, None]

  def lookup(self, variables, index):
    """Reads entries by their index, int [...] -> [..., D], from this module's variables."""
    if self.averages:
      state = variables[COLLECTION]
      return self._means(state['sums'], state['counts'])[index]
    return variables['params']['embedding'][index]
