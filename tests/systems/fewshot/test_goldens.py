"""The few-shot networks equal an independent build in PyTorch on shared random weights."""

import pathlib

import numpy as np
import pytest

from tests.systems.fewshot import goldens

FIXTURE = pathlib.Path(__file__).parent / 'fixtures' / 'goldens.npz'
SIZE, SHAPES, _, OUTPUTS = goldens.read(FIXTURE)
TOLERANCE = 1e-4  # of the deviation; float32 against float64


@pytest.fixture(scope='module')
def found():
  return goldens.answers(SIZE, SHAPES)


@pytest.mark.parametrize('name', OUTPUTS)
def test_it_answers_as_the_independent_build(found, name):
  """After four steps of every power iteration: the state moves as PyTorch's does."""
  assert found[name].shape == OUTPUTS[name].shape and np.std(OUTPUTS[name]) > 0
  assert goldens.difference(found[name], OUTPUTS[name]) < TOLERANCE
