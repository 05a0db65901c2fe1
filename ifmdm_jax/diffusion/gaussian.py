"""Gaussian diffusion: adding noise, reading a network's output, and the training objective.

Source: Ho et al. 2020 (equations 4-8), Nichol & Dhariwal 2021 (learned range of the variance,
section 3.1), as used by DiT (Peebles & Xie 2023) and through it by the paper's second stage.
Arrays are [B, ..., C]; `t` counts the kept steps of the schedule and is int [B] or a scalar.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.diffusion.schedule import Schedule, at
from ifmdm_jax.errors import InputError

PREDICTIONS = ('eps', 'x_0', 'v')


class Prediction(NamedTuple):
  """What one evaluation of the network says about step t; all [B, ..., C]."""

  x_0: jax.Array  # the clean signal
  eps: jax.Array  # the noise, consistent with x_0
  mean: jax.Array  # of p(x_{t-1} | x_t)
  log_variance: jax.Array  # of p(x_{t-1} | x_t)


class Terms(NamedTuple):
  """Training objective, one value per sample."""

  mse: jax.Array  # [B]
  vb: jax.Array  # [B], bits per element; zeros where the variance is fixed
  x_0: jax.Array  # [B, ..., C], predicted clean signal, for further losses


@dataclasses.dataclass(frozen=True)
class Gaussian:
  """A schedule and what the network predicts on it.

  Attributes:
    schedule: the kept steps.
    prediction: 'eps' (the paper), 'x_0', or 'v' = sqrt(abar) eps - sqrt(1 - abar) x_0 (Salimans &
      Ho 2022).
    learn_sigma: the output is [prediction | range] on the last axis, where range moves the
      log-variance between its two bounds (the paper); otherwise the lower bound is used.
    clip: bound on |x_0| while sampling, or None.
  """

  schedule: Schedule
  prediction: str = 'eps'
  learn_sigma: bool = True
  clip: float | None = None

  def __post_init__(self):
    if self.prediction not in PREDICTIONS:
      raise InputError(f'prediction is {self.prediction!r}, expected one of {PREDICTIONS}')

  # -- the forward process

  def q_sample(self, x_0, noise, t):
    """Adds noise: x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps."""
    alpha_bar = self.schedule.alpha_bar
    return at(np.sqrt(alpha_bar), t, x_0) * x_0 + at(np.sqrt(1 - alpha_bar), t, x_0) * noise

  def posterior(self, x_0, x_t, t):
    """Computes the mean [B, ..., C] and log-variance [B, 1, ..] of q(x_{t-1} | x_t, x_0)."""
    s = self.schedule
    mean = at(s.posterior_mean_x_0, t, x_t) * x_0 + at(s.posterior_mean_x_t, t, x_t) * x_t
    return mean, at(s.posterior_log_variance, t, x_t)

  # -- the network's side

  def target(self, x_0, noise, t):
    """Returns what the network should have said."""
    alpha_bar = self.schedule.alpha_bar
    match self.prediction:
      case 'eps':
        return noise
      case 'x_0':
        return x_0
      case 'v':
        return at(np.sqrt(alpha_bar), t, x_0) * noise - at(np.sqrt(1 - alpha_bar), t, x_0) * x_0

  def x_0_of(self, value, x_t, t):
    """Computes the clean signal from the predicted quantity."""
    alpha_bar = self.schedule.alpha_bar
    match self.prediction:
      case 'eps':
        noise_share = at(np.sqrt(1 / alpha_bar - 1), t, x_t)
        return at(np.sqrt(1 / alpha_bar), t, x_t) * x_t - noise_share * value
      case 'x_0':
        return value
      case 'v':
        return at(np.sqrt(alpha_bar), t, x_t) * x_t - at(np.sqrt(1 - alpha_bar), t, x_t) * value

  def eps_of(self, x_0, x_t, t):
    """Computes the noise that explains x_t, given the clean signal."""
    alpha_bar = self.schedule.alpha_bar
    scaled = at(np.sqrt(1 / alpha_bar), t, x_t) * x_t
    return (scaled - x_0) / at(np.sqrt(1 / alpha_bar - 1), t, x_t)

  def split(self, output):
    """Splits the output of the network into (prediction, range or None)."""
    return jnp.split(output, 2, axis=-1) if self.learn_sigma else (output, None)

  def log_variance_of(self, range_, x_t, t):
    """Interpolates the log-variance: range -1 is the posterior's, +1 is beta; not clamped."""
    low = at(self.schedule.posterior_log_variance, t, x_t)
    if range_ is None:
      return jnp.broadcast_to(low, x_t.shape)
    a = (range_ + 1) / 2
    return a * at(np.log(self.schedule.betas), t, x_t) + (1 - a) * low

  def predict(self, output, x_t, t, clip=None, amend=None):
    """Reads the output [B, ..., C or 2C] of the network at x_t [B, ..., C] as a Prediction.

    amend: x_0 -> x_0, puts right what is known of the clean signal.
    """
    value, range_ = self.split(output)
    x_0 = self.x_0_of(value, x_t, t)
    if clip is not None:
      x_0 = jnp.clip(x_0, -clip, clip)
    if amend is not None:
      x_0 = amend(x_0)
    mean, _ = self.posterior(x_0, x_t, t)
    return Prediction(
      x_0=x_0,
      eps=self.eps_of(x_0, x_t, t),
      mean=mean,
      log_variance=self.log_variance_of(range_, x_t, t),
    )

  # -- the objective

  def loss_terms(self, output, x_0, x_t, noise, t, weights=None):
    """Computes the squared error, and the variational bound that trains the variance.

    The two are added without weights in the paper. The bound sees a detached prediction, so it
    moves the range alone.

    Args:
      output: [B, ..., C or 2C], the network at x_t.
      x_0, x_t, noise: [B, ..., C].
      t: int [B].
      weights: [B, ..., C] or broadcastable with the same rank; means over elements become
        weighted means. Without it all elements count the same.
    """
    value, range_ = self.split(output)
    mse = weighted_mean((self.target(x_0, noise, t) - value) ** 2, weights)
    vb = jnp.zeros_like(mse)
    if range_ is not None:
      detached = jnp.concatenate([jax.lax.stop_gradient(value), range_], axis=-1)
      vb = self.bound_bits(detached, x_0, x_t, t, weights)
    return Terms(mse=mse, vb=vb, x_0=self.x_0_of(value, x_t, t))

  def bound_bits(self, output, x_0, x_t, t, weights=None):
    """Computes one term of the variational bound, in bits per element: [B].

    The Kullback-Leibler distance of the model's step from the true posterior; at t = 0 the
    negative log-likelihood of x_0 itself.
    """
    true_mean, true_log_variance = self.posterior(x_0, x_t, t)
    model = self.predict(output, x_t, t)
    divergence = normal_kl(true_mean, true_log_variance, model.mean, model.log_variance)
    nll = -discretised_log_likelihood(x_0, model.mean, 0.5 * model.log_variance)
    first = (t == 0).reshape(t.shape + (1,) * (x_0.ndim - t.ndim))
    return weighted_mean(jnp.where(first, nll, divergence), weights) / float(np.log(2.0))


def normal_kl(mean_p, log_variance_p, mean_q, log_variance_q):
  """Computes KL(p || q) of two diagonal gaussians, in nats per element."""
  difference = log_variance_p - log_variance_q
  return 0.5 * (
    jnp.exp(difference) - difference - 1 + (mean_p - mean_q) ** 2 * jnp.exp(-log_variance_q)
  )


def discretised_log_likelihood(x, mean, log_scale):
  """Computes the log-likelihood of x under a gaussian in 8-bit bins over [-1, 1], nats each.

  An image formula that the paper's code uses on motion too; the outermost bins are open.
  """

  def cdf(z):  # tanh approximation of the normal distribution function
    return 0.5 * (1 + jnp.tanh(float(np.sqrt(2 / np.pi)) * (z + 0.044715 * z**3)))

  def log(p):
    return jnp.log(jnp.maximum(p, 1e-12))

  half_bin = 1 / 255
  upper = cdf((x - mean + half_bin) * jnp.exp(-log_scale))
  lower = cdf((x - mean - half_bin) * jnp.exp(-log_scale))
  inner = log(upper - lower)
  return jnp.where(x < -0.999, log(upper), jnp.where(x > 0.999, log(1 - lower), inner))


def weighted_mean(values, weights=None):
  """Averages over all axes but the first: [B, ...] -> [B]; 0 for a sample without any weight."""
  axes = tuple(range(1, values.ndim))
  if weights is None:
    return values.mean(axes)
  weights = jnp.broadcast_to(weights, values.shape)
  total = weights.sum(axes)
  return (values * weights).sum(axes) / jnp.where(total > 0, total, 1)
