import cv2
import numpy as np
import pytest

import ifmdm_jax as ifm
from ifmdm_jax.evaluation import eyelids
from ifmdm_jax.evaluation.types import Absent
from tests.evaluation import synthetic
from tests.face.conftest import PORTRAIT
from tests.face.test_units import shut


@pytest.fixture(scope='module')
def scorer():
  return eyelids.load()


@pytest.fixture(scope='module')
def films(scorer):
  """One person who blinks twice, who blinks at another time, and who stares; and a wall."""
  face = cv2.resize(ifm.read_portrait(PORTRAIT), (256, 256))
  points, _ = scorer._reader.track([face])
  frames = {False: face, True: shut(face, points[0])}
  film = lambda *blinks: np.stack([frames[t in blinks] for t in range(8)])
  return film(1, 2, 5), film(3, 6, 7), film(), np.zeros((8, *face.shape), np.uint8)


def score(scorer, made, real):
  points = synthetic.mesh(len(real))
  return scorer.score(synthetic.Pair('c', 'p', made, real, points, points))['eyelid_r']


def test_lids_that_close_with_the_real_ones_are_told_from_others(scorer, films):
  blinks, others, stares, wall = films
  assert score(scorer, blinks, blinks) == pytest.approx(1.0)
  assert score(scorer, others, blinks) < 0.0
  assert score(scorer, stares, blinks) == 0.0
  assert isinstance(score(scorer, wall, blinks), Absent)
