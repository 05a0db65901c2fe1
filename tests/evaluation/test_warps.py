"""What folds, doubles or runs beyond an edge is measured as drawn by hand, and nothing else is."""

import numpy as np
import pytest

from ifmdm_jax.errors import InputError
from ifmdm_jax.evaluation import warps

SIDE = 64
ALL = np.ones((SIDE, SIDE), bool)


def still(side=SIDE):
  """Looks where it is."""
  centre = (np.arange(side, dtype=np.float32) + 0.5) / side
  return np.stack(np.meshgrid(centre, centre), -1)


def bent(x_of):
  """Looks at other columns: x_of(columns as fractions)."""
  grid = still()
  grid[..., 0] = x_of(grid[..., 0])
  return grid


def wave(depth):
  """Goes forth and, beyond a depth of 0.08 or so, back again in the middle of the picture."""
  return bent(lambda x: x + depth * np.sin(4 * np.pi * (x - 0.5)) * (np.abs(x - 0.5) < 0.25))


@pytest.mark.parametrize(
  'grid',
  [
    still(),
    still() + 0.1,
    bent(lambda x: 0.25 + x / 2),
    bent(lambda x: 2 * x - 0.5),
    np.stack([still()[..., 1], 1 - still()[..., 0]], -1),
  ],
  ids=['still', 'shifted', 'enlarged', 'shrunk', 'turned'],
)
def test_what_moves_and_stretches_alone_is_no_fold_and_nothing_twice(grid):
  layer = warps.Layer(grid, ALL)
  assert warps.fold_share([layer], ALL, warps.doubled([layer], SIDE)[0]) == 0
  assert warps.double_share([layer], SIDE) == 0


def test_a_mirrored_half_is_a_half():
  grid = bent(lambda x: np.where(x < 0.5, x, 1.5 - x))  # the right half, its columns reversed
  layer = warps.Layer(grid, ALL)
  assert warps.fold_share([layer], ALL) == pytest.approx(0.5, abs=0.03)
  # Of the half that counts: all of the right one, nothing of the left one.
  for half, share in ((np.s_[:, 34:62], 1.0), (np.s_[:, 2:30], 0.0)):
    within = np.zeros_like(ALL)
    within[half] = True
    assert warps.fold_share([layer], within) == pytest.approx(share, abs=0.04)


def test_the_deeper_the_fold_the_larger_each_share():
  layers = [[warps.Layer(wave(depth), ALL)] for depth in (0.05, 0.1, 0.15, 0.2)]
  folds = [warps.fold_share(each, ALL, warps.doubled(each, SIDE)[0]) for each in layers]
  doubles = [warps.double_share(each, SIDE) for each in layers]
  assert folds[0] == doubles[0] == 0
  assert folds == sorted(folds) and doubles == sorted(doubles)
  assert folds[2] > 1.5 * folds[1] > 0 and doubles[2] > 1.5 * doubles[1] > 0


def test_two_layers_that_show_the_same_place_draw_it_twice():
  left = still()[..., 0] < 0.5
  again = bent(lambda x: x - 0.5)  # the right half shows the left half anew
  layers = [warps.Layer(still(), left), warps.Layer(again, ~left)]
  assert warps.double_share(layers, SIDE) == pytest.approx(1.0, abs=0.06)
  twice, _ = warps.doubled(layers, SIDE)
  assert warps.fold_share(layers, ALL, twice) == pytest.approx(1.0, abs=0.08)
  assert warps.fold_share(layers, ALL) == 0  # none of it is mirrored
  # What the second layer shows in place of the left half was made up: nothing is drawn twice.
  made_up = warps.Layer(again, ~left, np.zeros((SIDE, SIDE), bool))
  assert warps.double_share([layers[0], made_up], SIDE) == 0
  # Half of it counts.
  upper = still()[..., 1] < 0.5
  part = warps.Layer(again, ~left & upper)
  assert warps.double_share([layers[0], part], SIDE) == pytest.approx(0.5, abs=0.06)


def test_a_seam_of_two_layers_is_nothing_twice():
  left = still()[..., 0] < 0.5
  layers = [warps.Layer(still(), left), warps.Layer(still() - [1.5 / SIDE / 2, 0], ~left)]
  assert warps.double_share(layers, SIDE) == 0


@pytest.mark.parametrize('side', [48, 64, 100])
def test_each_pixel_is_covered_once_at_any_size_of_the_portrait(side):
  count, _ = warps.drawn([warps.Layer(still(), ALL)], side)
  margin = side // SIDE + 2
  assert (count[margin:-margin, margin:-margin] == 1).all() and count.max() == 1


@pytest.mark.parametrize('shift, share', [((0, -0.25), 0.25), ((0.125, 0), 0.125), ((0, 0), 0.0)])
def test_what_looks_beyond_an_edge_is_exposed_where_that_cuts_the_person(shift, share):
  layer = warps.Layer(still() + shift, ALL)
  assert warps.edge_exposed([layer], [np.ones((SIDE, SIDE))]) == pytest.approx(share, abs=0.02)
  assert warps.edge_exposed([layer], [np.zeros((SIDE, SIDE))]) == 0  # background may end there
  hidden = warps.Layer(still() + shift, ~ALL)
  assert warps.edge_exposed([hidden], [np.ones((SIDE, SIDE))]) == 0


def test_hair_that_goes_on_above_the_portrait_is_not_exposed_and_a_cut_is():
  above = 16
  layer = warps.Layer(still() - [0, 0.125], ALL)  # 8 rows look above the portrait
  portrait = np.ones((SIDE, SIDE))
  dome = np.clip(np.arange(above)[:, None] - 3.0, 0, 1) * np.ones((1, SIDE))
  assert warps.edge_exposed([layer], [np.concatenate([dome, portrait])], above) == 0
  cut = np.concatenate([np.zeros((above, SIDE)), portrait])
  assert warps.edge_exposed([layer], [cut], above) == pytest.approx(1 / SIDE)
  empty = np.zeros_like(cut)
  assert warps.edge_exposed([layer], [empty], above) == 0


def test_a_batch_is_refused_in_one_line():
  with pytest.raises(InputError, match='one frame at a time'):
    warps.mirrored(still()[None])
