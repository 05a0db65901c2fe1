import json
import sys
import threading
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax import compile_cache
from ifmdm_jax.streaming import programs


class Pair(NamedTuple):
  a: np.ndarray
  b: np.ndarray


GIVEN = Pair(np.float32([1, 2]), np.float32([3, 4]))


@pytest.fixture
def folder(tmp_path, monkeypatch):
  monkeypatch.setattr(compile_cache, '_kept', tmp_path)
  return tmp_path


def traced(about=()):
  """A program as a new process would have it, and how often it was traced."""
  count = []

  def swap(pair, *, factor):
    count.append(1)
    return Pair(pair.b, pair.a * np.float32(factor))

  return programs.Jitted(swap, about), count


def test_what_was_traced_once_is_not_traced_again(folder):
  (first, count), (second, later) = traced(), traced()
  made, again = first(GIVEN, factor=2), second(GIVEN, factor=2)
  assert (len(count), len(later)) == (1, 0) and isinstance(again, Pair)
  np.testing.assert_array_equal(again, [[3, 4], [2, 4]])
  np.testing.assert_array_equal(made, again)


def test_another_config_shape_or_option_is_another_program(folder):
  traced()[0](GIVEN, factor=2)
  for about, size, factor in (
    (np.float32([1, 2]), 2, 2), (np.float32([1, 3]), 2, 2), ((), 3, 2), ((), 2, 3)
  ):  # fmt: skip
    program, count = traced(about)
    made = program(Pair(*np.ones((2, size), np.float32)), factor=factor)
    assert len(count) == 1 and made.b[0] == factor


@pytest.mark.parametrize('damage', ['half', 'empty', 'head', 'middle', 'end', 'foreign'])
def test_a_damaged_entry_is_made_anew(folder, damage):
  traced()[0](GIVEN, factor=2)
  (file,) = folder.glob('*.trace')
  whole = file.read_bytes()
  flipped = {'head': 20, 'middle': len(whole) // 2, 'end': len(whole) - 1}
  if damage in flipped:
    data = bytearray(whole)
    data[flipped[damage]] ^= 4
  else:
    data = dict(half=whole[:100], empty=b'', foreign=b'\x80\x04}.')[damage]
  file.write_bytes(data)
  program, count = traced()
  assert program(GIVEN, factor=2).b[0] == 2 and len(count) == 1
  program, count = traced()
  assert program(GIVEN, factor=2).b[0] == 2 and not count  # whole again


def test_an_entry_names_no_python_to_import(folder):
  traced()[0](GIVEN, factor=2)
  (file,) = folder.glob('*.trace')
  _, body = compile_cache.read(file)
  unloaded = 'this'  # of the standard library; prints when it is imported
  for name in (f'{unloaded}:Pair', 'os:system', 'builtins:tuple', 'nothing'):
    compile_cache.write(file, [name, ['a', 'b'], ['leaf', 'leaf']], body)
    program, count = traced()
    assert program(GIVEN, factor=2).b[0] == 2 and len(count) == 1
  assert unloaded not in sys.modules


def test_structures_come_back_from_json():
  tree = {'x': [0, (0, None)], 'y': Pair(0, {}), 'z': ()}
  structure = jax.tree.structure(tree)
  assert programs.decode(json.loads(json.dumps(programs.encode(structure)))) == structure


def test_a_result_that_json_cannot_describe_is_computed_and_not_kept(folder):
  class Odd:
    pass

  jax.tree_util.register_pytree_node(Odd, lambda x: ((x.value,), None), lambda _, leaves: leaves[0])

  def function(x):
    odd = Odd()
    odd.value = x + 1
    return odd

  assert programs.Jitted(function, ())(np.int32(1)) == 2
  assert not list(folder.glob('*.trace'))


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  program, count = traced()
  made = program(GIVEN, factor=1)
  program(GIVEN, factor=1)
  assert len(count) == 1 and isinstance(made, Pair) and not list(tmp_path.iterdir())


def test_what_was_begun_is_what_is_called(folder):
  program, count = traced()
  shape = jax.ShapeDtypeStruct((2,), np.float32)
  job, result = program.begin('the swap', Pair(shape, shape), factor=2)
  assert isinstance(result, Pair) and result.b.shape == (2,)
  programs.wait([job])
  assert program(GIVEN, factor=2).b[0] == 2 and len(count) == 1


def test_waiting_raises_what_compiling_raised():
  def fail():
    raise MemoryError('no room for the program')

  with pytest.raises(MemoryError, match='no room'):
    programs.wait([programs.begin('much', fail)])


def test_a_long_wait_says_in_a_log_what_it_is_for(folder, monkeypatch, capsys):
  monkeypatch.setattr(programs, 'PATIENCE', 0.0)
  release = threading.Event()
  job = programs.begin('the decoder', release.wait)
  threading.Timer(0.5, release.set).start()
  programs.wait([job])
  assert f'note: compiling 1 programs for this processor, once: kept in {folder.parent}' in (
    capsys.readouterr().err
  )


def test_many_threads_trace_once():
  program, count = traced()
  threads = [threading.Thread(target=program, args=(GIVEN,), kwargs=dict(factor=2)) for _ in 'abcd']
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert len(count) == 1


def test_results_stay_on_the_device():
  assert isinstance(traced()[0](Pair(jnp.ones(2), jnp.ones(2)), factor=2).a, jax.Array)
