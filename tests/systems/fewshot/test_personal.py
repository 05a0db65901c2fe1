"""The room of `adapt` and few-shot networks: pictures of a person become that person's bundle."""

import cv2
import jax
import numpy as np
import pytest

import ifmdm_jax as ifm
from ifmdm_jax import bundle
from ifmdm_jax.adaptation import learn
from ifmdm_jax.adaptation.shots import Shots
from ifmdm_jax.clip import Clip
from ifmdm_jax.errors import InputError
from ifmdm_jax.systems.fewshot import personal
from tests.systems.fewshot import faces
from tests.systems.fewshot.test_model import episode


@pytest.fixture(scope='module')
def shots():
  """One look in three shapes of the mouth; the last one is held out."""
  seen = episode(batch=1, shots=3, seed=3)
  pictures = np.stack([episode(batch=1, shots=1, colour=(180, 60, 30))['shots'][0, 0]] * 3)
  return Shots(pictures, seen['shot_points'][0], ('a.jpg', 'b.jpg', 'c.jpg'), {})


@pytest.fixture(scope='module')
def weights(run):
  return bundle.opened(run[1])


@pytest.fixture(scope='module')
def begun(weights, shots):
  return personal.Personal(weights, shots.pictures, shots.landmarks).start()


def drawn(folder):
  film = np.stack([faces.mesh(opening) for opening in (0.0, 0.1)])
  clip = Clip('film', image=np.zeros((64, 64, 3), np.uint8), landmarks=film * 64)
  return np.concatenate(list(ifm.load(folder, driver='landmarks').generate(clip)))


def test_a_run_and_a_bundle_of_it_are_the_same_start(weights, run, tmp_path):
  bundle.save(tmp_path / 'general', weights)
  again = bundle.opened(tmp_path / 'general')
  assert weights.name == run[1].name and set(again.parts) == set(weights.parts) == {'networks'}
  assert again.parts['networks'].settings == weights.parts['networks'].settings
  assert weights.parts['networks'].settings['content'] == 'random'  # what it was trained with


def test_pictures_become_a_person_who_is_sampled_alone(weights, shots, monkeypatch, tmp_path):
  quick = dict(personal.person.ADAPT, steps=((1, 20),), eval_every=10, batch=1)
  monkeypatch.setattr(personal.person, 'ADAPT', quick)
  result = learn.learn(weights, shots, tmp_path / 'anna')
  assert result.better and result.after < result.before and result.updates in (10, 20)
  made = bundle.read(tmp_path / 'anna').parts['person'].params
  np.testing.assert_array_equal(made['landmarks'], np.float32(shots.landmarks))
  assert np.std(drawn(tmp_path / 'anna')) > 0
  assert cv2.imread(str(tmp_path / 'anna' / 'adapt.png')).shape == (16, 3 * 16, 3)


def test_where_nothing_is_learned_the_person_is_the_networks_with_their_style(weights, begun):
  general = weights.parts['networks'].params['params']['generator']
  found = begun.parts['person'].params['params']['generator']
  jax.tree.map(np.testing.assert_array_equal, jax.tree.map(np.float32, found), general)
  assert np.std(begun.parts['person'].params['style']) > 0


def test_a_person_is_no_start_for_another_one(begun, shots, tmp_path):
  bundle.save(tmp_path / 'anna', begun)
  with pytest.raises(InputError, match='expected weights with networks, anna has person'):
    learn.learn(bundle.opened(tmp_path / 'anna'), shots, tmp_path / 'o')
  assert sorted(path.name for path in tmp_path.glob('o')) == []


def test_a_person_without_landmarks_is_to_be_adapted_again(begun, tmp_path):
  part = begun.parts['person']
  params = {name: value for name, value in part.params.items() if name != 'landmarks'}
  old = bundle.Bundle('fewshot', {'person': bundle.Part(part.settings, params)})
  bundle.save(tmp_path / 'old', old)
  with pytest.raises(InputError, match='expected landmarks in part person of old; adapt'):
    ifm.load(tmp_path / 'old')


def test_without_weights_of_its_own_it_asks_for_some():
  with pytest.raises(InputError, match='fewshot has none here: pass --checkpoint'):
    bundle.chosen(None, 'fewshot')
