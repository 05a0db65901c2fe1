import jax
import numpy as np
import pytest

from ifmdm_jax.errors import InputError
from ifmdm_jax.importers import engine

RULES = [
  ('net.{i}.weight', 'layer_{i}/kernel', 'OI->IO'),
  ('net.{i}.bias', 'layer_{i}/bias', '1C11->C'),
  ('scale', 'scale', ''),
]
IGNORED = [('*.kernel', 'a buffer')]


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
    rules = [*RULES, ('copy', 'layer_0/kernel', '')]
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
  rules = [('old.{i}', 'layer_{i}/kernel', ''), ('new.{i}', 'layer_{i}/kernel', '')]
  params = {'layer_3': {'kernel': np.ones(2)}}
  assert list(engine.export(params, rules)) == ['old.3']
  assert list(engine.export(params, rules, {'layer_3/kernel': 'new.3'})) == ['new.3']


def test_export_names_what_the_original_does_not_have():
  with pytest.raises(InputError, match=r'2 parameters have no name .*\(ours 2; more/of_it 3x1\)'):
    engine.export({'ours': np.ones(2), 'more': {'of_it': np.ones((3, 1))}}, RULES)


def test_a_rule_that_loses_a_part_of_a_name_is_reported():
  with pytest.raises(ValueError, match=r'convs.\{i\} -> last: i stands on one side alone'):
    engine.export({'last': np.ones(2)}, [('convs.{i}', 'last', '')])


def test_placeholders_are_numbers_words_or_one_of_several():
  rules = [
    ('a.{i}.{j}', 'a_{j}/{i}', ''),
    ('{head:to_rgb|to_flow}.{i}', '{head}_{i}', ''),
    ('{name}.w', '{name}/kernel', ''),
  ]
  read = lambda name: (engine.translate(name, rules) or (None,))[0]
  assert read('a.1.22') == 'a_22/1' and read('a.1.x') is None
  assert read('to_flow.3') == 'to_flow_3' and read('to_depth.3') is None
  assert read('x_y2.w') == 'x_y2/kernel' and read('x.y.w') is None
  params = {'a_22': {'1': np.ones(1)}, 'to_flow_3': np.ones(1), 'x_y2': {'kernel': np.ones(1)}}
  assert set(engine.export(params, rules)) == {'a.1.22', 'to_flow.3', 'x_y2.w'}


def test_a_number_may_be_counted_from_one_here():
  rules = [('layer_{i}/w', 'block_{i+1}/kernel', '')]
  assert engine.translate('layer_9/w', rules)[0] == 'block_10/kernel'
  assert list(engine.export({'block_10': {'kernel': np.ones(1)}}, rules)) == ['layer_9/w']


def test_dots_and_brackets_of_a_name_are_themselves():
  assert not engine.matches('a.b', 'aXb') and engine.matches('a[0].*', 'a[0].b.c')
