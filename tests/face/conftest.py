"""The portrait that tests of faces share, and what is found in it."""

import pathlib

import pytest

from ifmdm_jax.face.detect import FaceDetector
from ifmdm_jax.face.mesh import FaceMesh
from ifmdm_jax.video import image

PORTRAIT = pathlib.Path(__file__).parents[2] / 'data' / 'fixtures' / 'portrait.jpg'


@pytest.fixture(scope='session')
def portrait():
  """uint8 RGB [512, 512, 3]."""
  return image.read_image(PORTRAIT)


@pytest.fixture(scope='session')
def detector():
  return FaceDetector()


@pytest.fixture(scope='session')
def mesh():
  return FaceMesh(refinements=1)


@pytest.fixture(scope='session')
def landmarks(portrait, detector, mesh):
  """[468, 2] of the portrait, pixels."""
  return mesh.landmarks(portrait, detector(portrait)[0])[0]
