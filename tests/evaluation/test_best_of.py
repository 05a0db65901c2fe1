import numpy as np
import pytest

from ifmdm_jax.evaluation import best_of, landmarks
from ifmdm_jax.evaluation.types import Absent
from tests.evaluation import synthetic


class Distances:
  """Stands for the sync networks: the distance of each sample; published weights are missing."""

  def __init__(self, *values):
    self.values = iter(values)

  def score(self, pair):
    return {'lse_d': Absent('not imported'), 'lse_d_own': next(self.values)}


@pytest.fixture
def pairs():
  """Samples of one clip: the clip itself, one whose lips stand still, one whose lips move half."""
  clip = synthetic.pair()
  still = clip.landmarks[:1]
  moving = lambda share: still + share * (clip.landmarks - still)
  return [synthetic.replace(clip, landmarks=moving(share)) for share in (1.0, 0.0, 0.5)]


def test_the_best_is_the_lowest_and_a_take_is_as_good_as_the_mean(pairs):
  scorers = {'landmarks': landmarks.Scorer(), 'lip_sync': Distances(0.9, 0.7, 0.8)}
  scores = best_of.score(pairs, scorers)
  alone = [landmarks.Scorer().score(pair)['lmd'] for pair in pairs]
  assert scores['best_lmd'] == alone[0] == 0 and scores['take_lmd'] == np.mean(alone) > 0
  assert scores['best_lse_d_own'] == 0.7 and scores['take_lse_d_own'] == pytest.approx(0.8)
  assert set(scores) == set(best_of.METRICS)


def test_each_figure_has_a_best_of_its_own(pairs):
  """The sample whose lips are right is the one whose sync is worst here."""
  scorers = {'landmarks': landmarks.Scorer(), 'lip_sync': Distances(0.9, 0.7, 0.8)}
  scores = best_of.score(pairs, scorers)
  assert scores['best_lmd'] == 0 and scores['best_lse_d_own'] == 0.7


def test_what_is_missing_says_why(pairs):
  scorers = {'landmarks': Absent('no mesh'), 'lip_sync': Distances(0.9, 0.7, 0.8)}
  scores = best_of.score(pairs, scorers)
  assert scores['best_lmd'].reason == scores['take_f_lmd'].reason == 'no mesh'
  assert scores['best_lse_d'].reason == 'not imported' and scores['best_lse_d_own'] == 0.7
