"""Whether lids go with those of the real video, frame by frame.

Seen by the 478 points of `face.units`: the mesh that other figures use hardly sees a blink.
"""

import numpy as np

from ifmdm_jax.evaluation import eyes
from ifmdm_jax.evaluation.types import Absent, Metric
from ifmdm_jax.face import units
from ifmdm_jax.face.lag import correlation

METRICS = {
  'eyelid_r': Metric('up', '', 'Pearson r of the gap of the lids with the real one', 2),
}
FEWEST = 5  # frames with both faces
STILL = 0.003  # deviation of the gap, widths of an eye, that is seen of lids which stand still


def load(weights=None):
  return Scorer(units.FaceUnits())


class Scorer(eyes.Scorer):
  """Over the frames in which both videos show a face."""

  def score(self, pair):
    predicted, real = map(self.opening, (pair.predicted, pair.reference))
    both = np.isfinite(predicted) & np.isfinite(real)
    if both.sum() < FEWEST:
      return {'eyelid_r': Absent(f'a face in both videos in {both.sum()} of {len(both)} frames')}
    if np.median(real[both]) < eyes.NARROW:
      return {'eyelid_r': Absent('eyes too narrow to tell a blink')}
    moves = predicted[both].std() > STILL
    return {'eyelid_r': correlation(predicted[both], real[both]) if moves else 0.0}
