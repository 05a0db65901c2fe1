"""Noise schedules: how much of the signal is left after each step, and which steps are kept.

Sources: Ho et al. 2020, "Denoising Diffusion Probabilistic Models" (linear); Rombach et al. 2022,
"Latent Diffusion Models" (linear in the root); Nichol & Dhariwal 2021, "Improved DDPM", equation 17
(cosine) and section 4 (sampling keeps a few steps). Tables are float64 numpy, rounded once when an
array needs them.
"""

from __future__ import annotations

import dataclasses
import functools
import re

import jax.numpy as jnp
import numpy as np

from ifmdm_jax.errors import InputError


@dataclasses.dataclass(frozen=True, eq=False)  # compared by identity: arrays have no cheap hash
class Schedule:
  """Tables over the N kept steps; step 0 is nearly clean, step N - 1 nearly noise.

  Attributes:
    betas: float64 [N], share of the variance that is replaced by noise in each kept step.
    timesteps: int [N], index of each kept step in the schedule of training, which is what a
      network is conditioned on.
  """

  betas: np.ndarray
  timesteps: np.ndarray

  def __len__(self):
    return len(self.betas)

  @functools.cached_property
  def alpha_bar(self):
    """Computes abar_t, the variance of the signal left after step t."""
    return np.cumprod(1.0 - self.betas)

  @functools.cached_property
  def alpha_bar_prev(self):
    """Computes abar_{t-1}; before the first step all of the signal is left."""
    return np.append(1.0, self.alpha_bar[:-1])

  @functools.cached_property
  def posterior_variance(self):
    """Computes the variance of q(x_{t-1} | x_t, x_0); 0 at the first step."""
    return self.betas * (1.0 - self.alpha_bar_prev) / (1.0 - self.alpha_bar)

  @functools.cached_property
  def posterior_log_variance(self):
    """Its logarithm; the first step, log 0, borrows the second's."""
    if len(self) == 1:  # nothing to borrow from
      return np.log(self.betas)
    return np.log(np.append(self.posterior_variance[1], self.posterior_variance[1:]))

  @functools.cached_property
  def posterior_mean_x_0(self):
    """Computes the weight of x_0 in the mean of q(x_{t-1} | x_t, x_0)."""
    return self.betas * np.sqrt(self.alpha_bar_prev) / (1.0 - self.alpha_bar)

  @functools.cached_property
  def posterior_mean_x_t(self):
    """Computes the weight of x_t in the mean of q(x_{t-1} | x_t, x_0)."""
    return (1.0 - self.alpha_bar_prev) * np.sqrt(1.0 - self.betas) / (1.0 - self.alpha_bar)

  def keep(self, timesteps):
    """Keeps the noise levels at fewer steps (increasing indices); betas are merged between them."""
    kept = np.asarray(timesteps)
    alpha_bar = self.alpha_bar[kept]
    betas = 1.0 - alpha_bar / np.append(1.0, alpha_bar[:-1])
    return Schedule(betas=betas, timesteps=self.timesteps[kept])


def linear(steps=1000, first=1e-4, last=0.02):
  """Makes the usual schedule of training: beta grows linearly from `first` to `last`."""
  return Schedule(betas=np.linspace(first, last, steps), timesteps=np.arange(steps))


def sqrt_linear(steps=1000, first=0.0015, last=0.0195):
  """Makes latent diffusion's "linear", with its values: the root of beta grows linearly."""
  betas = np.linspace(np.sqrt(first), np.sqrt(last), steps) ** 2
  return Schedule(betas=betas, timesteps=np.arange(steps))


def cosine(steps=1000, offset=0.008, most=0.999):
  """Makes abar_t = f(t) / f(0), f(t) = cos^2((t / N + s) / (1 + s) pi / 2).

  Args:
    offset: s, which keeps the first betas from being tiny.
    most: bound of beta; without it the last step would leave nothing of the signal.
  """
  t = np.arange(steps + 1) / steps
  f = np.cos((t + offset) / (1 + offset) * np.pi / 2) ** 2
  betas = np.minimum(1 - f[1:] / f[:-1], most)
  return Schedule(betas=betas, timesteps=np.arange(steps))


@dataclasses.dataclass(frozen=True)
class Spacing:
  """Which steps of a full schedule are kept; its subclasses say how. `str` is 'trailing4'."""

  count: int  # N

  def kept(self, total):
    """Returns N of `total` steps, increasing."""
    raise NotImplementedError

  def __str__(self):
    return f'{type(self).__name__.lower()}{self.count}'


class Trailing(Spacing):
  """N equal strides counted down from the last step (4 of 1000: 249, 499, 749, 999).

  Sampling starts at noise and spends no evaluation on a signal that is clean already (Lin et al.
  2023, "Common diffusion noise schedules and sample steps are flawed", section 3.3).
  """

  def kept(self, total):
    return np.round(total * np.arange(1, self.count + 1) / self.count).astype(int) - 1


class Even(Spacing):
  """N steps over the whole range, both ends included."""

  def kept(self, total):
    if self.count == 1:  # noise to signal in one step: it is to see noise
      return np.asarray([total - 1])
    stride = (total - 1) / (self.count - 1)
    kept, position = [], 0.0
    for _ in range(self.count):  # accumulated in floating point, half to even, as the original
      kept.append(round(position))
      position += stride
    return np.asarray(kept)


class DDIM(Spacing):
  """Every s-th step from 0, with the smallest s that gives N (25 of 1000: 0, 40, .., 960)."""

  def kept(self, total):
    for stride in range(1, total + 1):
      if len(range(0, total, stride)) == self.count:
        return np.arange(0, total, stride)
    raise InputError(
      f'no whole stride takes {self.count} of {total} steps: choose another N, or even{self.count}'
    )


SPACINGS = {'trailing': Trailing, 'even': Even, 'ddim': DDIM}


def spacing(steps):
  """Reads a spacing as configs and flags write it: N or 'trailingN', 'evenN', 'ddimN'.

  Raises:
    InputError: it is none of them.
  """
  if isinstance(steps, Spacing):
    return steps
  match = re.fullmatch('(ddim|trailing|even|)([0-9]+)', str(steps))
  if not match:
    raise InputError(f"spacing is {steps!r}, expected N, 'trailingN', 'evenN' or 'ddimN'")
  return SPACINGS[match[1] or 'trailing'](int(match[2]))


def spaced(total, steps):
  """Returns which of `total` steps to keep, increasing.

  Args:
    total: number of steps of the full schedule.
    steps: a `Spacing`, or how configs write one; a plain number is trailing.

  Raises:
    InputError: it is no spacing, or N is not within 1..total, or no whole stride gives N steps.
  """
  chosen = spacing(steps)
  if not 1 <= chosen.count <= total:
    raise InputError(f'spacing is {str(chosen)!r}, expected 1 to {total} steps')
  return chosen.kept(total)


def at(table, t, like):
  """Reads entries of a table, shaped to broadcast against an array.

  Args:
    table: float64 [N].
    t: int [B] (one per sample) or a scalar (one for all).
    like: array [B, ...] whose rank and dtype the result takes.

  Returns:
    [B, 1, ..] or [1, 1, ..].
  """
  values = jnp.asarray(table, like.dtype)[t]
  return values.reshape(values.shape + (1,) * (like.ndim - values.ndim))
