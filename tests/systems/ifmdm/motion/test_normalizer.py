"""Codes and features as the network sees them."""

import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax.errors import InputError
from ifmdm_jax.systems.ifmdm.motion import normalizer
from ifmdm_jax.systems.ifmdm.motion.condition import Condition


def statistics(motion=4, audio=3):
  return dict(
    code_mean=np.arange(motion),
    code_std=np.full(motion, 2.0),
    change_std=np.full(motion, 4.0),
    window_std=np.full(motion, 8.0),
    feature_mean=np.ones(audio),
    feature_std=np.full(audio, 5.0),
  )


def saved(tmp_path, **changes):
  path = tmp_path / 'statistics.npz'
  np.savez(path, **{**statistics(), **changes})
  return path


def arrays():
  rng = np.random.default_rng(0)
  draw = lambda *shape: jnp.asarray(rng.standard_normal(shape), jnp.float32)
  return draw(2, 5, 4), draw(2, 1, 4)


def tokens(u, hint, mean=None, std=None, reference=None):
  """Hint, mean and deviation as the network sees them."""
  y = jnp.zeros((len(hint), 10, 3))
  seen = u.condition(Condition(y, hint, mean, std, reference=reference))
  return seen.hint, seen.mean, seen.std


def test_relative_directions_are_counted_from_the_hint_and_the_rest_is_not(tmp_path):
  u = normalizer.load(saved(tmp_path), 4, 3, relative=2)
  codes, hint = arrays()
  motion = u.motion(codes, hint)
  np.testing.assert_allclose(motion[..., :2], (codes - hint)[..., :2] / 4, rtol=1e-6)
  np.testing.assert_allclose(
    motion[..., 2:], (codes[..., 2:] - jnp.asarray([[[2.0, 3.0]]])) / 2, rtol=1e-6
  )
  np.testing.assert_allclose(u.codes(motion, hint), codes, atol=1e-6)


def test_what_is_not_given_is_zeros(tmp_path):
  u = normalizer.load(saved(tmp_path), 4, 3)
  _, hint = arrays()
  seen, mean, std = tokens(u, hint)
  np.testing.assert_allclose(seen, (hint - jnp.arange(4.0)[None, None]) / 2, rtol=1e-6)
  np.testing.assert_array_equal(mean, 0)
  np.testing.assert_array_equal(std, 0)
  _, _, typical = tokens(u, hint, hint, jnp.full_like(hint, 8.0))
  np.testing.assert_allclose(typical, 0, atol=1e-6)  # typical, and not given, are the same


def test_a_plain_normalizer_changes_no_bit():
  u = normalizer.plain(4, 3)
  codes, hint = arrays()
  np.testing.assert_array_equal(u.motion(codes, hint), codes)
  np.testing.assert_array_equal(u.codes(codes, hint), codes)
  np.testing.assert_array_equal(u.features(codes[..., :3]), codes[..., :3])
  for seen in tokens(u, hint, hint, hint):
    np.testing.assert_array_equal(seen, hint)


def test_a_direction_that_never_moves_stays_finite(tmp_path):
  u = normalizer.load(
    saved(tmp_path, code_std=np.zeros(4), change_std=np.zeros(4)), 4, 3, relative=2
  )
  codes, hint = arrays()
  assert np.isfinite(u.motion(codes, hint)).all()


def test_statistics_of_other_codes_are_refused_in_one_line(tmp_path):
  for path, width in ((saved(tmp_path), 5), (tmp_path / 'missing.npz', 4)):
    with pytest.raises(InputError) as error:
      normalizer.load(path, width, 3)
    assert '\n' not in str(error.value)


def test_lips_are_not_conditioned_on_mean_and_deviation(tmp_path):
  u = normalizer.load(saved(tmp_path), 4, 3, relative=4, unconditioned_dims=(1, 3))
  codes, hint = arrays()
  _, mean, std = tokens(u, hint, codes[:, :1], jnp.ones_like(hint))
  np.testing.assert_array_equal(mean[..., 1:3], 0)
  np.testing.assert_array_equal(std[..., 1:3], 0)
  np.testing.assert_allclose(mean[..., 0], (codes[:, :1] - hint)[..., 0] / 4, rtol=1e-6)


def of_a_fixed_reference(tmp_path):
  """Opening is direction 1 less 1; directions 1 and 2 are the lips."""
  more = dict(
    reference_std=np.full(4, 2.0),
    opening_weight=np.array([0.0, 1.0, 0.0, 0.0]),
    opening_bias=np.array([-1.0]),
    opening_way=np.array([0.0, 1.0, 0.5, 0.0]),
    lowest=np.full(4, -3.0),
    highest=np.full(4, 3.0),
  )
  return normalizer.load(
    saved(tmp_path, **more), 4, 3, relative=4, unconditioned_dims=(1, 3), fixed=True
  )


def test_the_place_of_codes_does_not_depend_on_the_hint_where_the_reference_is_fixed(tmp_path):
  u = of_a_fixed_reference(tmp_path)
  codes, reference = arrays()
  origins = [u.origin(reference + shift, reference) for shift in (0.0, 7.0)]
  np.testing.assert_array_equal(*origins)
  np.testing.assert_allclose(u.codes(u.motion(codes, origins[0]), origins[0]), codes, atol=1e-6)


def test_an_open_mouth_rests_closed_and_a_closed_one_stays_as_it_is(tmp_path):
  u = of_a_fixed_reference(tmp_path)
  shut, ajar = jnp.zeros((1, 1, 4)), jnp.asarray([[[1.0, 3.0, 2.0, 1.0]]])
  np.testing.assert_array_equal(u.rest(shut), shut)
  np.testing.assert_allclose(u.rest(ajar)[0, 0], [1.0, 1.0, 1.0, 1.0], rtol=1e-6)


def test_the_hint_token_holds_the_way_from_the_rest_and_who_it_is(tmp_path):
  u = of_a_fixed_reference(tmp_path)
  reference = jnp.zeros((1, 1, 4))
  seen, _, _ = tokens(u, reference + 4.0, reference=reference)
  np.testing.assert_allclose(seen[0, 0, :4], 2.0)
  np.testing.assert_allclose(seen[0, 0, 4:], -np.arange(4.0) / 2.0)


def test_codes_stay_in_the_range_of_people(tmp_path):
  u = of_a_fixed_reference(tmp_path)
  codes, origin = arrays()
  held = u.bounded(100.0 * codes, origin)
  assert np.abs(held - origin).max() <= 3.0 + 1e-6


def test_old_weights_count_from_the_hint_and_are_not_bounded(tmp_path):
  u = normalizer.load(saved(tmp_path), 4, 3, relative=4)
  codes, hint = arrays()
  np.testing.assert_array_equal(u.origin(hint, hint + 5.0), hint)
  np.testing.assert_array_equal(u.bounded(100.0 * codes, hint), 100.0 * codes)


def test_each_voice_may_leave_out_a_control(tmp_path):
  u = normalizer.plain(4, 3)
  _, hint = arrays()
  given = jnp.asarray([[True, False], [False, True]])
  seen = u.condition(Condition(jnp.zeros((2, 10, 3)), hint, hint, hint, given=given))
  for voice, (mean, std) in enumerate(given):
    np.testing.assert_array_equal(seen.mean[voice], hint[voice] if mean else 0 * hint[voice])
    np.testing.assert_array_equal(seen.std[voice], hint[voice] if std else 0 * hint[voice])


DAMAGE = {
  'empty': lambda path: path.write_bytes(b''),
  'cut short': lambda path: path.write_bytes(path.read_bytes()[:-300]),
  'other bytes': lambda path: path.write_bytes(path.read_bytes().replace(b'NUMPY', b'numpy')),
  'wrong sum': lambda path: path.write_bytes(path.read_bytes().replace(b'\0\0\0@', b'\0\0\0A')),
  'pickles': lambda path: np.savez(path, **{**statistics(), 'code_mean': np.array([{}] * 4)}),
  'text': lambda path: np.savez(path, **{**statistics(), 'code_mean': np.array(list('abcd'))}),
  'not a number': lambda path: np.savez(path, **{**statistics(), 'code_std': [1, 2, np.nan, 3]}),
  'a list': lambda path: path.write_text('[]'),
  'a folder': lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize('kind', DAMAGE)
def test_damaged_statistics_are_one_line(tmp_path, kind):
  path = saved(tmp_path)
  DAMAGE[kind](path)
  with pytest.raises(InputError, match='statistics.npz'):
    normalizer.load(path, 4, 3)
