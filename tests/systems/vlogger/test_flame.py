"""Numbers of FLAME become face units; its own files may not be had, a model built as it is may."""

import numpy as np
import pytest

from ifmdm_jax import track
from ifmdm_jax.errors import InputError
from ifmdm_jax.importers import flame as importer
from ifmdm_jax.systems.vlogger import flame
from tests.systems.vlogger import flame_like


@pytest.fixture(scope='module')
def model():
  return flame_like.model()


@pytest.fixture(scope='module')
def folder(model, tmp_path_factory):
  """What the import of that model wrote."""
  place = tmp_path_factory.mktemp('flame')
  np.savez(place / 'model.npz', **model[0])
  count, missed = importer.take(place / 'model.npz', place / 'imported')
  assert count == 51 and missed < 1.5  # millimetres
  return place / 'imported'


@pytest.fixture(scope='module')
def face(folder):
  return flame.load(folder)


def unit(found, name):
  return found[0, track.UNITS.index(name)]


def played(face, path, **arrays):
  np.savez(path, **arrays)
  return flame.read(face, path)


NAMES = ('jawOpen', 'eyeBlinkLeft', 'mouthSmileLeft', 'browInnerUp', 'mouthPucker', 'browDownRight')


@pytest.mark.parametrize('name', NAMES)
def test_an_expression_is_found_by_the_name_of_its_unit(model, face, name):
  """Another person's face, in metres, turned over, with its vertices in another order."""
  numbers = flame_like.coefficients(model[1], **{name: 0.8})
  found = flame.units(flame.moved(face, numbers, np.zeros((1, 3))))
  assert unit(found, name) == pytest.approx(0.8, abs=0.15)
  assert np.delete(found[0], track.UNITS.index(name)).max() < 0.35
  assert found[0].argmax() == track.UNITS.index(name)


def test_sides_are_the_person_s_own_and_several_units_are_told_apart(model, face):
  numbers = flame_like.coefficients(model[1], eyeBlinkRight=0.9, browInnerUp=0.5, jawOpen=0.4)
  found = flame.units(flame.moved(face, numbers, np.zeros((1, 3))))
  assert unit(found, 'eyeBlinkRight') > 0.75 and unit(found, 'eyeBlinkLeft') < 0.1
  assert unit(found, 'browInnerUp') == pytest.approx(0.5, abs=0.15)
  assert unit(found, 'jawOpen') == pytest.approx(0.4, abs=0.15)


def test_a_jaw_that_turns_down_opens_the_mouth_and_one_that_turns_up_does_not(face):
  still = np.zeros((2, 4))
  found = flame.units(flame.moved(face, still, np.array([[0.25, 0, 0], [-0.1, 0, 0]])))
  jaw = found[:, track.UNITS.index('jawOpen')]
  assert jaw[0] > 0.4 and jaw[1] < 0.05


def test_no_expression_is_no_unit(face):
  assert flame.units(np.zeros((1, 468, 3))).max() == 0


def test_the_head_and_the_eyes_turn_as_theirs_do(face, tmp_path):
  """Y is up there: a turn about it by the right-hand rule brings the nose to the right."""
  turned, right = np.zeros((2, 3)), np.zeros((2, 6))
  turned[1, 1], right[1, [1, 4]] = 0.3, 0.2
  found = played(face, tmp_path / 'a.npz', expr=np.zeros((2, 9)), rotation=turned,
                 eyes_pose=right, fps=25)  # fmt: skip
  ahead = found.turn[1] @ np.array([0, 0, -1.0])
  np.testing.assert_allclose(ahead, [np.sin(0.3), 0, -np.cos(0.3)], atol=1e-6)
  np.testing.assert_allclose(found.gaze, [[0, 0], [0, 0.2]], atol=1e-6)
  np.testing.assert_allclose(found.turn[0], np.eye(3))


def test_eyelids_blink_and_rates_are_brought_to_ours(face, tmp_path):
  lids = np.zeros((61, 2))
  lids[:, 0] = np.linspace(0, 1, 61)
  found = played(face, tmp_path / 'a.npz', exp=np.zeros((61, 50)), eyelids=lids, fps=60)
  assert len(found.units) == 26  # a second
  left = found.units[:, track.UNITS.index('eyeBlinkLeft')]
  np.testing.assert_allclose(left, np.linspace(0, 1, 26), atol=1e-5)


def test_coordinates_one_after_the_other_find_the_least_within_bounds():
  rng = np.random.default_rng(0)
  rows = rng.normal(size=(6, 40))
  gram, aims = rows @ rows.T, 30 * rng.normal(size=(5, 6))
  found = flame.bounded(gram, aims)
  cost = lambda u: np.einsum('tu,uv,tv->t', u, gram, u) / 2 - (aims * u).sum(1)
  assert found.min() >= 0 and found.max() <= 1
  for _ in range(200):
    other = np.clip(found + rng.normal(0, 0.1, found.shape), 0, 1)
    assert (cost(found) <= cost(other) + 1e-6).all()


def test_what_does_not_fit_is_refused_in_one_line(face, model, tmp_path):
  path = tmp_path / 'a.npz'
  for arrays, said in (
    (dict(jaw=np.zeros((2, 3)), fps=25), 'expected one of expression'),
    (dict(expr=np.array(['a', 'b']), fps=25), 'expected one of expression'),
    (dict(expr=np.zeros((2, 9)), fps='fast'), 'expected `fps`'),
    (dict(expr=np.zeros((2, 9))), 'expected `fps`'),
    (dict(expr=np.zeros((2, 60)), fps=25), 'got \\[2, 60\\]'),
    (dict(expr=np.zeros((2, 9)), jaw_pose=np.zeros((3, 3)), fps=25), 'expected jaw'),
    (dict(expr=np.full((2, 9), np.nan), fps=25), 'finite'),
    (dict(expr=np.zeros((2, 9)), fps=0), '1 to 1000'),
  ):
    with pytest.raises(InputError, match=said):
      played(face, path, **arrays)
  arrays = model[0]
  rng = np.random.default_rng(0)
  for changed, said in (
    (dict(shapedirs=arrays['shapedirs'][..., :300]), 'behind 300'),
    (dict(weights=arrays['weights'][:, :4]), 'weights \\[n, 5\\]'),
    (dict(f=arrays['f'] + 10**6), 'vertices'),
    (dict(v_template=arrays['v_template'][:, [2, 1, 0]]), 'its left eye|is it FLAME'),
    (dict(v_template=rng.normal(size=arrays['v_template'].shape)), 'is it FLAME'),
  ):
    np.savez(path, **{**arrays, **changed})
    with pytest.raises(InputError, match=said):
      importer.take(path, tmp_path / 'out')
  assert not (tmp_path / 'out').exists()
  (tmp_path / 'empty').mkdir()
  with pytest.raises(InputError):
    flame.load(tmp_path / 'empty')
