from typing import NamedTuple

import numpy as np
import pytest

from ifmdm_jax.streaming import programs


class Pair(NamedTuple):
  a: np.ndarray
  b: np.ndarray


@pytest.fixture
def folder(tmp_path, monkeypatch):
  monkeypatch.setattr(programs, '_kept', tmp_path)
  return tmp_path


def traced(about=()):
  """A program as a new process would have it, and how often it was traced."""
  count = []

  def swap(pair, *, factor):
    count.append(1)
    return Pair(pair.b, pair.a * np.float32(factor))

  return programs.Jitted(swap, about, static_argnames='factor'), count


def test_what_was_traced_once_is_not_traced_again(folder):
  given = Pair(np.float32([1, 2]), np.float32([3, 4]))
  (first, count), (second, later) = traced(), traced()
  made, again = first(given, factor=2), second(given, factor=2)
  assert (len(count), len(later)) == (1, 0) and isinstance(again, Pair)
  np.testing.assert_array_equal(again, [[3, 4], [2, 4]])
  np.testing.assert_array_equal(made, again)


def test_another_config_shape_or_option_is_another_program(folder):
  given = Pair(np.float32([1, 2]), np.float32([3, 4]))
  traced()[0](given, factor=2)
  for about, size, factor in (
    (np.float32([1, 2]), 2, 2), (np.float32([1, 3]), 2, 2), ((), 3, 2), ((), 2, 3)
  ):  # fmt: skip
    program, count = traced(about)
    made = program(Pair(*np.ones((2, size), np.float32)), factor=factor)
    assert len(count) == 1 and made.b[0] == factor


def test_half_a_file_is_made_again(folder):
  given = Pair(np.float32([1, 2]), np.float32([3, 4]))
  traced()[0](given, factor=2)
  (file,) = folder.glob('trace-*')
  file.write_bytes(file.read_bytes()[:100])
  program, count = traced()
  assert program(given, factor=2).b[0] == 2 and len(count) == 1


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  program, _ = traced()
  program(Pair(np.float32([1]), np.float32([2])), factor=1)
  assert not list(tmp_path.iterdir())
