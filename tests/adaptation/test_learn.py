"""A person is learned as the pictures that are held out say; a system of one number stands in."""

import types

import cv2
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from ifmdm_jax import bundle, generator
from ifmdm_jax.adaptation import learn
from ifmdm_jax.adaptation.shots import Shots
from ifmdm_jax.errors import InputError
from ifmdm_jax.training import adapt


def model(wanted):
  """Learns one number, which pictures that are held out want to be `wanted`."""

  def loss(params, batch, rng, *, config, step, frozen):
    value = jnp.square(params['gain'] - batch['y']).mean()
    return value, {'far': value}

  def evaluate(params, batch, rng, *, config, frozen):
    return {'far': jnp.square(params['gain'] - wanted)}

  def pictures(params, batch, config):
    return {'row': jnp.full((4, 4, 3), 7, jnp.uint8)}

  return types.SimpleNamespace(
    adapt=lambda params, frames, config: params, loss=loss, evaluate=evaluate, pictures=pictures,
  )  # fmt: skip


class Personal:
  wanted, extra = 1.0, None

  def __init__(self, weights, pictures, landmarks):
    self.model, self.count, self.weights = model(self.wanted), len(pictures), weights
    self.params = {'gain': jnp.float32(weights.parts['gain'].params['gain'])}
    self.config = ml_collections.ConfigDict(
      dict(
        model={},
        adapt=dict(steps=((1, 40),), batch=2, ema=0.0, eval_every=10, metric='far'),
        optim=dict(name='adam', peak_lr=0.1, schedule='constant'),
      )
    )

  def rows(self, targets, without=()):
    return {'y': np.ones(len(targets), np.float32)}

  def start(self):
    return self.weights

  def pack(self, found):
    return bundle.Bundle(
      'toy', {'gain': bundle.Part({}, {'gain': np.asarray(found.params['gain'])})}
    )


@pytest.fixture
def toy(monkeypatch):
  personal = type('Mine', (Personal,), {})
  system = generator.System(load=None, personal=personal)
  monkeypatch.setattr(learn.generator, 'system', lambda name: system)
  return personal


WEIGHTS = bundle.Bundle('toy', {'gain': bundle.Part({}, {'gain': np.float32(0.0)})})


def shots(count):
  pictures = np.zeros((count, 8, 8, 3), np.uint8)
  return Shots(pictures, np.zeros((count, 468, 2)), tuple('abcdefgh'[:count]), {})


def gain(folder):
  return float(bundle.read(folder).parts['gain'].params['gain'])


def test_a_person_is_learned_and_written_with_a_picture(toy, tmp_path):
  result = learn.learn(WEIGHTS, shots(8), tmp_path / 'o')
  assert result.better and result.after < 0.01 < result.before == 1.0
  assert gain(tmp_path / 'o') == pytest.approx(1.0, abs=0.1)
  assert cv2.imread(str(tmp_path / 'o' / 'adapt.png')).max() == 7
  assert [path.name for path in tmp_path.iterdir()] == ['o']  # nothing half done stays


def test_what_makes_held_out_pictures_worse_is_not_written(toy, tmp_path):
  toy.wanted = -1.0
  result = learn.learn(WEIGHTS, shots(8), tmp_path / 'o')
  assert not result.better and result.updates == 0
  assert gain(tmp_path / 'o') == 0.0


def test_a_stopped_command_goes_on_and_another_person_begins_anew(toy, tmp_path, monkeypatch):
  whole = learn.learn(WEIGHTS, shots(8), tmp_path / 'whole')

  def stopped(done, wanted):
    def fit(*args, report, **options):
      def tell(at, *rest):
        report(at, *rest)
        if wanted is not None and at == wanted:
          raise KeyboardInterrupt
        done.append(at)

      return adapt.adapt(*args, report=tell, **options)

    return fit

  began = types.SimpleNamespace(budget=adapt.budget, adapt=stopped([], 25))
  monkeypatch.setattr(learn, 'adapt', began)
  with pytest.raises(KeyboardInterrupt):
    learn.learn(WEIGHTS, shots(8), tmp_path / 'o')
  assert not (tmp_path / 'o').exists()
  seen = []
  began.adapt = stopped(seen, None)
  again = learn.learn(WEIGHTS, shots(8), tmp_path / 'o')
  assert seen[0] == 21 and again.after == whole.after
  assert gain(tmp_path / 'o') == gain(tmp_path / 'whole')

  seen.clear()
  began.adapt = stopped(seen, 25)
  with pytest.raises(KeyboardInterrupt):
    learn.learn(WEIGHTS, shots(8), tmp_path / 'p')
  began.adapt = stopped(seen, None)
  seen.clear()
  learn.learn(WEIGHTS, shots(7), tmp_path / 'p')
  assert seen[0] == 1


def test_one_picture_is_learned_unchecked_and_says_so(toy, tmp_path):
  result = learn.learn(WEIGHTS, shots(1), tmp_path / 'o')
  assert result.better and result.before is None


def test_what_is_there_stays_unless_asked(toy, tmp_path):
  (tmp_path / 'o').mkdir()
  for overwrite, said in ((False, 'pass --overwrite'), (True, 'holds none')):
    with pytest.raises(InputError, match=said):
      learn.learn(WEIGHTS, shots(1), tmp_path / 'o', overwrite=overwrite)
  learn.learn(WEIGHTS, shots(3), tmp_path / 'p')
  learn.learn(WEIGHTS, shots(1), tmp_path / 'p', overwrite=True)


def test_a_system_that_learns_nobody_is_one_line(monkeypatch, tmp_path):
  monkeypatch.setattr(learn.generator, 'system', lambda name: generator.System(load=None))
  with pytest.raises(InputError, match='toy learns no person'):
    learn.learn(WEIGHTS, shots(1), tmp_path / 'o')
  assert not list(tmp_path.glob('o*'))


def test_every_fourth_picture_decides():
  assert [learn.held_out(count) for count in (1, 2, 3, 4, 8)] == [[], [], [2], [3], [3, 7]]
