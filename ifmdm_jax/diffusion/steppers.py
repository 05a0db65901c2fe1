"""From noise to signal: one step of DDPM or DDIM, and the scan that repeats it.

Source: Ho et al. 2020, algorithm 2; Song et al. 2021, "Denoising Diffusion Implicit Models",
equation 12.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.diffusion.schedule import at
from ifmdm_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class DDPM:
  """Ancestral sampling: a draw from the model's own p(x_{t-1} | x_t)."""

  stochastic = True

  def __call__(self, schedule, prediction, i, noise):
    alive = at(np.arange(len(schedule)) > 0, i, noise)  # the last step adds nothing
    return prediction.mean + alive * jnp.exp(0.5 * prediction.log_variance) * noise


@dataclasses.dataclass(frozen=True)
class DDIM:
  """Towards x_0 along the predicted noise; eta = 0 is deterministic, eta = 1 is close to DDPM."""

  eta: float = 0.0

  @property
  def stochastic(self):
    return self.eta > 0

  def __call__(self, schedule, prediction, i, noise):
    now, before = schedule.alpha_bar, schedule.alpha_bar_prev
    sigma = self.eta * np.sqrt((1 - before) / (1 - now)) * np.sqrt(1 - now / before)
    direction = np.sqrt(np.maximum(1 - before - sigma**2, 0))
    x_0, eps = prediction.x_0, prediction.eps
    x = at(np.sqrt(before), i, x_0) * x_0 + at(direction, i, eps) * eps
    return x + at(sigma, i, x) * noise if self.stochastic else x


STEPPERS = {'ddpm': DDPM(), 'ddim': DDIM()}


def sample(denoise, gaussian, stepper, x_T, noise=None, *, trajectory=False):
  """Runs all kept steps, last to first, in one scan.

  Args:
    denoise: (x_t [B, ..., C], t int scalar) -> network output [B, ..., C or 2C]; t is the index
      in the schedule of training.
    gaussian: `Gaussian`, whose schedule says which steps are kept.
    stepper: `DDPM()` or `DDIM(eta)`.
    x_T: [B, ..., C], standard normal noise.
    noise: [N, B, ..., C], noise of the executed steps in their order; only for a stochastic
      stepper.
    trajectory: also return every intermediate result, [N, B, ..., C].

  Returns:
    x_0 [B, ..., C], or (x_0, trajectory).

  Raises:
    InputError: if the stepper draws noise and none is given.
  """
  if stepper.stochastic and noise is None:
    raise InputError(f'{stepper} draws noise at every step: pass noise [N, *x_T.shape]')
  schedule = gaussian.schedule
  timesteps = jnp.asarray(schedule.timesteps, jnp.int32)

  def step(x_t, xs):
    i, z = xs
    prediction = gaussian.predict(denoise(x_t, timesteps[i]), x_t, i, clip=gaussian.clip)
    x = stepper(schedule, prediction, i, z)
    return x, (x if trajectory else None)

  order = jnp.arange(len(schedule), dtype=jnp.int32)[::-1]
  x_0, path = jax.lax.scan(step, x_T, (order, noise if stepper.stochastic else None))
  return (x_0, path) if trajectory else x_0
