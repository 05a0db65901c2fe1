import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax.errors import InputError
from ifmdm_jax.face import raster
from tests.face import scan_lines

SIZE = (40, 48)


def random_triangles(seed, count=60, reach=(-20.0, 64.0), step=1 / 16):
  """Corners on a grid of `step`, where float32 is exact: ties are ties for both rasterisers."""
  rng = np.random.default_rng(seed)
  centre = rng.uniform(*reach, (count, 1, 2))
  places = centre + rng.uniform(-1, 1, (count, 3, 2)) * rng.choice([2, 8, 40], (count, 1, 1))
  places = np.round(places / step) * step
  vertices = np.concatenate([places, rng.uniform(size=(count, 3, 1))], -1).reshape(-1, 3)
  return vertices.astype(np.float32), np.arange(3 * count).reshape(-1, 3)


def draw(vertices, faces, **options):
  """One picture of SIZE, filled up to 60 triangles without area: all of them are one program."""
  vertices = np.concatenate([vertices, np.zeros((180 - len(vertices), 3), np.float32)])
  faces = np.concatenate([faces, np.zeros((60 - len(faces), 3), int)])
  drawn = raster.triangles(vertices[None], jnp.asarray(faces), SIZE, **options)
  return jax.tree.map(lambda array: np.asarray(array)[0], drawn)


def mesh(side, size, seed=0, step=1 / 16):
  """A sheet of triangles that hang together over the inside of a picture: (vertices, faces)."""
  rng = np.random.default_rng(seed)
  lines = np.linspace(0.1, 0.9, side)
  places = np.stack(np.meshgrid(lines, lines), -1) * size[::-1]
  places += rng.uniform(-0.3, 0.3, places.shape) * 0.8 * np.array(size[::-1]) / side
  places = np.round(places / step) * step
  number = np.arange(side**2).reshape(side, side)
  a, b, c, d = (
    n.ravel() for n in (number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:])
  )
  faces = np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)])
  depth = rng.uniform(size=(side**2, 1))
  return np.concatenate([places.reshape(-1, 2), depth], 1).astype(np.float32), faces


@pytest.mark.parametrize('seed', range(4))
def test_random_triangles_are_those_of_a_scan_line_rasteriser(seed):
  """Of all sizes, beyond the picture's edges, over and through each other."""
  vertices, faces = random_triangles(seed)
  index, depth = scan_lines.triangles(vertices, faces, SIZE)
  drawn = draw(vertices, faces)
  # Where two surfaces are as near as float32 can tell, either may be seen.
  assert (drawn.index != index).mean() < 0.002
  np.testing.assert_allclose(drawn.depth, depth, atol=1e-4)
  np.testing.assert_array_equal(drawn.index == -1, index == -1)


def test_corners_and_edges_on_middles_of_pixels_belong_to_one_triangle():
  vertices, faces = random_triangles(9, step=0.5)  # every other corner is the middle of a pixel
  index, _ = scan_lines.triangles(vertices, faces, SIZE)
  assert (draw(vertices, faces).index == index).mean() > 0.998


@pytest.mark.parametrize('step', [1 / 16, 0.5, 1e-4])
def test_triangles_that_share_edges_draw_each_pixel_once(step):
  vertices, faces = mesh(9, SIZE, step=step)
  alone = vertices[faces]  # [T, 3, 3]: every triangle is a picture of its own
  drawn = raster.triangles(alone, np.array([[0, 1, 2]]), SIZE)
  count = (np.asarray(drawn.index) >= 0).sum(0)
  assert count.max() == 1
  assert (count[8:32, 9:39] == 1).all()  # the inside of the sheet


def test_what_has_no_area_is_not_drawn():
  places = [[5, 5, 0], [20, 5, 0], [35, 5, 0], [5, 5, 0], [20, 20, 0], [np.nan, 9, 0]]
  vertices = np.float32([*places, [9, 30, np.inf]])
  drawn = draw(vertices, np.array([[0, 1, 2], [0, 3, 4], [0, 0, 0], [0, 1, 5], [0, 4, 6]]))
  assert (drawn.index == -1).all() and (drawn.weights == 0).all() and np.isinf(drawn.depth).all()


def test_what_is_beyond_the_picture_is_not_drawn_and_what_surrounds_it_is():
  above = [[-1e9, -5, 0], [1e9, -5, 0], [0, -1e9, 0]]
  beside = [[1e9, 1e9, 0], [60, 5, 0], [60, 9, 0]]
  faces = np.array([[0, 1, 2], [3, 4, 5]])
  assert (draw(np.float32([*above, *beside]), faces).index == -1).all()
  around = np.float32([[-1e4, -1e4, 0], [3e4, -1e4, 0], [-1e4, 3e4, 0]])
  assert (draw(around, np.array([[0, 1, 2]])).index == 0).all()


def test_of_equal_depths_the_lowest_number_is_seen():
  square = np.float32([[2, 2, 0.5], [30, 2, 0.5], [2, 30, 0.5], [30, 30, 0.5]])
  faces = np.array([[0, 1, 2], [3, 1, 2], [0, 1, 3], [0, 2, 3], [2, 1, 0]])
  for order in (np.arange(5), np.array([4, 2, 0, 3, 1])):
    expected, _ = scan_lines.triangles(square, faces[order], SIZE)
    for options in ({}, CUT):  # also where they are not drawn at once
      np.testing.assert_array_equal(draw(square, faces[order], **options).index, expected)


CUT = dict(tile=4, chunk=7)
CORNER = np.float32([[2, 2], [30, 2], [2, 30]])
TWO = np.array([[0, 1, 2], [3, 4, 5]])


def at_depths(*depths):
  """One triangle at several depths: [3 D, 3]."""
  return np.concatenate([np.insert(CORNER, 2, depth, axis=1) for depth in depths])


def test_nearer_is_in_front_also_below_zero_and_zero_has_one_sign():
  assert draw(at_depths(0.0, -0.0), TWO).index.max() == 0
  drawn = draw(at_depths(-1.0, -3.0), TWO)
  assert drawn.index.max() == 1 and drawn.depth.min() == pytest.approx(-3)


def test_the_picture_does_not_depend_on_how_the_work_is_cut():
  vertices, faces = random_triangles(5)
  expected = draw(vertices, faces).index
  np.testing.assert_array_equal(draw(vertices, faces, **CUT).index, expected)


def test_a_batch_is_its_pictures():
  several = np.stack([random_triangles(seed)[0] for seed in range(3)])
  faces = jnp.asarray(random_triangles(0)[1])
  together = raster.triangles(several, faces, SIZE)
  for one, vertices in enumerate(several):
    for a, b in zip(together, draw(vertices, faces)):
      np.testing.assert_allclose(a[one], b, rtol=1e-5)


def test_faces_seen_from_behind_can_be_left_out():
  front, back = [0, 2, 1], [0, 1, 2]  # anti-clockwise, clockwise as they are seen
  highest = lambda face: draw(at_depths(0.0), np.array([face]), cull=True).index.max()
  assert highest(front) == 0 and highest(back) == -1


def test_weights_say_where_in_the_triangle_a_pixel_is():
  vertices, faces = mesh(6, SIZE)
  drawn = draw(vertices, faces)
  batch = jax.tree.map(lambda array: array[None], drawn)
  places = np.asarray(jax.jit(raster.interpolate)(batch, faces, vertices[None]))[0]
  seen = drawn.index >= 0
  y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
  np.testing.assert_allclose(places[seen, :2], np.stack([x, y], -1)[seen], atol=1e-3)
  np.testing.assert_allclose(places[seen, 2], drawn.depth[seen], atol=1e-5)
  np.testing.assert_allclose(drawn.weights.sum(-1), seen, atol=1e-6)
  assert (places[~seen] == 0).all()


def test_a_perspective_camera_foreshortens_what_is_interpolated():
  """Half way along a receding edge on the screen is nearer than half way along the edge."""
  vertices, faces = np.float32([[0, 0, -1 / 1], [40, 0, -1 / 3], [0, 40, -1 / 1]]), TWO[:1]
  drawn = jax.tree.map(lambda array: array[None], draw(vertices, faces))
  distances, value = np.float32([[1, 3, 1]]), np.float32([[[0], [1], [0]]])
  seen = jax.jit(raster.interpolate)(drawn, faces, value, distances)
  # The middle of pixel (19, 0) is 19.5 of 40 along the edge and 0.5 of 40 off it.
  far, near = 19.5 / 40 / 3, 1 - 19.5 / 40
  assert float(seen[0, 0, 19, 0]) == pytest.approx(far / (far + near), abs=1e-5)


def test_the_gradient_with_respect_to_vertices_is_that_of_small_steps():
  vertices, faces = mesh(4, (16, 16))
  attributes = np.random.default_rng(0).normal(size=(1, 16, 2)).astype(np.float32)
  index = raster.triangles(vertices[None], faces, (16, 16)).index

  @jax.jit
  @jax.value_and_grad
  def value(vertices):
    drawn = raster.triangles(vertices[None], faces, (16, 16))
    inside = (index == drawn.index)[..., None]  # pixels at edges change hands
    return jnp.sum(jnp.where(inside, raster.interpolate(drawn, faces, attributes), 0.0) ** 2)

  way = np.random.default_rng(1).normal(size=vertices.shape).astype(np.float32)
  gradient = jnp.sum(value(vertices)[1] * way)
  assert np.isfinite(gradient)
  step = 1e-3
  after, before = (value(vertices + sign * step * way)[0] for sign in (1, -1))
  difference = (after - before) / (2 * step)
  np.testing.assert_allclose(gradient, difference, rtol=0.05)


def test_no_triangles_draw_nothing():
  drawn = raster.triangles(np.zeros((2, 3, 3), np.float32), np.zeros((0, 3), int), SIZE)
  assert drawn.index.shape == (2, *SIZE) and (np.asarray(drawn.index) == -1).all()


WHITE, RED = (1.0, 1.0, 1.0), (1.0, 0.0, 0.0)


def drawn_line(places, strokes, size=(32, 32), **options):
  return np.asarray(raster.lines(np.float32(places)[None], strokes, size, **options))[0]


@pytest.mark.parametrize('width', [1.0, 2.0, 5.0])
def test_a_line_covers_what_a_fine_grid_says(width):
  """Against the share of 16 x 16 points of each pixel that are within half a width of the line."""
  ends = np.array([[5.3, 8.1], [25.7, 19.4]])
  picture = drawn_line(ends, (raster.Stroke((0, 1), (1.0,)),), width=width)[..., 0]
  y, x = (np.mgrid[: 32 * 16, : 32 * 16] + 0.5) / 16
  along = ends[1] - ends[0]
  share = np.clip(
    ((x - ends[0, 0]) * along[0] + (y - ends[0, 1]) * along[1]) / (along @ along), 0, 1
  )
  apart = np.hypot(x - ends[0, 0] - share * along[0], y - ends[0, 1] - share * along[1])
  expected = (apart < width / 2).reshape(32, 16, 32, 16).mean((1, 3))
  assert np.abs(picture - expected).max() < 0.2  # distance stands for area
  assert np.abs(picture - expected).mean() < 0.005
  assert picture.sum() == pytest.approx(expected.sum(), rel=0.03)


def test_a_line_of_twice_the_size_is_the_same_line():
  places = np.array([[4.0, 6.0], [25.0, 11.0], [13.0, 27.0]])
  stroke = (raster.Stroke((0, 1, 2), WHITE, closed=True),)
  small = drawn_line(places, stroke, width=3.0)
  large = drawn_line(2 * places, stroke, (64, 64), width=6.0)
  halved = large.reshape(32, 2, 32, 2, 3).mean((1, 3))
  assert np.abs(small - halved).max() < 0.12 and np.abs(small - halved).mean() < 0.004


def test_joints_are_no_brighter_and_later_strokes_lie_over_earlier_ones():
  places = np.array([[4.0, 16.5], [16.5, 16.5], [28.0, 16.5], [16.5, 4.0], [16.5, 28.0]])
  level = raster.Stroke((0, 1, 2), WHITE)
  whole = drawn_line(places, (raster.Stroke((0, 2), WHITE),), width=2.5)
  np.testing.assert_allclose(drawn_line(places, (level,), width=2.5), whole, atol=1e-5)
  over = drawn_line(places, (level, raster.Stroke((3, 4), RED)), width=2.5)
  np.testing.assert_allclose(over[16, 16], RED, atol=1e-6)
  np.testing.assert_allclose(over[16, 6], WHITE, atol=1e-6)


def test_a_closed_line_returns_and_an_open_one_does_not():
  places = np.array([[6.5, 6.5], [25.5, 6.5], [25.5, 25.5]])
  half_way = 16, 16  # of the last side
  for closed, expected in ((False, 0.0), (True, 1.0)):
    picture = drawn_line(places, (raster.Stroke((0, 1, 2), (1.0,), closed),))
    assert picture[half_way] == pytest.approx(expected, abs=1e-6)


def test_points_that_were_not_found_draw_nothing():
  places = np.array([[4.0, 4.0], [np.nan, np.nan], [28.0, 28.0], [28.0, 4.0]])
  picture = drawn_line(places, (raster.Stroke((0, 1, 2, 3), (1.0,)),), background=0.25)
  assert np.isfinite(picture).all()
  only = drawn_line(places, (raster.Stroke((2, 3), (1.0,)),), background=0.25)
  np.testing.assert_allclose(picture, only)


def test_a_line_without_width_is_refused():
  with pytest.raises(InputError, match='above 0'):
    drawn_line(np.zeros((2, 2)), (raster.Stroke((0, 1), WHITE),), width=0.0)
