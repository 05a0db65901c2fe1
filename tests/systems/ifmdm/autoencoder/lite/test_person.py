"""A mouth of one's own: kept, laid over a frame, learned; with a tiny network and drawn faces."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.configs import autoencoder as configs
from ifmdm_jax.face import points
from ifmdm_jax.systems.ifmdm.autoencoder.lite import model, own_mouth, person, surface

SIDE = 64


def face(opening=0.0, turn=0.0):
  """Landmarks of the mean face in the middle of a picture, fractions: float32 [468, 2]."""
  marks = np.array(surface.MEAN[:, :2], np.float32)
  height = np.linalg.norm(marks[points.FOREHEAD] - marks[points.CHIN_TIP])
  marks = 0.5 * (marks - marks.mean(0)) / height + 0.5
  marks[points.LOWER_LIP_INNER] = marks[points.UPPER_LIP_INNER]
  lower = [*points.LOWER_LIP_INNER[1:-1], *points.LOWER_LIP_OUTER[1:-1]]
  marks[lower, 1] += opening
  c, s = np.cos(turn), np.sin(turn)
  return ((marks - 0.5) @ np.array([[c, s], [-s, c]]) + 0.5).astype(np.float32)


def picture(colour):
  return np.broadcast_to(np.float32(colour), (SIDE, SIDE, 3)).copy()


@pytest.fixture(scope='module')
def shots():
  """A closed blue mouth and an open red one."""
  marks = np.stack([face(), face(0.04)])
  return own_mouth.fresh(jnp.stack([picture((-1, -1, 1)), picture((1, -1, -1))]), marks), marks


def test_a_texture_is_where_its_places_are():
  marks = face(0.04, turn=0.2)
  y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE * 2 - 1
  slope = jnp.asarray(np.stack([x, y, 0 * x], -1), jnp.float32)  # a picture that says where it is
  skin, (inside, _, shows) = own_mouth.skin_of(slope, marks), own_mouth.inside_of(slope, marks)
  assert shows == 1
  for point in (*points.UPPER_LIP_OUTER[1:-1], *points.LOWER_LIP_OUTER[1:-1], points.CHIN_TIP - 1):
    where = own_mouth.places(marks, jnp.asarray(marks[point])[None, None])
    if not ((where.skin > 0.02) & (where.skin < 0.98)).all():
      continue
    found = own_mouth.composite.sample(skin[None], where.skin[None])[0, 0, 0, :2]
    np.testing.assert_allclose((found + 1) / 2, marks[point], atol=0.02)
  middle = (marks[points.UPPER_MIDDLE] + marks[points.LOWER_MIDDLE]) / 2
  where = own_mouth.places(marks, jnp.asarray(middle)[None, None])
  assert where.cover.item() == 1
  found = own_mouth.composite.sample(inside[None], where.inside[None])[0, 0, 0, :2]
  np.testing.assert_allclose((found + 1) / 2, middle, atol=0.02)


def test_what_the_lips_hide_is_guessed_near_what_is_seen_and_dark_far_below_it():
  inside, seen, _ = own_mouth.inside_of(jnp.asarray(picture((0.8, 0.8, 0.8))), face(0.03))
  inside, seen = np.asarray(inside), np.asarray(seen)[..., 0]
  middle = seen.shape[1] // 2
  assert seen.max() == 1 and seen[-1].max() == 0  # it is not open as far as that
  np.testing.assert_allclose(inside[seen == 1], 0.8, atol=0.01)
  np.testing.assert_allclose(inside[-1, middle], own_mouth.DARK * 1.8 - 1, atol=0.1)
  np.testing.assert_allclose(inside[0, middle], 0.8, atol=0.05)  # above are gums
  edge = np.flatnonzero(seen[:, middle] > 0).max()
  below = inside[edge + 2, middle]
  assert (below > 0.2).all()  # more than half of the way: a guess, and no dark edge


def test_a_mouth_that_is_wide_open_takes_what_any_shot_has_seen_of_it():
  marks = np.stack([face(0.03), face(0.09)])
  own = own_mouth.fresh(jnp.stack([picture((1, -1, -1)), picture((-1, 1, -1))]), marks)
  wanted = own_mouth.key(marks[0])  # lips like those of the shot that is open less
  portrait = own_mouth.portrait(own, jnp.asarray(picture((0, 0, 0))), marks[0])
  _, inside = own_mouth.layers(own, portrait, wanted, jnp.float32([0, 0]))
  seen = np.asarray(own['seen'])[..., 0]
  both = {**own, 'alike': jnp.float32(9.0)}  # all lips are alike
  _, mixed = own_mouth.layers(both, portrait._replace(gain=jnp.ones(3)), wanted)
  only = (seen[0] == 0) & (seen[1] == 1)
  assert only.any() and np.asarray(mixed)[only][:, 1].min() > 0.8  # the second's green
  assert inside.shape == own['inside'].shape[1:]


def test_a_mouth_from_before_it_was_kept_what_is_seen_is_drawn(shots):
  own, marks = shots
  old = {name: value for name, value in own.items() if name != 'seen'}
  portrait = own_mouth.portrait(old, jnp.asarray(picture((0, 0, 0))), marks[0])
  _, inside = own_mouth.layers(old, portrait, own_mouth.key(marks[1]))
  assert np.isfinite(np.asarray(inside)).all()


def test_lips_take_the_shot_that_is_like_them(shots):
  own, marks = shots
  for mine in (0, 1):
    share, inner = own_mouth.shares(own, own_mouth.key(marks[mine]))
    assert share[mine] > 0.95 and inner[1] > 0.99  # the closed one shows no inside
    left_out = np.eye(2, dtype=np.float32)[mine]
    assert own_mouth.shares(own, own_mouth.key(marks[mine]), left_out)[0][mine] < 1e-6


def test_a_frame_that_did_not_move_and_all_beside_the_mouth_stay_as_they_were(shots):
  own, marks = shots
  grey = picture((0.2, 0.2, 0.2))[None]
  portrait = jax.vmap(lambda p: own_mouth.portrait(own, p, marks[0]))(grey)
  for awake in (0.0, 1.0):
    found = own_mouth.paste(own, portrait, grey, marks[1:], jnp.full((1, 1, 1, 1), awake))
    change = np.abs(np.asarray(found) - grey).max(-1)[0]
    if not awake:
      assert change.max() == 0
  lips = marks[1, points.LIPS] * SIDE
  (x_0, y_0), (x_1, y_1) = lips.min(0), lips.max(0)
  room = 0.6 * (x_1 - x_0)
  y, x = np.nonzero(change > 0.02)
  assert len(x) and x.min() > x_0 - room and x.max() < x_1 + room
  assert y.min() > y_0 - room and y.max() < y_1 + room
  inside = ((marks[1, points.UPPER_MIDDLE] + marks[1, points.LOWER_MIDDLE]) / 2 * SIDE).astype(int)
  colour = np.asarray(found)[0, inside[1], inside[0]]
  assert colour[0] > colour[2] + 0.5  # the open one's own


@pytest.fixture(scope='module')
def tiny():
  config = configs.get_config('tiny').model
  return config, testing.fresh_params(model, config)


def test_learning_brings_mouths_nearer_to_those_of_the_shots(tiny, monkeypatch):
  config, params = tiny
  rng = np.random.default_rng(0)
  pictures = rng.integers(0, 255, (3, SIDE, SIDE, 3), dtype=np.uint8)
  marks = np.stack([face(), face(0.03), face(0.05, turn=0.05)])
  own = own_mouth.fresh(pictures / np.float32(127.5) - 1, marks)
  found = person.rows(params, person.Shots(pictures, marks, jax.device_get(own)), config, [0, 1, 2])
  assert len(found['drawn']) == 6 and (found['without'].sum(1) == 1).all()
  # Of two pictures, nothing of the one that is held out is seen.
  alone = person.rows(params, person.Shots(pictures, marks, jax.device_get(own)), config, [0], [2])
  assert len(alone['drawn']) == 1 and (alone['without'][0] == [1, 0, 1]).all()
  flat = lambda params, a, b: jnp.abs(a - b).mean((1, 2, 3))
  monkeypatch.setattr(person.alexnet, 'distance', flat)
  step = jax.jit(
    jax.value_and_grad(
      lambda own: person.loss({'own': own}, found, None, config=None, step=0, frozen=None)[0],
    )
  )
  first, slope = step(own)
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slope))
  learned = {**own, 'skin': own['skin'] - 200 * slope['skin']}
  assert step(learned)[0] < first
  drawn = person.pictures({'own': own}, found, None)['shot_before_after']
  assert drawn.shape == (6 * person.SIDE, 3 * person.SIDE, 3) and drawn.dtype == np.uint8


def test_weights_without_a_person_draw_as_before_and_with_one_otherwise(tiny):
  config, params = tiny
  rng = np.random.default_rng(1)
  image = rng.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
  own = own_mouth.fresh(jnp.stack([picture((-1, -1, 1)), picture((1, -1, -1))]),
                        np.stack([face(), face(0.04)]))  # fmt: skip
  draw = lambda params: _drawn(params, image, config)
  plain, personal = draw(params), draw({**params, 'own': own})
  assert plain.shape == personal.shape and (plain != personal).any()


def _drawn(params, image, config):
  portrait = jax.jit(lambda params: model.portrait(params, image, config))(params)
  codes = portrait.code + jnp.linspace(0.0, 3.0, portrait.code.shape[1])[None]
  return np.asarray(jax.jit(lambda *of: model.draw(*of, config))(params, portrait, codes))
