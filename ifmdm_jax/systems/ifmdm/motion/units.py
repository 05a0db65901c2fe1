"""How the network sees motion codes and speech features: numbers near 0 and 1.

The paper feeds both as they are. With a motion code whose directions differ in size and whose pose
has no common origin (everybody sits somewhere else), it is easier to learn from standardised ones.
"""

from __future__ import annotations

import pathlib

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax import files
from ifmdm_jax.errors import InputError


@flax.struct.dataclass
class Units:
  """Invertible change of units, a pytree: constant weights that are never trained.

  Attributes:
    statistics: of the training clips. 'code_mean', 'code_std': of all codes; 'change_std': of a
      code less the one before its window; 'window_std': typical deviation within a window, [M]
      each; 'feature_mean', 'feature_std': [A].
    relative: bool [M], directions that are counted from the hint, the code before the window: who
      somebody is drops out, and windows join without a seam.
    told: bool [M], directions whose mean and deviation the tokens tell. Lips are better not told: a
      portrait's closed mouth would be taken for the mean of its speech.
    octaves: tell deviations as powers of two of the typical one, so that 0, which also stands for
      "not given", means typical and not motionless.
  """

  statistics: dict
  relative: jax.Array
  told: jax.Array
  octaves: bool = flax.struct.field(pytree_node=False, default=False)

  def features(self, y):
    """Speech features, [B, 2T, A]."""
    return (y - self._s('feature_mean')) / self._s('feature_std')

  def code(self, h):
    """The hint, [B, 1, M]; always absolute: it tells who speaks, and whether lips are open."""
    return (h - self._s('code_mean')) / self._s('code_std')

  def deviation(self, std):
    """Deviation within a window, [B, 1, M]; of the typical one, see `octaves`."""
    ratio = std / self._s('window_std')
    return jnp.log2(jnp.clip(ratio, 1 / 8, 8.0)) if self.octaves else ratio

  def motion(self, codes, hint):
    """Codes [B, T, M] after hint [B, 1, M] -> what the diffusion works on."""
    change = (codes - hint) / self._s('change_std')
    return jnp.where(self.relative[None, None], change, self.code(codes))

  def codes(self, motion, hint):
    """The inverse of `motion`."""
    moved = hint + motion * self._s('change_std')
    placed = self._s('code_mean') + motion * self._s('code_std')
    return jnp.where(self.relative[None, None], moved, placed)

  def controls(self, hint, mean=None, std=None):
    """Hint, mean and std [B, 1, M] as tokens see them; what is not given is zeros: dropped."""
    absent = jnp.zeros_like(hint)
    tell = lambda x: jnp.where(self.told[None, None], x, absent)
    mean = absent if mean is None else tell(self.motion(mean, hint))
    std = absent if std is None else tell(self.deviation(std))
    return self.code(hint), mean, std

  def _s(self, name):
    return jnp.asarray(self.statistics[name])[None, None]


def plain(motion_dim, audio_width):
  """Codes and features as they are: the paper."""
  zeros, ones = np.zeros(motion_dim, np.float32), np.ones(motion_dim, np.float32)
  statistics = dict(
    code_mean=zeros,
    code_std=ones,
    change_std=ones,
    window_std=ones,
    feature_mean=np.zeros(audio_width, np.float32),
    feature_std=np.ones(audio_width, np.float32),
  )
  return Units(statistics, np.zeros(motion_dim, bool), np.ones(motion_dim, bool))


def load(path, motion_dim, audio_width, relative=0, untold=(0, 0)):
  """Units from the statistics that the preparation of the data leaves.

  Args:
    path: statistics.npz.
    motion_dim, audio_width: M and A.
    relative: how many leading directions are counted from the hint.
    untold: first and one past the last direction that mean and deviation leave out.

  Raises:
    InputError: the file is missing, or was measured on other codes or features.
  """
  path = pathlib.Path(path)
  if not path.is_file():
    raise InputError(
      f'expected statistics of the training clips at {path}, found no such file: '
      'prepare the data, or set config.model.units to an empty string'
    )
  found = {name: np.float32(x) for name, x in files.read_arrays(path).items()}
  statistics = {}
  for name, value in plain(motion_dim, audio_width).statistics.items():
    if name not in found or found[name].shape != value.shape:
      came = found[name].shape if name in found else 'nothing'
      raise InputError(
        f'{path} should hold {name} {value.shape}, holds {came}: prepare the data '
        'again, or fit config.model to it'
      )
    statistics[name] = found[name]
    if name.endswith('_std'):  # a direction that never moves stays where it is
      statistics[name] = np.maximum(found[name], 1e-6)
  direction = np.arange(motion_dim)
  told = (direction < untold[0]) | (direction >= untold[1])
  return Units(statistics, direction < relative, told, octaves=True)
