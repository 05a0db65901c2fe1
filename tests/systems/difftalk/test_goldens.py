"""The networks of DiffTalk equal an independent build in PyTorch on shared random weights."""

import pathlib

import numpy as np
import pytest

from tests.systems.difftalk import goldens

FIXTURE = pathlib.Path(__file__).parent / 'fixtures' / 'goldens.npz'
SHAPES, COUNTS, INPUTS, OUTPUTS = goldens.read(FIXTURE)
TOLERANCE = 1e-4  # of the deviation; float32 against float64 through a hundred layers


@pytest.fixture(scope='module')
def found():
  return goldens.answers(SHAPES, INPUTS)


@pytest.mark.parametrize('name', [name for name in OUTPUTS if name != 'index'])
def test_it_answers_as_the_independent_build(found, name):
  assert found[name].shape == OUTPUTS[name].shape
  assert goldens.difference(found[name], OUTPUTS[name]) < TOLERANCE


def test_the_same_entries_of_the_codebook_are_chosen(found):
  np.testing.assert_array_equal(found['index'], OUTPUTS['index'])


@pytest.mark.parametrize('name', goldens.PARTS)
def test_parts_have_as_many_parameters_as_there(name):
  prefix = goldens.PARTS[name]
  numbers = sum(int(np.prod(v)) for key, v in SHAPES.items() if key.startswith(prefix))
  assert numbers == COUNTS[name]
