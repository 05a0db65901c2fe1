import numpy as np

from ifmdm_jax.face.points import smooth
from ifmdm_jax.pipeline.prep import lag


class Known:
  """Stands for the regression: the feature is the opening."""

  def predict(self, speech):
    return speech[::2, 0]


def test_a_shifted_voice_is_found():
  opening = np.random.default_rng(0).normal(size=100)
  late = np.repeat(np.roll(smooth(opening), 4), 2)[:, None]
  assert lag.lag(Known(), late, opening)[0] == 4
