"""What drives a person: a film of somebody else, brought to the person's size and place."""

import jax
import numpy as np
import pytest

import ifmdm_jax as ifm
from ifmdm_jax import bundle, testing
from ifmdm_jax.clip import Clip
from ifmdm_jax.errors import InputError
from ifmdm_jax.systems.fewshot import generate, networks, parts, personal
from tests.systems.fewshot import faces
from tests.systems.fewshot.conftest import small
from tests.systems.fewshot.test_model import episode

FILM = 64 * np.stack([faces.mesh(opening) for opening in np.linspace(0, 0.1, 8)])


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
  clip = Clip('film', image=episode()['target'][0], frames=np.zeros((8, 64, 64, 3), np.uint8),
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
