"""What drives a person: a film of somebody else, or a voice by way of another system's landmarks.

A stand-in says how these go.
"""

import jax
import numpy as np
import pytest

import ifmdm_jax as ifm
from ifmdm_jax import bundle, testing
from ifmdm_jax.clip import Clip
from ifmdm_jax.errors import InputError
from ifmdm_jax.face import retarget
from ifmdm_jax.generator import Tracks
from ifmdm_jax.systems.fewshot import generate, networks, parts, personal
from tests.systems.fewshot import faces
from tests.systems.fewshot.conftest import small
from tests.systems.fewshot.test_model import episode
from tests.systems.fewshot.test_sampler import plain

FILM = 64 * np.stack([faces.mesh(opening) for opening in np.linspace(0, 0.1, 8)])


VOICE = np.random.default_rng(0).uniform(-0.3, 0.3, 16_000).astype(np.float32)


class Talker:
  """Opens the mouth with the seed; remembers what it was asked."""

  name = 'stand-in'

  def tracks(self, landmarks, blocks, sample_rate=16_000, seed=0, *, streaming=False, **options):
    self.asked = dict(landmarks=landmarks, options=options)
    count = round(sum(map(len, blocks)) / sample_rate * 25)
    for part in np.array_split(np.linspace(0, 0.1 * (1 + seed), count), 3):
      yield landmarks + np.stack([faces.mesh(opening) for opening in part]) - faces.mesh()


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """Bundles of networks that nobody trained: `general`, and `anna`, a person without a fit."""
  folder, config = tmp_path_factory.mktemp('untrained'), small().model
  shapes, _ = jax.eval_shape(lambda key: networks.init(key, config), jax.random.key(0))
  params = testing.random_params({name: shapes[name] for name in parts.KEPT}, scale=0.5)
  bundle.save(folder / 'general', parts.packed(config, params, generate.states_of(params)))
  seen = episode(batch=1, shots=3, seed=3)
  person = bundle.read(folder / 'general'), seen['shots'][0], seen['shot_points'][0]
  bundle.save(folder / 'anna', personal.Personal(*person).start())
  return folder


@pytest.fixture(scope='module')
def anna(folder):
  return ifm.load(folder / 'anna')


def driven(talker, landmarks, **options):
  clip = Clip('film', frames=np.zeros((8, 64, 64, 3), np.uint8),
              landmarks=landmarks)  # fmt: skip
  return np.concatenate(list(talker.reenact(clip, **options))).astype(int)


def test_a_driver_elsewhere_draws_what_the_persons_own_landmarks_do(anna):
  """Another size and place, the same face: retargeted, it is the film of the person itself."""
  own, away = driven(anna, FILM), 0.6 * FILM + 10
  unlike = np.abs(driven(anna, away) - own).mean()  # its landmarks are taken for the person's
  assert np.std(own) > 0 and unlike > 1
  for options in (dict(), dict(retarget='similarity'), dict(retarget='mean_shape')):
    assert np.abs(driven(anna, away, own=False, **options) - own).mean() < 0.1 * unlike
  np.testing.assert_array_equal(driven(anna, away, own=False, retarget='none'),
                                driven(anna, away))  # fmt: skip
  with pytest.raises(InputError, match='one of none, similarity'):
    driven(anna, away, retarget='all')


def test_a_person_talks_without_a_picture(folder):
  talker = ifm.load(folder / 'anna')
  talker._talker = made = Talker()
  assert isinstance(made, Tracks) and talker.needs == {'voice'}
  whole = Clip('a', image=np.zeros((64, 64, 3), np.uint8), waveform=VOICE)
  clip = whole.restricted(talker.needs)
  frames = np.concatenate(list(talker.generate(clip, seed=0, motion_std=0.5)))
  assert frames.shape == (25, 16, 16, 3) and frames.dtype == np.uint8
  assert (frames[0] != frames[-1]).any()
  again = np.concatenate(list(talker.generate(clip, seed=0)))
  np.testing.assert_array_equal(again, frames)
  other = np.concatenate(list(talker.generate(clip, seed=3)))
  assert (other != frames).any()
  own = bundle.read(folder / 'anna').parts['person'].params['landmarks']
  np.testing.assert_allclose(made.asked['landmarks'], retarget.mean_shape(own), atol=1e-6)


def test_a_picture_talks_without_a_fit(folder):
  talker = ifm.load(folder / 'general')
  talker._own_track, talker._talker = plain, Talker()
  assert talker.needs == {'image', 'voice'} and talker.sources == (bundle.BUNDLED,)
  clip = Clip('a', image=episode()['shots'][0, 0], waveform=VOICE)
  frames = np.concatenate(list(talker.generate(clip, motion_std=0.5)))
  assert frames.shape == (25, 16, 16, 3)
  assert talker._talker.asked['options'] == {'motion_std': 0.5}
  np.testing.assert_allclose(talker._talker.asked['landmarks'], faces.mesh(), atol=1e-6)


def test_what_cannot_drive_is_one_line(folder, monkeypatch):
  with pytest.raises(InputError, match='one of voice, landmarks'):
    ifm.load(folder / 'anna', driver='text')
  talker = ifm.load(folder / 'anna', driver='landmarks')
  assert talker.needs == {'image', 'landmarks'} and talker.sources == ()
  film = Clip('a', image=np.zeros((64, 64, 3), np.uint8), landmarks=64 * faces.mesh()[None])
  with pytest.raises(InputError, match='no options beside landmarks, got steps'):
    next(talker.generate(film, steps=3))
  voice = ifm.load(folder / 'anna', motion='runs/else')
  monkeypatch.setattr(bundle, 'load', lambda path: talker)
  with pytest.raises(InputError, match='how landmarks go to a voice, anna do not'):
    next(voice.generate(Clip('a', waveform=VOICE)))
