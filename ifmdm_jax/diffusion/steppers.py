"""From noise to signal: one step of DDPM, DDIM or DPM-Solver++, and the scan that repeats it.

Source: Ho et al. 2020, algorithm 2; Song et al. 2021, "Denoising Diffusion Implicit Models",
equation 12; Lu et al. 2022, "DPM-Solver++", algorithm 2.
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

  def __call__(self, schedule, prediction, i, noise, x_0_before):
    del x_0_before
    alive = at(np.arange(len(schedule)) > 0, i, noise)  # the last step adds nothing
    return prediction.mean + alive * jnp.exp(0.5 * prediction.log_variance) * noise


@dataclasses.dataclass(frozen=True)
class DDIM:
  """Towards x_0 along the predicted noise; eta = 0 is deterministic, eta = 1 is close to DDPM."""

  eta: float = 0.0

  @property
  def stochastic(self):
    return self.eta > 0

  def __call__(self, schedule, prediction, i, noise, x_0_before):
    del x_0_before
    now, before = schedule.alpha_bar, schedule.alpha_bar_prev
    sigma = self.eta * np.sqrt((1 - before) / (1 - now)) * np.sqrt(1 - now / before)
    direction = np.sqrt(np.maximum(1 - before - sigma**2, 0))
    x_0, eps = prediction.x_0, prediction.eps
    x = at(np.sqrt(before), i, x_0) * x_0 + at(direction, i, eps) * eps
    return x + at(sigma, i, x) * noise if self.stochastic else x


@dataclasses.dataclass(frozen=True)
class DPMSolver:
  """DPM-Solver++(2M): DDIM along the line through the last two predictions of x_0.

  With h = log(alpha' sigma / (sigma' alpha)), the step in half the log signal-to-noise ratio, the
  solver's D = x_0 + h / (2 h_last) (x_0 - x_0_last) takes the place of x_0 in DDIM while x_t stays,
  which is DDIM plus a gain times the change of x_0. The first step has no predecessor and the last
  one is infinitely long: both are DDIM's.
  """

  stochastic = False

  def __call__(self, schedule, prediction, i, noise, x_0_before):
    x = DDIM()(schedule, prediction, i, noise, x_0_before)
    return x + at(self.gain(schedule), i, x) * (prediction.x_0 - x_0_before)

  def gain(self, schedule):
    """Computes the gain of the second order, float64 [N], by index of the kept step."""
    now, before = schedule.alpha_bar, schedule.alpha_bar_prev
    ratio = 0.5 * np.log(now / (1 - now))  # half the log signal-to-noise ratio, falling with i
    gain = np.zeros(len(schedule))
    if len(schedule) > 2:
      h = ratio[:-1] - ratio[1:]  # h[i - 1]: from step i to step i - 1
      share = np.sqrt(before) - np.sqrt((1 - before) * now / (1 - now))
      gain[1:-1] = share[1:-1] * h[:-1] / (2 * h[1:])
    return gain


STEPPERS = {'ddpm': DDPM(), 'ddim': DDIM(), 'dpm': DPMSolver()}


def known_region(gaussian, x_0, keep):
  """Makes a callback for `sample` that puts the noised clean signal where it is known.

  Before each step x_t becomes q_sample(x_0, t) with fresh noise where `keep` is one: inpainting
  and outpainting (RePaint, Lugmayr et al. 2022, equation 8).

  Args:
    gaussian: the `Gaussian` that is sampled with.
    x_0: [B, ..., C], the clean signal; what it holds where `keep` is zero is never read.
    keep: 1 where x_0 is known, 0 where it is to be generated; of the rank of x_0, broadcastable.
  """

  def known(x_t, t, key):
    noise = jax.random.normal(key, x_t.shape, x_t.dtype)
    return jnp.where(keep > 0, gaussian.q_sample(x_0, noise, t), x_t)

  return known


def sample(
  denoise,
  gaussian,
  stepper,
  x_T,
  noise=None,
  *,
  amend=None,
  known=None,
  key=None,
  memory=None,
  trajectory=False,
):
  """Runs all kept steps, last to first, in one scan.

  Args:
    denoise: (x_t [B, ..., C], t int scalar) -> network output [B, ..., C or 2C]; t is the index
      in the schedule of training.
    gaussian: `Gaussian`, whose schedule says which steps are kept.
    stepper: `DDPM()`, `DDIM(eta)` or `DPMSolver()`.
    x_T: [B, ..., C], standard normal noise.
    noise: [N, B, ..., C], noise of the executed steps in their order; only for a stochastic
      stepper.
    amend: x_0 -> x_0 [B, ..., C], applied to every prediction of the clean signal: parts of it that
      are given are put in place, and the next evaluation makes the rest fit them.
    known: (x_t [B, ..., C], t int scalar, key) -> x_t, applied before every evaluation; t counts
      the kept steps, as `gaussian.q_sample` does. See `known_region`. What it puts in place is
      denoised with the rest; `amend` makes it exact at the end.
    key: random key of `known`; each step gets one of its own.
    memory: tree [N, ...], what the network keeps of each executed step, in their order: keys and
      values of the frames before these, which it had seen with the same noise. With it denoise is
      called with a third argument, and returns (output, that afterwards).
    trajectory: also return every intermediate result, [N, B, ..., C].

  Returns:
    x_0 [B, ..., C], or (x_0, trajectory); with memory (x_0, memory).

  Raises:
    InputError: if the stepper draws noise and none is given, or `known` comes without a key.
  """
  if stepper.stochastic and noise is None:
    raise InputError(f'{stepper} draws noise at every step: pass noise [N, *x_T.shape]')
  if known is not None and key is None:
    raise InputError('known= draws noise at every step: pass key=')
  schedule = gaussian.schedule
  timesteps = jnp.asarray(schedule.timesteps, jnp.int32)

  def step(carry, xs):
    (x_t, x_0_before), (i, z, kept) = carry, xs
    if known is not None:
      x_t = known(x_t, i, jax.random.fold_in(key, i))
    if memory is None:
      output = denoise(x_t, timesteps[i])
    else:
      output, kept = denoise(x_t, timesteps[i], kept)
    prediction = gaussian.predict(output, x_t, i, clip=gaussian.clip, amend=amend)
    x = stepper(schedule, prediction, i, z, x_0_before)
    return (x, prediction.x_0), (x if trajectory else None, kept)

  order = jnp.arange(len(schedule), dtype=jnp.int32)[::-1]
  xs = (order, noise if stepper.stochastic else None, memory)
  (x_0, _), (path, memory) = jax.lax.scan(step, (x_T, x_T), xs)
  rest = [each for each in (path, memory) if each is not None]
  return (x_0, *rest) if rest else x_0
