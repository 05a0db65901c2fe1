"""A server that runs, with a portrait, where the extra that it needs is installed."""

import asyncio
import contextlib

import numpy as np
import pytest
from PIL import Image

from ifmdm_jax import read
from ifmdm_jax.streaming.live import Live

NEEDED = 'starlette', 'uvicorn', 'websockets', 'aiortc'


@pytest.fixture(scope='session')
def faces(tmp_path_factory, image):
  """A folder with one portrait; it is read as it is."""
  folder = tmp_path_factory.mktemp('faces')
  Image.fromarray(image).save(folder / 'anna.png')
  return folder


@pytest.fixture(scope='session')
def warm(sampler):
  live = Live(sampler)
  live.warm()
  asyncio.run(live.close())
  return sampler


@pytest.fixture
def serve(warm, faces, image, monkeypatch):
  """serve(**limits): a running server; pictures need no face."""
  for needed in NEEDED:
    pytest.importorskip(needed, reason=f'needs {needed}: pip install ifmdm_jax[serve]')
  from tests.server.served import Server  # it needs the extra

  picture = read.Picture(image, (0, 0, len(image)))
  monkeypatch.setattr('ifmdm_jax.read.read_picture', lambda path, **_: picture)
  with contextlib.ExitStack() as stack:
    yield lambda **limits: stack.enter_context(Server(warm, faces, **limits))


@pytest.fixture
def pcm(voice):
  """pcm(seconds): noise as bytes, at 24 kHz."""
  return lambda seconds: np.rint(voice(seconds, rate=24_000) * 32767).astype('<i2').tobytes()
