"""The fit: points of a face -> identity, camera and motion."""

import numpy as np
import pytest

from ifmdm_jax.errors import InputError
from ifmdm_jax.face import points
from ifmdm_jax.systems.vlogger import axes, body, fit

SIZE, COUNT = (512, 512), 12


def person():
  """Makes a clip of a person that is known: `Fit`, scores [T, 52]."""
  draw = np.random.default_rng(3)
  wave = lambda size: size * np.sin(np.linspace(0, 6, COUNT) + draw.uniform(0, 6))
  motion = np.zeros((COUNT, len(axes.AXES)), np.float32)
  motion[:] = axes.read({'headZ': 9.0, 'headX': 0.2})
  for name, size in (('headYaw', 0.3), ('headPitch', 0.15), ('headRoll', 0.1), ('headX', 0.2)):
    motion[:, axes.INDEX[name]] += wave(size)
  for name in ('jawOpen', 'eyeBlinkLeft', 'eyeBlinkRight', 'browInnerUp', 'mouthSmileLeft'):
    motion[:, axes.INDEX[name]] = np.abs(wave(0.8))
  gaze = wave(0.2)[:, None]
  motion[:, [axes.INDEX['gazeLeftYaw'], axes.INDEX['gazeRightYaw']]] = gaze
  identity = np.float32(draw.normal(0, 0.7, len(body.load().identity)))
  scores = np.concatenate([np.zeros((COUNT, 1)), motion[:, :51]], 1)
  scores[:, 1:] = np.clip(scores[:, 1:] + draw.normal(0, 0.1, (COUNT, 51)), 0, 1)
  return fit.Fit(identity, 1400.0, motion, np.zeros(COUNT), SIZE), scores.astype(np.float32)


@pytest.fixture(scope='module')
def known():
  return person()


@pytest.fixture(scope='module')
def found(known):
  truth, scores = known
  places = fit.drawn(truth).copy()
  places[4] = np.nan  # a frame without a face
  return fit.fit(places, scores, SIZE)


def test_a_drawn_person_is_found_again(known, found):
  truth, _ = known
  good = np.arange(COUNT) != 4
  assert found.error[good].mean() < 0.004  # of the eye distance
  for name, least in (('jawOpen', 0.98), ('eyeBlinkLeft', 0.97), ('headYaw', 0.99),
                      ('headPitch', 0.97), ('gazeLeftYaw', 0.97)):  # fmt: skip
    pair = (each.motion[good, axes.INDEX[name]] for each in (truth, found))
    assert np.corrcoef(*pair)[0, 1] > least, name


def test_a_frame_without_a_face_stays_unknown(found):
  assert np.isnan(found.motion[4]).all() and np.isnan(found.error[4])
  assert np.isfinite(np.delete(found.motion, 4, 0)).all()


def test_units_stay_between_nothing_and_all(found):
  units = np.delete(found.motion, 4, 0)[:, :51]
  assert units.min() >= 0 and units.max() <= 1


def test_a_photo_of_a_known_person_is_fitted_without_scores(known):
  truth, _ = known
  place = fit.drawn(truth)[:1]
  found = fit.fit(place, None, SIZE, identity=truth.identity)
  assert found.error[0] < 0.01
  np.testing.assert_array_equal(found.identity, truth.identity)


def test_the_points_of_the_mesh_without_irises_are_enough(known):
  truth, scores = known
  found = fit.fit(fit.drawn(truth)[:, : points.POINTS], scores, SIZE)
  assert found.error.mean() < 0.005
  assert np.abs(found.motion[:, axes.indices('gaze')]).max() < 1e-3


@pytest.mark.parametrize('value', [np.nan, 5.0])
def test_a_film_without_a_face_is_one_clear_line(value):
  with pytest.raises(InputError, match='expected a face'):
    fit.fit(np.full((3, 478, 2), value), None, SIZE)
