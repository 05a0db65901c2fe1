"""The bundled weights draw what they drew when they were released.

fixtures/demo.npz was made from the frames of the demo (data/fixtures/portrait.jpg and speech.wav,
seed 0, the plan for files) by lite 0.9 on a CPU with AVX-512:

  index                  which of its 170 frames
  square                 (x0, y0, side) of the portrait in the picture
  codes, code            the motion codes of those frames [N, M], and of the portrait [1, M]
  pixels                 every eighth pixel of every eighth row, uint8 [N, 64, 64, 3]
  means                  of 32 x 32 blocks, float16 [N, 16, 16, 3]
  sampled                what stage 2 makes of the first two of them from four seconds of the voice

Weights of another version need another file: draw the same frames, and look at them.
"""

import pathlib

import numpy as np
import pytest

from ifmdm_jax.audio import waveform
from ifmdm_jax.face.crop import cut
from ifmdm_jax.video.image import read_image

FIXTURES = pathlib.Path(__file__).parents[3] / 'data' / 'fixtures'


@pytest.fixture(scope='module')
def before():
  with np.load(pathlib.Path(__file__).parent / 'fixtures' / 'demo.npz') as file:
    return dict(file)


@pytest.fixture(scope='module')
def image(before):
  return cut(read_image(FIXTURES / 'portrait.jpg'), before['square'])


def test_frames_are_the_same_within_one_of_255(before, bundled, image):
  portrait = bundled.portrait(image)
  frames = np.concatenate(list(bundled.renderer.drawn(portrait, before['codes'], bundled.block)))
  apart = frames[:, ::8, ::8].astype(int) - before['pixels']
  assert np.abs(apart).max() <= 1
  means = frames.reshape(-1, 16, 32, 16, 32, 3).mean((2, 4))
  assert np.abs(means - before['means']).max() < 0.2  # float16 rounds by 0.06


def test_the_portrait_and_its_motion_are_read_the_same(before, bundled, image):
  voice, rate = waveform.read(FIXTURES / 'speech.wav')
  code = np.asarray(bundled.portrait(image).code)
  size = np.abs(before['codes']).max()
  np.testing.assert_allclose(code, before['code'], atol=1e-3 * size)
  count = before['index'][1] + 1
  codes = bundled.codes(image, voice[: round(4 * rate)], rate)[:count]
  np.testing.assert_allclose(codes[before['index'][:2], :20], before['sampled'], atol=1e-2 * size)
