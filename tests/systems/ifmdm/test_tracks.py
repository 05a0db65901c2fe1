"""Landmarks that go to a voice, and pictures of landmarks that somebody else moved."""

import jax
import numpy as np
import pytest

from ifmdm_jax.errors import InputError
from ifmdm_jax.generator import Draws, Faces, Tracks
from ifmdm_jax.systems.ifmdm.autoencoder.lite import model


@pytest.fixture(scope='module')
def face(sampler, image):
  """Landmarks [468, 2] of the fixture's picture."""
  return np.asarray(jax.jit(model.find_landmarks)(sampler.stages[0].params, image[None]))[0]


def tracked(sampler, face, blocks, **options):
  return np.concatenate(list(sampler.tracks(face, blocks, **options)))


def test_the_bundled_weights_say_how_landmarks_go(bundled):
  assert isinstance(bundled, Tracks) and hasattr(bundled.stages[0].module, 'tracked')


def test_landmarks_go_as_the_codes_of_the_same_voice_do(sampler, image, face, voice):
  track = tracked(sampler, face, [voice(0.6)], seed=4)
  codes = sampler.codes(image, voice(0.6), seed=4)
  assert track.shape == (15, 468, 2) and track.dtype == np.float32
  params = {'code': sampler.stages[0].params['code']}
  np.testing.assert_allclose(track, model.tracked(params, face, codes), atol=2e-3)
  assert np.ptp(track, axis=0).max() > 1e-3


def test_the_same_seed_says_the_same_however_the_sound_is_cut(sampler, face, voice):
  whole = tracked(sampler, face, [voice(0.6)], seed=1)
  cut = tracked(sampler, face, np.array_split(voice(0.6), 7), seed=1)
  np.testing.assert_array_equal(cut, whole)
  assert (tracked(sampler, face, [voice(0.6)], seed=2) != whole).any()


def test_silence_is_a_face_that_lives(sampler, face):
  track = tracked(sampler, face, [np.zeros(16_000, np.float32)])
  assert track.shape == (25, 468, 2) and np.isfinite(track).all()


def test_lids_close_and_nothing_else_does():
  face = np.random.default_rng(0).uniform(0.3, 0.7, (468, 2)).astype(np.float32)
  code = dict(encode=np.zeros((936, 20), np.float32), bias=np.zeros(20, np.float32),
              decode=np.zeros((20, 936), np.float32))  # fmt: skip
  codes = np.zeros((2, 24), np.float32)
  codes[1, 20:22] = 1.0
  still, blink = model.tracked({'code': code}, face, codes)
  np.testing.assert_array_equal(still, face)
  upper, lower = model.eyes.UPPER[3], model.eyes.LOWER[3]
  np.testing.assert_allclose(blink[upper], blink[lower], atol=1e-6)
  np.testing.assert_array_equal(blink[model.points.LIPS], face[model.points.LIPS])


def test_weights_and_faces_that_cannot_be_are_one_line(sampler, face, voice, monkeypatch):
  for bad in (face[:68], np.full_like(face, np.nan), None):
    with pytest.raises(InputError, match=r'landmarks should be \[468, 2\]'):
      tracked(sampler, bad, [voice(0.2)])
  with pytest.raises(InputError, match='leave unit out'):
    tracked(sampler, face, [voice(0.2)], unit={'jawOpen': 0.3})
  monkeypatch.delattr(model, 'tracked')
  with pytest.raises(InputError, match='expected weights whose codes are landmarks'):
    tracked(sampler, face, [voice(0.2)])


def faces(landmarks, lids=0.0):
  count = len(landmarks)
  return Faces(landmarks, np.full((count, 2), lids, np.float32), np.zeros((count, 2), np.float32))


def drawn(sampler, image, *places, **options):
  return np.concatenate(list(sampler.draw(image, places, **options))).astype(int)


def test_landmarks_of_a_voice_are_drawn_as_its_codes_are(sampler, image, face, voice):
  assert isinstance(sampler, Draws)
  codes = sampler.codes(image, voice(0.3), seed=4)[:, :20]  # without lids and gaze
  portrait = sampler.portrait(image)
  wanted = np.concatenate(list(sampler.renderer.drawn(portrait, codes, sampler.block)))
  params = {'code': sampler.stages[0].params['code']}
  track = np.asarray(model.tracked(params, face, codes))
  made = drawn(sampler, image, faces(track[:3]), faces(track[3:]))
  assert made.shape == wanted.shape
  assert np.abs(made - wanted).mean() < 0.5 and np.abs(wanted - wanted[0]).mean() > 0


def test_a_face_that_does_not_move_is_the_picture(sampler, image, face):
  still = drawn(sampler, image, faces(face[None]))[0]
  assert np.abs(still - image).max() <= 1
  shut = drawn(sampler, image, faces(face[None], lids=1.0), painted=False)[0]
  eyes = np.zeros(image.shape[:2], bool)
  x, y = (face[model.points.EYES] * len(image)).T
  eyes[int(y.min()) : int(y.max()) + 1, int(x.min()) : int(x.max()) + 1] = True
  away = np.abs(shut - still).max(-1)
  assert away[eyes].mean() > 4 * away[~eyes].mean()


def test_without_paint_pixels_of_the_picture_alone_are_moved(sampler, image, face):
  wide = face.copy()
  wide[model.points.LOWER_LIP_INNER[1:-1], 1] += 0.05
  bare, whole = (drawn(sampler, image, faces(wide[None]), painted=on) for on in (False, True))
  assert np.abs(bare - whole).max() > 0


def test_weights_that_do_not_draw_landmarks_say_so(sampler, image, face, monkeypatch):
  monkeypatch.setattr(sampler.renderer, 'draws_points', False)
  with pytest.raises(InputError, match='expected weights that draw by landmarks'):
    drawn(sampler, image, faces(face[None]))
