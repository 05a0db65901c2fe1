import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.configs import autoencoder as configs
from ifmdm_jax.face import points
from ifmdm_jax.systems.ifmdm.autoencoder.lite import (
  composite,
  eyes,
  geometry,
  model,
  network,
  surface,
)

RIGID = np.zeros((24, 24, 6, 2), np.float32)  # a body that turns as the head does

# Compiled once per shape: op by op, each of their hundreds of operations is a program of its own.
sample = jax.jit(composite.sample)
upsample = jax.jit(composite.upsample, static_argnums=1)
upsample_grid = jax.jit(composite.upsample_grid, static_argnums=1)
fill = jax.jit(composite.fill)
layers_of = jax.jit(composite.layers)
body_motion = jax.jit(geometry.body_motion, static_argnums=3)
moves = jax.jit(model.moves)
pose_change = jax.jit(geometry.pose_change)
follow = jax.jit(network.follow, static_argnums=3)


def without_face(grid):
  """Draws what is around a face alone, by a grid [1, h, h, 2], without paint."""
  paint, cover = jnp.zeros((1, 64, 64, 3)), jnp.zeros((*grid.shape[:3], 2))
  awake = jnp.ones((1, 1, 1, 1))
  unused = dict(missing=None, landmarks=None)
  return network.Drawing(grid, grid, grid, cover, paint[..., :1], paint, awake, **unused)


@jax.jit
def painted(layers, drawing):
  return composite.painted(composite.warped(layers, drawing), drawing)


def picture(seed, side=64):
  return np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8)


def test_identity_grid_samples_the_picture_itself():
  image = jax.random.uniform(jax.random.key(0), (2, 16, 16, 3))
  grid = jnp.broadcast_to(composite.identity_grid(16)[None], (2, 16, 16, 2))
  np.testing.assert_allclose(sample(image, grid), image, atol=1e-5)


def test_sampling_looks_where_the_grid_points():
  image = jnp.zeros((1, 8, 8, 1)).at[0, 2, 5].set(1.0)
  grid = jnp.full((1, 1, 1, 2), jnp.array([5.5, 2.5]) / 8)  # x before y, centres at half pixels
  assert sample(image, grid).item() == pytest.approx(1.0)


def test_upsampling_a_ramp_is_exact_inside():
  ramp = jnp.broadcast_to(composite.identity_grid(8)[None], (1, 8, 8, 2))
  large = upsample(ramp, 16)
  np.testing.assert_allclose(
    large[0, 1:-1, 1:-1], composite.identity_grid(16)[1:-1, 1:-1], atol=1e-6
  )


def test_upsampled_identity_grid_is_the_identity():
  grid = upsample_grid(composite.identity_grid(8)[None], 64)
  np.testing.assert_allclose(grid[0], composite.identity_grid(64), atol=1e-7)


@pytest.fixture(scope='module')
def decode(tiny):
  """Compiled: appearance, code, moved landmarks -> Drawing."""
  config, params = tiny
  run = jax.jit(lambda params, *inputs: model.apply(params, config, 'draw', *inputs))
  return functools.partial(run, params)


def test_zero_difference_draws_the_source_exactly(encode, draw):
  image = picture(1)
  portrait = encode(image)
  drawn = draw(portrait, portrait.code)
  np.testing.assert_array_equal(drawn[0], image)


def test_without_paint_the_same_is_warped_and_nothing_painted(tiny, encode, decode):
  config, params = tiny
  bare = config.copy_and_resolve_references()
  bare.sizes.paint = False
  portrait, code = encode(picture(2)), jnp.full((1, 20), 0.3)
  inputs = portrait.appearance, code, moves(params, code)
  run = jax.jit(lambda params, *inputs: model.apply(params, bare, 'draw', *inputs))
  drawing = run(params, *inputs)
  assert drawing.mask is None and drawing.paint is None
  np.testing.assert_allclose(drawing.grid, decode(*inputs).grid, atol=1e-6)
  fresh = jax.eval_shape(lambda: model.init(jax.random.key(0), bare))['network']
  assert set(fresh['decoder']) == {'body_motion'}


def test_the_mask_starts_closed_but_between_the_lips(tiny, encode, decode):
  portrait = encode(picture(2))
  code = jnp.full((1, 20), 3.0)
  drawing = decode(portrait.appearance, code, moves(tiny[1], code))
  between = geometry.inner_mouth(drawing.landmarks, drawing.mask.shape[1])
  # At the start the mask is sigmoid(-4), and sigmoid(0) in the mouth, but for small weights.
  assert float(jnp.where(between > 0, 0.0, drawing.mask).mean()) < 0.05


def test_directions_are_orthogonal_in_the_decoder(tiny):
  _, params = tiny
  q = jnp.linalg.qr(params['network']['decoder']['directions'])[0]
  np.testing.assert_allclose(q.T @ q, np.eye(q.shape[1]), atol=1e-5)


def test_landmarks_land_where_the_code_sends_them(tiny, draw_face):
  landmarks = frontal()
  code = jnp.zeros((1, 20)).at[0, :6].set(1.0)  # the head alone: smooth enough for a coarse grid
  target = landmarks + moves(tiny[1], code)
  start = jnp.asarray(landmarks)
  grid, _, _ = draw_face(start, target, jnp.zeros((1, 4)))
  looked = sample(grid, target[:, points.RIGID, None])[:, :, 0]
  assert float(jnp.abs(looked - landmarks[:, points.RIGID]).mean()) < 0.005


def test_hair_goes_with_the_head_and_the_floor_stays(tiny):
  config, params = tiny
  landmarks = 0.6 * testing.talking_face(1)[1] + np.float32(0.15)  # a small face, above the middle
  image = np.zeros((1, config.side, config.side, 3), np.float32)
  appearance = jax.jit(lambda *inputs: model.apply(params, config, 'appearance', *inputs))
  source = appearance(image, image[..., :1] + 1.0, landmarks)
  shift = np.array([0.05, 0.0], np.float32)
  grid, _ = follow(source, landmarks + shift, RIGID, 64)
  flow = np.asarray(grid - composite.identity_grid(64)[None])[0]
  np.testing.assert_allclose(flow[4, 20:44, 0], -0.05, atol=0.005)  # above the forehead
  assert np.abs(flow[-1]).max() < 0.0125  # the lower edge, where the pull of the chin has faded


def face(seed=9):
  """Landmarks [1, 468, 2] of no one, chin below forehead."""
  landmarks = np.random.default_rng(seed).uniform(0.4, 0.6, (1, 468, 2)).astype(np.float32)
  landmarks[:, points.FOREHEAD], landmarks[:, points.CHIN_TIP] = (0.5, 0.3), (0.5, 0.7)
  return landmarks


def turned(landmarks, angle, scale=1.0, shift=0.0):
  """About the middle of the picture."""
  c, s = scale * np.cos(angle), scale * np.sin(angle)
  turn = np.array([[c, -s], [s, c]], np.float32)
  return (landmarks - np.float32(0.5)) @ turn.T + np.float32(0.5) + np.float32(shift)


def test_a_pose_change_says_what_a_rigid_head_did():
  landmarks = face()
  pose = pose_change(landmarks, turned(landmarks, 0.2, 1.1))[0]
  np.testing.assert_allclose(pose[2:], [np.log(1.1), 0.2, 0, 0], atol=1e-5)
  shifted = pose_change(landmarks, landmarks + np.float32([0.1, -0.2]))[0]
  np.testing.assert_allclose(shifted, [0.25, 0.5, 0, 0, 0, 0], atol=1e-5)  # heights of 0.4
  nodded = landmarks + np.isin(np.arange(468), points.NOSE_RIDGE)[:, None] * np.float32([0.0, 0.1])
  assert pose_change(landmarks, nodded)[0, 5] < -0.2  # the nose went down


def test_the_body_moves_as_seen_from_the_head():
  field = np.random.default_rng(4).normal(0, 0.1, (24, 24, 6, 2)).astype(np.float32)
  source, target = face(), face() + np.float32([0.05, 0.02])
  motion = body_motion(field, source, target, 32)
  quarter = lambda landmarks: turned(landmarks, np.pi / 2)  # right becomes down
  rolled = body_motion(field, quarter(source), quarter(target), 32)
  expected = jnp.rot90(jnp.stack([-motion[..., 1], motion[..., 0]], -1), -1, axes=(1, 2))
  np.testing.assert_allclose(rolled, expected, atol=1e-5)
  still = body_motion(field, source, source, 32)
  np.testing.assert_allclose(still, 0.0, atol=1e-7)


def test_what_is_behind_a_person_is_guessed_from_around_it():
  x = np.broadcast_to(composite.identity_grid(64)[None, ..., :1], (1, 64, 64, 1))
  known = np.ones((1, 64, 64, 1), np.float32)
  known[:, 20:44, 20:44] = 0.0
  hidden = np.where(known > 0, x, 5.0).astype(np.float32)
  guess = np.asarray(fill(hidden, known))
  np.testing.assert_allclose(np.where(known > 0, guess, 0), np.where(known > 0, x, 0), atol=2e-3)
  assert np.abs(guess - x).max() < 0.15  # a ramp goes on behind, and nothing of the person shows


def test_hair_beyond_the_matte_goes_with_the_person_and_not_with_the_background():
  matte = np.zeros((1, 256, 256, 1), np.float32)
  matte[:, :, 64:192] = 1.0
  source = np.full((1, 256, 256, 3), -1.0, np.float32)
  source[:, :, 62:194] = 1.0  # two pixels more than the matte knows
  layers = layers_of(source, matte, np.full((1, 64, 64, 3), -1.0, np.float32))
  np.testing.assert_allclose(layers.background, -1.0, atol=1e-6)
  assert layers.person[0, 128, 62, 3] > 0.6 and layers.person[0, 128, 58, 3] == 0.0


def test_a_head_that_moves_away_leaves_the_background_behind():
  blue, red = np.float32([-1, -1, 1]), np.float32([1, -1, -1])
  matte = np.zeros((1, 64, 64, 1), np.float32)
  matte[:, 16:48, 8:24] = 1.0
  source = np.where(matte > 0, red, blue).astype(np.float32)
  layers = layers_of(source, matte, np.broadcast_to(blue, (1, 16, 16, 3)))
  still = composite.identity_grid(32)[None]
  grid = still - jnp.array([0.5, 0.0])[None, None, None]  # what is at the left appears at the right
  drawing = without_face(grid)
  picture = np.asarray(painted(layers, drawing))
  np.testing.assert_allclose(picture[0, 32, 48], red, atol=1e-5)
  np.testing.assert_allclose(picture[0, 32, 16], blue, atol=1e-5)


def test_a_background_that_hardly_moves_does_not_move_at_all():
  source = np.asarray(jax.random.uniform(jax.random.key(0), (1, 64, 64, 3)))
  matte = np.zeros((1, 64, 64, 1), np.float32)
  layers = layers_of(source, matte, np.zeros((1, 16, 16, 3), np.float32))
  sway = 0.1 * composite.STILL
  grid = composite.identity_grid(32)[None] + sway
  drawing = without_face(grid)
  np.testing.assert_allclose(painted(layers, drawing), source, atol=1e-6)


def test_hair_cut_by_the_upper_edge_is_not_drawn_out_when_the_head_sinks():
  blue, red = np.float32([-1, -1, 1]), np.float32([1, -1, -1])
  person = np.ones((1, 64, 64, 1), np.float32)
  layers = layers_of(red * person, person, np.broadcast_to(blue, (1, 16, 16, 3)))
  grid = composite.identity_grid(32)[None] - jnp.array([0.0, 0.25])[None, None, None]
  drawing = without_face(grid)
  picture = np.asarray(painted(layers, drawing))[0]
  np.testing.assert_allclose(picture[:8], np.broadcast_to(blue, (8, 64, 3)), atol=1e-5)
  np.testing.assert_allclose(picture[17:], np.broadcast_to(red, (47, 64, 3)), atol=1e-5)


def test_one_portrait_draws_at_any_size(encode, draw):
  for side in (64, 128):
    portrait = encode(picture(3, side))
    frames = draw(portrait, portrait.code + 1.0)
    assert frames.shape == (1, side, side, 3) and frames.dtype == jnp.uint8


def test_lite_stays_within_its_budget():
  config = configs.get_config('lite').model
  params = jax.eval_shape(lambda key: model.init(key, config), jax.random.key(0))
  assert sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(params)) < 8e6
  image = jax.ShapeDtypeStruct((512, 512, 3), jnp.uint8)
  portrait = jax.eval_shape(lambda p, i: model.portrait(p, i, config), params, image)
  codes = jax.ShapeDtypeStruct((1, 20), jnp.float32)
  draw = jax.jit(lambda p, portrait, codes: model.draw(p, portrait, codes, config))
  assert draw.lower(params, portrait, codes).cost_analysis()['flops'] < 1.9e9


def test_enlarge_and_unshuffle_keep_places():
  x = jnp.arange(4.0).reshape(1, 2, 2, 1)
  np.testing.assert_array_equal(
    network.enlarge(x)[0, :, :, 0], np.kron([[0, 1], [2, 3]], np.ones((2, 2)))
  )
  channels = jnp.arange(4.0).reshape(1, 1, 1, 4)
  np.testing.assert_array_equal(network.unshuffle(channels, 2)[0, :, :, 0], [[0, 1], [2, 3]])


def turned_right(landmarks, degrees):
  """Turns landmarks [1, 468, 2] about an upright axis behind the face."""
  whole = np.asarray(surface.with_depth(landmarks[0]))
  pivot = whole[[points.LEFT_CHEEK, points.RIGHT_CHEEK]].mean(0)
  c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
  turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]], np.float32)
  return ((whole - pivot) @ turn.T + pivot)[None, :, :2]


def frontal(side=0.45):
  """Landmarks [1, 468, 2] of the mean face, in the middle of a picture."""
  return (side * surface.MEAN[None, :, :2] + np.float32([0.5, 0.5])).astype(np.float32)


@pytest.fixture(scope='module')
def draw_face():
  """Compiled (source landmarks, frame's, gestures) -> grid of what is seen, of the face, cover."""

  @jax.jit
  def draw(start, end, gestures):
    depth = jax.vmap(surface.with_depth)(start)[..., 2]
    blank = dict.fromkeys(network.Source._fields)
    source = network.Source(**blank)._replace(points=start, depth=depth, places=start)
    face, lids, cover = network.face_of(source, end, gestures, 128)
    return network.front(face, face, lids, cover), face, cover

  return draw


@pytest.mark.parametrize('degrees, most', [(10, 100), (20, 500)])
def test_a_turning_head_does_not_fold(draw_face, degrees, most):
  start = frontal()
  for sign in (-1, 1):
    _, grid, cover = draw_face(start, turned_right(start, sign * degrees), jnp.zeros((1, 4)))
    large = np.asarray(upsample_grid(grid, 512))[0]
    shown = np.kron(np.asarray(cover)[0, ..., 0], np.ones((4, 4)))[:-1, :-1] > 0
    across, down = np.diff(large, axis=1)[:-1], np.diff(large, axis=0)[:, :-1]
    area = across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0]
    assert shown.sum() > 20_000 and ((area < 0) & shown).sum() < most


@pytest.fixture(scope='module')
def follow_head():
  """Compiled (source landmarks, frame's) -> grid of what is around a face with a round of hair."""
  x, y = jnp.moveaxis(composite.identity_grid(32), -1, 0)
  apart = jnp.hypot(x - 0.5, y - 0.45)
  hair = jax.nn.sigmoid((0.32 - apart) / 0.008)  # ends within a place
  shoulders = 0.3 * jax.nn.sigmoid((y - 0.8) / 0.02)
  follows = jnp.maximum(hair, shoulders)[None, ..., None]
  field = jnp.zeros((24, 24, 6, 2))

  @jax.jit
  def follow(start, end):
    blank = dict.fromkeys(network.Source._fields)
    edge = jax.vmap(surface.outline)(start)
    source = network.Source(**blank)._replace(points=start, follows=follows, edge=edge)
    return network.follow(source, end, field, 128)[0]

  return follow


@pytest.mark.parametrize('shift', [(-0.08, 0.0), (0.08, 0.0), (0.0, -0.08), (0.0, 0.08)])
def test_hair_that_a_moving_head_takes_along_does_not_fold(follow_head, shift):
  start = frontal()
  grid = np.asarray(follow_head(start, start + np.float32(shift)))[0]
  across, down = np.diff(grid, axis=1)[:-1], np.diff(grid, axis=0)[:, :-1]
  area = across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0]
  assert (area < 0).mean() < 0.001
  middle = grid[40, 64] - (64.5 / 128, 40.5 / 128)
  np.testing.assert_allclose(middle, -np.array(shift), atol=0.01)  # and goes the whole way


@pytest.mark.parametrize('shift', [(-0.06, 0.0), (0.06, 0.0), (0.0, -0.06), (0.0, 0.06)])
def test_no_frame_looks_beyond_an_edge_that_cuts_the_person(follow_head, shift):
  start = frontal(0.8)
  grid = np.asarray(follow_head(start, start + np.float32(shift)))[0]
  assert grid[..., 0].min() >= 0 and grid[..., 0].max() <= 1 and grid[..., 1].max() <= 1


def test_a_blink_covers_the_eye_with_its_lid(draw_face):
  start = frontal()
  seen = lambda blink: np.asarray(draw_face(start, start, jnp.array([[blink, 0.0, 0.0, 0.0]]))[0])[
    0
  ]
  lids = start[0, [points.LEFT_LIDS.upper, points.LEFT_LIDS.lower]]
  column, top, low = np.round(np.array([lids[0, 0], *lids[:, 1]]) * 128 - 0.5).astype(int)
  eye, other = slice(top + 1, low), 127 - column
  assert low - top >= 3
  assert (seen(0.0)[eye, column, 1] > lids[0, 1]).all()  # open: the eye
  assert (seen(1.0)[eye, column, 1] < lids[0, 1]).all()  # closed: from above it
  np.testing.assert_array_equal(seen(1.0)[eye, other], seen(0.0)[eye, other])


def test_lids_that_landmarks_close_leave_no_hole(draw_face):
  start = frontal(0.75)
  upper, lower, skin, _ = eyes.EYES[0]
  end = start.copy()
  end[:, upper] = start[:, lower]
  end[:, skin] -= 0.5 * (start[:, lower] - start[:, upper])  # a lid that nods is seen longer
  _, _, cover = draw_face(start, end, jnp.zeros((1, 4)))
  rows = np.round(128 * np.array([end[0, skin[3], 1], end[0, lower[3], 1]]) - 0.5).astype(int)
  columns = np.round(128 * end[0, lower[[1, -2]], 0] - 0.5).astype(int)
  assert rows[1] - rows[0] > 8
  assert np.asarray(cover)[0, rows[0] : rows[1] + 3, columns[0] : columns[1], 0].all()


@pytest.mark.parametrize('roll', [0.0, 0.5])
def test_a_blink_leaves_nothing_of_the_eyes(draw_face, roll):
  start = frontal()
  c, s = np.cos(roll), np.sin(roll)
  end = 0.5 + (start - 0.5) @ jnp.array([[c, s], [-s, c]])
  rings = [np.r_[ring[:9], ring[:8:-1]] for ring in (points.LEFT_EYE, points.RIGHT_EYE)]
  within = np.concatenate([composite.inside(start[0, ring], 128) for ring in rings], -1).any(-1)

  def seen(blink):  # pixels that show an eye
    grid = draw_face(start, end, jnp.array([[blink, blink, 0.0, 0.0]]))[0]
    row, column = np.moveaxis((np.asarray(grid)[0, ..., ::-1] * 128).astype(int), -1, 0)
    return within[np.clip(row, 0, 127), np.clip(column, 0, 127)].sum()

  assert seen(0.0) > 30 and seen(0.5) < 0.8 * seen(0.0) and seen(1.0) < 0.05 * seen(0.0)


def test_a_code_without_gestures_is_one_with_none(encode, draw):
  portrait = encode(picture(3))
  codes = portrait.code + 1.0
  with_none = jnp.concatenate([codes, jnp.zeros((1, 4))], axis=1)
  np.testing.assert_array_equal(draw(portrait, with_none), draw(portrait, codes))
