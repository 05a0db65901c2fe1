"""A driver's motion on another face: size and place are the person's, the mouth is the driver's."""

import numpy as np
import pytest

from ifmdm_jax.errors import InputError
from ifmdm_jax.face import points, retarget
from ifmdm_jax.testing import talking_face

FILM = talking_face(40, seed=1)[1].astype(np.float64)  # fractions of a square


def placed(track, scale=1.0, shift=(0.0, 0.0), wide=1.0):
  return (track - 0.5) * [scale * wide, scale] + 0.5 + shift


def test_as_they_are_means_bit_for_bit():
  moved = retarget.fit(FILM, placed(FILM, 0.5), 'none')(FILM)
  np.testing.assert_array_equal(moved, FILM.astype(np.float32))


@pytest.mark.parametrize('kind', ['similarity', 'mean_shape'])
def test_the_same_face_elsewhere_comes_back(kind):
  driver = 512 * placed(FILM, 0.6, (0.2, -0.1))  # other unit, size and place
  moved = retarget.fit(driver, FILM, kind)(driver)
  np.testing.assert_allclose(moved, FILM, atol=1e-5)


def test_eyes_and_height_of_another_face_become_the_persons():
  driver, person = placed(FILM, 0.7, wide=1.3), FILM[:5]
  moved = retarget.fit(driver, person)(driver)
  eyes = np.median(points.eye_distance(moved)) / np.median(points.eye_distance(person))
  high = points.height(moved) / points.height(person)
  assert eyes * high == pytest.approx(1, abs=1e-3)
  assert eyes == pytest.approx(1.3**0.5, rel=0.02)  # a similarity keeps how wide a face is,
  moved = retarget.fit(driver, person, 'mean_shape')(driver)
  assert points.eye_distance(moved) == pytest.approx(  # mean shapes do not
    np.median(points.eye_distance(person)), rel=0.05
  )


@pytest.mark.parametrize('kind', ['similarity', 'mean_shape'])
def test_the_mouth_opens_when_the_drivers_does_and_closes_when_it_does(kind):
  driver = placed(FILM, 1.2, wide=0.8)
  person = FILM[np.argsort(points.mouth_opening(FILM))[-3:]]  # every picture laughs
  moved = retarget.fit(driver, person, kind)(driver)
  gap = lambda track: track[:, points.LOWER_MIDDLE, 1] - track[:, points.UPPER_MIDDLE, 1]
  assert np.corrcoef(gap(moved), gap(driver))[0, 1] > 0.999
  assert gap(moved).min() / np.ptp(gap(moved)) == pytest.approx(
    gap(driver).min() / np.ptp(gap(driver)), abs=0.02
  )


def test_a_block_of_a_film_moves_as_the_whole_film_does():
  moves = retarget.fit(FILM, placed(FILM[:3], 0.8, wide=1.2), 'mean_shape')
  np.testing.assert_array_equal(moves(FILM)[7:12], moves(FILM[7:12]))


def test_frames_without_a_face_stay_without_and_say_nothing_of_the_driver():
  holes = np.concatenate([FILM[:20], np.full((2, 468, 2), np.nan), FILM[20:]])
  moved = retarget.fit(holes, FILM[:3])(holes)
  assert np.isnan(moved[20:22]).all()
  np.testing.assert_array_equal(np.delete(moved, [20, 21], 0), retarget.fit(FILM, FILM[:3])(FILM))


def test_what_cannot_be_is_one_line():
  with pytest.raises(InputError, match='none, similarity, mean_shape'):
    retarget.fit(FILM, FILM, 'procrustes')
  with pytest.raises(InputError, match='no face in any frame'):
    retarget.fit(np.full_like(FILM, np.nan), FILM)
