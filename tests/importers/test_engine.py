import jax
import numpy as np
import pytest

from ifmdm_jax.errors import InputError
from ifmdm_jax.importers import engine

RULES = [
  (r'net\.(\d)\.weight', r'layer_\1/kernel', 'OI->IO'),
  (r'net\.(\d)\.bias', r'layer_\1/bias', '1C11->C'),
  (r'scale', 'scale', ''),
]
IGNORED = [(r'.*\.kernel', 'a buffer')]


def shape(*sizes):
  return jax.ShapeDtypeStruct(sizes, np.float32)


TARGET = {'layer_0': {'kernel': shape(3, 2), 'bias': shape(2)}, 'scale': shape(4)}


def state(**changes):
  good = {
    'net.0.weight': np.arange(6, dtype=np.float64).reshape(2, 3),
    'net.0.bias': np.ones((1, 2, 1, 1), np.float16),
    'net.blur.kernel': np.ones((4, 4)),
    'scale': np.arange(4),
  }
  return {key: value for key, value in {**good, **changes}.items() if value is not None}


def test_entries_land_where_the_table_says():
  params = engine.convert(state(), RULES, IGNORED, TARGET)
  assert jax.tree.map(np.shape, params) == {
    'layer_0': {'kernel': (3, 2), 'bias': (2,)},
    'scale': (4,),
  }
  np.testing.assert_array_equal(params['layer_0']['kernel'], [[0, 3], [1, 4], [2, 5]])
  assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(params))


def test_wrapper_prefix_is_stripped():
  wrapped = {f'module.{key}': value for key, value in state().items()}
  plain = engine.convert(state(), RULES, IGNORED, TARGET)
  jax.tree.map(
    np.testing.assert_array_equal, engine.convert(wrapped, RULES, IGNORED, TARGET), plain
  )


def test_one_error_names_every_entry_that_does_not_fit():
  broken = state(
    **{
      'net.0.weight': np.ones((2, 5)),  # another width
      'net.0.bias': np.ones((2,)),  # too few axes
      'scale': None,
      'net.7.bias': np.ones((1, 2, 1, 1)),  # no such layer
      'mystery': np.ones(3),
    }
  )
  with pytest.raises(InputError) as error:
    engine.convert(broken, RULES, IGNORED, TARGET)
  message = str(error.value)
  assert '(1 missing, 2 extra, 2 misshapen)' in message and '\n' not in message
  for part in (
    'missing: scale 4',
    'extra: net.7.bias 1x2x1x1: the model has no layer_7/bias',
    'extra: mystery 3: no rule',
    'misshapen: net.0.weight 2x5 gives layer_0/kernel 5x2, expected 3x2',
    'misshapen: net.0.bias 2: expected 4 axes (1C11->C)',
  ):
    assert part in message


def test_two_entries_for_one_place_are_an_error():
  with pytest.raises(InputError, match='already filled by net.0.weight'):
    rules = [*RULES, (r'copy', 'layer_0/kernel', '')]
    engine.convert(state(copy=np.ones((3, 2))), rules, IGNORED, TARGET)


@pytest.mark.parametrize(
  ('axes', 'expected'),
  [('OIHW->HWIO', (4, 5, 3, 2)), ('OIHW->1OIHW', (1, 2, 3, 4, 5)), ('', (2, 3, 4, 5))],
)
def test_axes(axes, expected):
  assert engine.rearrange(np.ones((2, 3, 4, 5)), axes).shape == expected


def test_a_unit_axis_has_to_be_one():
  with pytest.raises(ValueError, match='size 1'):
    engine.rearrange(np.ones((2, 3)), '1C->C')


def test_export_is_the_inverse():
  given = state()
  params = engine.convert(given, RULES, IGNORED, TARGET)
  names, unused = engine.sort(given, RULES, params)
  assert names == {
    'layer_0/kernel': 'net.0.weight',
    'layer_0/bias': 'net.0.bias',
    'scale': 'scale',
  }
  assert list(unused) == ['net.blur.kernel']
  back = engine.export(params, RULES) | unused
  assert set(back) == set(given)
  for key, value in given.items():
    np.testing.assert_array_equal(back[key], value)


def test_export_keeps_the_names_that_came():
  rules = [(r'old\.(\d)', r'layer_\1/kernel', ''), (r'new\.(\d)', r'layer_\1/kernel', '')]
  params = {'layer_3': {'kernel': np.ones(2)}}
  assert list(engine.export(params, rules)) == ['old.3']
  assert list(engine.export(params, rules, {'layer_3/kernel': 'new.3'})) == ['new.3']


def test_export_names_what_the_original_does_not_have():
  with pytest.raises(InputError, match=r'2 parameters have no name .*\(ours 2; more/of_it 3x1\)'):
    engine.export({'ours': np.ones(2), 'more': {'of_it': np.ones((3, 1))}}, RULES)


def test_a_rule_that_loses_a_part_of_their_name_leads_nowhere_back():
  with pytest.raises(InputError, match='no name in the original'):
    engine.export({'last': np.ones(2)}, [(r'convs\.\d+', 'last', '')])
