import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax.face.points import IBUG, IBUG_MOUTH, LOWER_FACE
from ifmdm_jax.systems.difftalk import conditions, masks


@pytest.fixture(scope='module')
def points():
  """A face of one's own: 68 landmarks at plain places, the rest in its middle."""
  points = np.full((478, 2), 0.5, np.float32)
  angle = np.linspace(np.pi, 0, 17)
  points[IBUG[:17]] = np.stack([0.5 + 0.3 * np.cos(angle), 0.5 + 0.35 * np.sin(angle)], -1)
  points[IBUG[27:31]] = [(0.5, y) for y in (0.4, 0.45, 0.5, 0.55)]  # 30 is the tip of the nose
  points[IBUG[31:36]] = [(x, 0.6) for x in (0.44, 0.47, 0.5, 0.53, 0.56)]
  points[IBUG[36]], points[IBUG[45]] = (0.35, 0.4), (0.65, 0.4)
  points[IBUG_MOUTH] = 0.5 + 0.08 * np.random.default_rng(0).uniform(-1, 1, (20, 2)) + [0, 0.2]
  return points


@pytest.mark.parametrize('landmark, row', [(masks.TRAINING, 55), (masks.SAMPLING, 60)])
def test_black_begins_at_the_nose_and_takes_the_whole_width(points, landmark, row):
  shown = np.asarray(masks.black_out(jnp.ones((1, 100, 100, 3)), points[None], landmark))[0]
  first = int(np.floor(points[IBUG[landmark], 1] * 100))
  assert abs(first - row) <= 1
  assert (shown[:first] == 1).all() and (shown[first:] == -1).all()


def test_a_blackened_frame_says_nothing_of_the_mouth(points):
  rng = np.random.default_rng(0)
  picture = rng.uniform(-1, 1, (1, 64, 64, 3)).astype(np.float32)
  other = picture.copy()
  other[:, 36:] = rng.uniform(-1, 1, other[:, 36:].shape)
  moved = points.copy()
  moved[IBUG_MOUTH] += 0.05
  moved[IBUG[4:13]] += 0.05  # the chin
  a = masks.black_out(jnp.asarray(picture), points[None], masks.TRAINING)
  b = masks.black_out(jnp.asarray(other), moved[None], masks.TRAINING)
  np.testing.assert_array_equal(a, b)


def film(points, openings):
  """The face with its chin and lower lip dropped, and its head moved about."""
  chin, lips = IBUG[4:13], IBUG_MOUTH[6:12]
  frames = []
  for i, opening in enumerate(openings):
    frame = points.copy()
    frame[chin, 1] += opening * np.sin(np.linspace(0, np.pi, 9))
    frame[lips, 1] += opening
    frames.append(frame + 0.02 * np.sin(i / 9))
  return np.stack(frames)


def test_the_polygon_holds_the_mouth_and_fades_outwards(points):
  mask = masks.polygon(masks.outlines(points[None])[0], 128, 4.0)
  rows, columns = np.round(points[IBUG_MOUTH] * 128 - 0.5).astype(int).T[::-1]
  assert mask[rows, columns].all()
  assert not mask[: int(0.4 * 128)].any() and not mask[:, :10].any()  # eyes and background
  soft = masks.soften(mask, 6)
  assert (soft[mask == 1] == 1).all() and soft.min() == 0
  steps = np.abs(np.diff(soft, axis=0))
  assert 0 < steps.max() < 0.5 and soft.sum() > mask.sum()
  assert masks.polygon(masks.outlines(points[None])[0], 128, 0.0).sum() < mask.sum()


def test_the_published_polygon_betrays_the_jaw_and_ours_does_not(points):
  openings = 0.05 * (np.sin(np.arange(100)) > 0)
  frames = film(points, openings)
  heights = lambda corners: np.ptp(corners[..., 1], axis=1)
  published, steady = (heights(masks.outlines(frames, each)) for each in (1, masks.WINDOW))
  assert np.corrcoef(published, openings)[0, 1] > 0.99
  assert np.std(steady) < 0.05 * np.std(published)
  assert (steady >= published.max() - 0.005).all()  # the widest mouth is inside in every frame


def test_the_polygon_moves_with_the_head(points):
  frames = film(points, np.zeros(60))
  corners = masks.outlines(frames)
  np.testing.assert_allclose(corners, frames[:, LOWER_FACE], atol=1e-5)


def test_a_cell_of_the_latent_is_kept_only_if_the_polygon_leaves_it_alone():
  mask = np.zeros((16, 16), np.float32)
  mask[5, 9] = 1
  keep = masks.keep(mask, 4)
  assert keep.shape == (4, 4, 1) and keep.sum() == 15 and keep[1, 2, 0] == 0


def test_landmarks_are_39_from_the_middle_and_do_not_know_mouth_or_chin(points):
  picked = conditions.landmarks(points)
  assert picked.shape == (39, 2)
  np.testing.assert_allclose(picked[list(conditions.KEPT).index(33)], [0.0, 0.2], atol=1e-6)
  moved = points.copy()
  moved[IBUG_MOUTH], moved[IBUG[4:13]] = 0.9, 0.9
  np.testing.assert_array_equal(conditions.landmarks(moved), picked)
