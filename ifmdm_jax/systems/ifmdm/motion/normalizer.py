"""Brings motion codes and speech features to what the network sees: numbers near 0 and 1.

The paper feeds both as they are. With a motion code whose directions differ in size and whose pose
has no common origin (everybody sits somewhere else), it is easier to learn from standardised ones,
counted from an origin that belongs to the person. Counted from a *fixed* one, the rest of a
reference (the portrait; in training any frame of the clip), a chain of windows has a place to
return to for ever; counted from the hint, the last code made, its errors add up to a random walk.
"""

from __future__ import annotations

import pathlib

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax import files
from ifmdm_jax.errors import InputError

KNOWN = 2.0  # deviations of the training people, within which the network sees who somebody is


@flax.struct.dataclass
class Normalizer:
  """An invertible change of units, a pytree: constant weights that are never trained.

  Attributes:
    statistics: of the training clips. 'code_mean', 'code_std': of all codes; 'change_std': of a
      code less the one before its window; 'window_std': typical deviation within a window, [M]
      each; 'feature_mean', 'feature_std': [A].
    relative: bool [M], directions that are counted from the hint, the code before the window: who
      somebody is drops out, and windows join without a seam.
    conditioned: bool [M], directions that mean and deviation say something about. Lips are better
      left out: a portrait's closed mouth would be taken for the mean of its speech.
    log_std: see deviations as powers of two of the typical one, so that 0, which also stands for
      "not given", means typical and not motionless.
    fixed: count from the rest of the reference and not from the hint. The hint token then holds
      both, the hint counted from there and the reference itself, [B, 1, 2M]; see `FIXED` for the
      statistics that it needs besides.
  """

  statistics: dict
  relative: jax.Array
  conditioned: jax.Array
  log_std: bool = flax.struct.field(pytree_node=False, default=False)
  fixed: bool = flax.struct.field(pytree_node=False, default=False)

  def features(self, y):
    """Normalises speech features [B, 2T, A]."""
    return (y - self._s('feature_mean')) / self._s('feature_std')

  def code(self, h):
    """Normalises a code [B, 1, M]; always absolute: who speaks, and whether lips are open."""
    return (h - self._s('code_mean')) / self._s('code_std')

  def deviation(self, std):
    """Normalises deviations within a window, [B, 1, M], by the typical one; see `log_std`."""
    ratio = std / self._s('window_std')
    return jnp.log2(jnp.clip(ratio, 1 / 8, 8.0)) if self.log_std else ratio

  def rest(self, reference):
    """Closes the lips of a reference [B, 1, M], as far as its mouth is open.

    Opening is linear in codes to 0.006 of the eyes' distance. A smile stays one.
    """
    open_by = self.opening(reference)[..., None]
    return reference - jnp.maximum(open_by, 0.0) * self._s('opening_way')

  def opening(self, codes):
    """Reads how far a mouth is open beyond what may be closed from codes [..., M], linearly: [...],
    in distances of the outer corners of the eyes.

    Raises:
      InputError: nobody has measured it on these codes.
    """
    if not self.fixed:
      raise InputError('expected statistics with mouth openings: counted from the rest, see FIXED')
    return codes @ self.statistics['opening_weight'] + self.statistics['opening_bias'][0]

  def inside(self, codes, reference, slack=1e-3):
    """Says which codes [..., M] lie within the range of people around a rest, bool [..., M].

    What the belt of `bounded` holds is not inside: it lies on the border.
    """
    away = codes - np.asarray(self.rest(jnp.asarray(reference)[None]))[0]
    low, high = self.statistics['lowest'], self.statistics['highest']
    return (away > low * (1 - slack)) & (away < high * (1 - slack))

  def origin(self, hint, reference=None):
    """Says where codes are counted from, [B, 1, M]; without a reference the hint is one."""
    if not self.fixed:
      return hint
    return self.rest(hint if reference is None else reference)

  def motion(self, codes, origin):
    """Counts codes [B, T, M] from `origin` [B, 1, M]: what the diffusion works on."""
    change = (codes - origin) / self._unit()
    return jnp.where(self.relative[None, None], change, self.code(codes))

  def codes(self, motion, origin):
    """Inverts `motion`."""
    moved = origin + motion * self._unit()
    placed = self._s('code_mean') + motion * self._s('code_std')
    return jnp.where(self.relative[None, None], moved, placed)

  def bounded(self, codes, origin):
    """Clips codes to the range of the training people around their rest: a last belt, no cure."""
    if not self.fixed:
      return codes
    return jnp.clip(codes, origin + self._s('lowest'), origin + self._s('highest'))

  def condition(self, given):
    """Brings a `Condition` to the network's units; statistics that are not given are zeros.

    With a fixed origin the hint is [B, 1, 2M]: counted from there, and who it is.
    """
    hint, absent = given.hint, jnp.zeros_like(given.hint)
    origin = self.origin(hint, given.reference)
    keep = lambda x: jnp.where(self.conditioned[None, None], x, absent)
    mean = absent if given.mean is None else keep(self.motion(given.mean, origin))
    std = absent if given.std is None else keep(self.deviation(given.std))
    if given.given is not None:  # zeros are what training puts where a token is dropped
      mean = jnp.where(given.given[:, :1, None], mean, 0.0)
      std = jnp.where(given.given[:, 1:, None], std, 0.0)
    token = self.code(hint)
    if self.fixed:
      who = self.code(hint if given.reference is None else given.reference)
      # A stranger beyond all who were learned from would be moved as nobody moves: twice as far.
      token = jnp.concatenate([self.motion(hint, origin), jnp.clip(who, -KNOWN, KNOWN)], axis=-1)
    return given.replace(
      y=self.features(given.y), hint=token, mean=mean, std=std, given=None, reference=None
    )

  def _unit(self):
    return self._s('reference_std' if self.fixed else 'change_std')

  def _s(self, name):
    return jnp.asarray(self.statistics[name])[None, None]


FIXED = (
  'reference_std', 'opening_weight', 'opening_bias', 'opening_way', 'lowest', 'highest'
)  # fmt: skip


def plain(motion_dim, audio_width):
  """Leaves codes and features as they are: the paper."""
  zeros, ones = np.zeros(motion_dim, np.float32), np.ones(motion_dim, np.float32)
  statistics = dict(
    code_mean=zeros,
    code_std=ones,
    change_std=ones,
    window_std=ones,
    feature_mean=np.zeros(audio_width, np.float32),
    feature_std=np.ones(audio_width, np.float32),
  )
  return Normalizer(statistics, np.zeros(motion_dim, bool), np.ones(motion_dim, bool))


def load(path, motion_dim, audio_width, relative=0, unconditioned_dims=(0, 0), fixed=False):
  """Reads the statistics that the preparation of the data leaves.

  Args:
    path: statistics.npz.
    motion_dim, audio_width: M and A.
    relative: how many leading directions are counted from the hint.
    unconditioned_dims: first and one past the last direction that mean and deviation leave out.
    fixed: count from the rest of a reference and not from the hint.

  Raises:
    InputError: the file is missing, or was measured on other codes or features.
  """
  path = pathlib.Path(path)
  if not path.is_file():
    raise InputError(
      f'expected statistics of the training clips at {path}, found no such file: '
      'prepare the data, or set config.model.normalizer to an empty string'
    )
  measured = files.read_arrays(path)
  statistics, expected = {}, plain(motion_dim, audio_width).statistics
  if fixed:
    expected |= dict.fromkeys(FIXED, np.zeros(motion_dim)) | {'opening_bias': np.zeros(1)}
  for name, value in expected.items():
    if name not in measured or measured[name].shape != value.shape:
      came = measured[name].shape if name in measured else 'nothing'
      raise InputError(
        f'{path} should hold {name} {value.shape}, holds {came}: prepare the data '
        'again, or fit config.model to it'
      )
    if measured[name].dtype.kind not in 'fiu' or not np.isfinite(measured[name]).all():
      raise InputError(f'{path} should hold finite numbers as {name}: prepare the data again')
    statistics[name] = np.float32(measured[name])
    if name.endswith('_std'):  # a direction that never moves stays where it is
      statistics[name] = np.maximum(statistics[name], 1e-6)
  direction = np.arange(motion_dim)
  first, end = unconditioned_dims
  conditioned = (direction < first) | (direction >= end)
  return Normalizer(statistics, direction < relative, conditioned, log_std=True, fixed=fixed)
