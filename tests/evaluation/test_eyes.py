import cv2
import numpy as np
import pytest

import ifmdm_jax as ifm
from ifmdm_jax.evaluation import eyes, suite, warps
from ifmdm_jax.evaluation.types import Absent
from ifmdm_jax.face.points import LEFT_EYE, LEFT_IRIS, RIGHT_EYE, RIGHT_IRIS
from tests.evaluation import synthetic
from tests.face.conftest import PORTRAIT
from tests.face.test_units import shut

BLINK = np.array([0.5, 0.1, 0.02, 0.05, 0.15, 0.22, 0.27, 0.29])  # gap over width, frame by frame


def film(*starts, blink=BLINK, frames=250):
  opening = np.full(frames, 0.3)
  for start in starts:
    opening[start : start + len(blink)] = np.minimum(blink, 0.3)
  return opening


def test_blinks_are_counted_with_how_far_they_close():
  found = eyes.blinks_of(eyes.closure(film(30, 100, 180)))
  assert [blink.start for blink in found] == [30, 100, 180]  # the last open frame
  assert all(blink.depth > 0.9 and blink.closing <= blink.opening for blink in found)


def test_looking_down_for_a_second_and_a_twitch_are_no_blinks():
  assert not eyes.blinks_of(eyes.closure(film(60, blink=np.full(25, 0.1))))
  assert not eyes.blinks_of(eyes.closure(film(60, blink=np.full(3, 0.22))))


@pytest.fixture(scope='module')
def scorer():
  return eyes.load()


def score(scorer, video):
  points = synthetic.mesh(len(video))
  return scorer.score(synthetic.Pair('c', 'p', video, video, points, points))


@pytest.fixture(scope='module')
def still():
  picture = cv2.resize(ifm.read_portrait(PORTRAIT), (256, 256))
  return np.repeat(picture[None], 50, axis=0)


def test_a_film_that_blinks_twice_in_two_seconds_is_seen_to(scorer, still):
  points, _ = scorer._reader.track(still[:1])
  video = still.copy()
  video[[12, 13, 14, 34, 35, 36]] = shut(still[0], points[0])
  scores = score(scorer, video)
  assert scores['blinks'] == pytest.approx(60) and scores['lid_closure'] > 0.5


def test_a_picture_does_not_blink_and_no_face_is_a_reason(scorer, still):
  scores = score(scorer, still)
  assert scores['blinks'] == 0 and isinstance(scores['lid_closure'], Absent)
  nobody = score(scorer, np.zeros_like(still))
  assert list(nobody) == list(eyes.METRICS) and 'a face in 0 of 50' in nobody['blinks'].reason
  assert set(eyes.METRICS) <= set(suite.metrics())


def test_drawn_lids_are_as_closed_as_the_picture_shows(scorer, still):
  reader = scorer._reader
  picture = still[0]
  points, _ = reader.track([picture])
  closed = shut(picture, points[0])
  halfway = (picture.astype(int) + closed) // 2  # eyes that shine through
  assert eyes.drawn_closure(reader, picture, picture) == 0
  part = eyes.drawn_closure(reader, picture, halfway.astype(np.uint8))
  assert 0 <= part < eyes.drawn_closure(reader, picture, closed) > 0.5
  nobody = np.zeros_like(picture)
  assert isinstance(eyes.drawn_closure(reader, picture, nobody), Absent)


@pytest.mark.parametrize('down, share', [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)])
def test_lids_that_come_down_cover_so_much_of_an_eye(down, share):
  centre = (np.arange(256) + 0.5) / 256
  grid = np.stack(np.meshgrid(centre, centre), -1)
  eyes_at = np.zeros((478, 2))
  for ring, x in ((LEFT_EYE, 0.3), (RIGHT_EYE, 0.7)):
    angle = np.linspace(0, 2 * np.pi, len(ring), endpoint=False)
    eyes_at[ring] = np.stack([x + 0.1 * np.cos(angle), 0.5 + 0.05 * np.sin(angle)], -1)
  ever = np.ones((256, 256), bool)
  # The lid of one eye is skin from far above; the other eye is shut in any case.
  is_lid = (np.abs(grid[..., 1] - 0.5) < 0.06) & (grid[..., 1] < 0.45 + 0.1 * down)
  is_lid |= (np.abs(grid[..., 1] - 0.5) < 0.06) & (grid[..., 0] > 0.5)
  layers = [warps.Layer(grid, ~is_lid), warps.Layer(grid - [0, 0.3], is_lid)]
  found = eyes.covered([warps.Layer(grid, ever)], layers, eyes_at)
  assert found == pytest.approx(share, abs=0.04)


def seen_with_irises(side=64, radius=0.08):
  """Points of which only the irises mean something: circles left and right."""
  points = np.zeros((478, 2), np.float32)
  angle = np.linspace(0, 2 * np.pi, 4, endpoint=False)
  ring = radius * np.stack([np.cos(angle), np.sin(angle)], -1)
  for iris, middle in ((LEFT_IRIS, (0.3, 0.5)), (RIGHT_IRIS, (0.7, 0.5))):
    points[iris] = np.concatenate([[middle], middle + ring])
  for eye, middle in ((LEFT_EYE, (0.3, 0.5)), (RIGHT_EYE, (0.7, 0.5))):  # wide open
    turns = np.linspace(0, 2 * np.pi, len(eye), endpoint=False)
    points[eye] = middle + 0.15 * np.stack([np.cos(turns), np.sin(turns)], -1)
  return points


def looking(matrix, side=64):
  """A layer that looks through a matrix about the middle of the picture."""
  place = (np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1) + 0.5) / side
  grid = (place - 0.5) @ np.asarray(matrix, float).T + 0.5
  return [warps.Layer(grid.astype(np.float32), np.ones((side, side), bool))]


@pytest.mark.parametrize(
  'matrix, axes',
  [
    ([[1, 0], [0, 1]], 1.0),
    ([[0.8, 0], [0, 0.8]], 1.0),  # larger, still round
    ([[0.6, -0.8], [0.8, 0.6]], 1.0),  # turned
    ([[1, 0], [0, 1.25]], 0.8),  # pressed flat
    ([[1, 0.5], [0, 1]], 0.61),  # sheared
  ],
)
def test_an_iris_is_as_round_as_the_axes_of_what_a_circle_becomes(matrix, axes):
  found = eyes.roundness(looking(matrix), seen_with_irises())
  large, small = np.linalg.svd(np.array(matrix, float), compute_uv=False)
  assert found == pytest.approx(small / large, abs=0.01) == pytest.approx(axes, abs=0.01)


def test_the_less_round_iris_counts_and_hidden_ones_are_none():
  layer = looking([[1, 0], [0, 1]])[0]
  half = layer.grid.copy()
  half[:, 32:, 1] = (half[:, 32:, 1] - 0.5) * 2 + 0.5  # the right one is pressed to half its height
  assert eyes.roundness([layer._replace(grid=half)], seen_with_irises()) == pytest.approx(
    0.5, abs=0.02
  )
  hidden = layer._replace(shown=np.zeros_like(layer.shown))
  assert isinstance(eyes.roundness([hidden], seen_with_irises()), Absent)
