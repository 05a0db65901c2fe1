"""The bundled weights at work: performances of the bundled portrait."""

import pathlib

import numpy as np
import pytest

import ifmdm_jax as ifm
from ifmdm_jax import bundle
from ifmdm_jax.clip import Clip
from ifmdm_jax.face.points import mouth_opening
from ifmdm_jax.face.units import FaceUnits

FIXTURES = pathlib.Path(__file__).parents[3] / 'data' / 'fixtures'


@pytest.fixture(scope='module')
def takes():
  """(the portrait, two performances of a second of speech [2, 25, 512, 512, 3])."""
  image = ifm.read_portrait(FIXTURES / 'portrait.jpg')
  voice, rate = ifm.read_voice(FIXTURES / 'speech.wav')
  clip = Clip(image=image, waveform=voice[rate : 2 * rate], rate=rate)
  sampler = ifm.load(bundle.chosen(None, 'vlogger'))
  made = [np.concatenate(list(sampler.generate(clip, seed=seed))) for seed in range(2)]
  return image, np.stack(made)


def test_takes_differ_in_the_face_and_not_behind_it(takes):
  image, made = takes
  assert made.shape == (2, 25, 512, 512, 3)
  apart = np.abs(made[0].astype(int) - made[1]).mean((0, -1))
  points = FaceUnits().track([image])[0][0]
  (x0, y0), (x1, y1) = (points.min(0).astype(int), points.max(0).astype(int))
  corners = np.concatenate([apart[:48, :48].ravel(), apart[:48, -48:].ravel()])
  assert apart[y0:y1, x0:x1].mean() > 2 and corners.mean() < 0.5


def test_it_is_the_person_of_the_portrait_who_speaks(takes):
  image, made = takes
  away = np.abs(made.astype(int) - image).mean((1, 2, 3, 4))
  assert (away < 12).all()
  points, scores = FaceUnits().track(made[0])
  assert np.isfinite(scores).all()
  assert np.ptp(mouth_opening(points)) > 0.02
