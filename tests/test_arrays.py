"""Arrays from Python: what is no picture, sound or seed is said, never drawn black or left out."""

import numpy as np
import pytest

from ifmdm_jax.clip import Clip
from ifmdm_jax.errors import InputError


def floats(image):
  return image / np.float32(255)


NOT_BYTES = {
  'floats in [0, 1]': (floats, 'uint8 from 0 to 255, got float32: .*255'),
  'NaN': (lambda x: np.full(x.shape, np.nan), 'got float64'),
  '16 bits': (lambda x: x.astype(np.uint16) * 257, 'got uint16: .* // 257'),
  'int64': (lambda x: x.astype(int), 'got int64'),
  'bool': (lambda x: x > 9, 'got bool'),
  'empty': (lambda x: x[:0, :0], 'square uint8'),
  'grey': (lambda x: x[..., 0], 'square uint8'),
  'batched': (lambda x: x[None], 'square uint8'),
  'text': (lambda x: np.array('a picture'), 'square uint8'),
  'nothing': (lambda x: None, 'square uint8'),
}


@pytest.mark.parametrize('name', NOT_BYTES)
def test_a_picture_is_bytes_or_refused(sampler, image, voice, name):
  change, said = NOT_BYTES[name]
  with pytest.raises(InputError, match=said):
    list(sampler.frames(change(image), voice(0.2)))
  with pytest.raises(InputError, match=said):
    next(sampler.reenact(Clip(image=change(image), frames=image[None])))


@pytest.mark.parametrize('name', NOT_BYTES)
def test_driving_frames_are_bytes_or_refused(sampler, image, name):
  change, _ = NOT_BYTES[name]
  frames = change(image)
  frames = frames if frames is None else [frames]
  with pytest.raises(InputError, match='frames should be'):
    next(sampler.reenact(Clip(image=image, frames=frames)))


def test_no_driving_frames_are_refused(sampler, image):
  for none in ([], image[:0], None, b'frames'):
    with pytest.raises(InputError, match='frames should be'):
      next(sampler.reenact(Clip(image=image, frames=none)))


SOUNDS = {  # what is not blocks of sound               what the line says
  'channels first': ([np.zeros((2, 3200), np.float32)], 'put the samples first'),
  'a decoder\'s': ([np.zeros((1, 1600), np.float32)] * 3, 'put the samples first'),
  'bytes': (b'\0' * 4000, 'an iterable of waveforms'),
  'None': (None, 'an iterable of waveforms'),
  'a path': ('voice.wav', 'an iterable of waveforms'),
  'one array': (np.zeros(4000, np.float32), 'got shape ()'),
  'a number': ([0.5], 'got shape ()'),
  'text': (['voice'], 'got shape ()'),
  'bytes in a list': ([b'\0' * 4000], 'got shape ()'),
  'None in a list': ([None], 'got shape ()'),
  'objects': ([np.array([None, 1.0])], 'convert to float32'),
  'complex': ([np.zeros(4000, complex)], 'convert to float32'),
  'no blocks': ([], 'at least 0.04 s of sound'),
  'an empty block': ([np.zeros(0, np.float32)], 'at least 0.04 s of sound'),
  '10 ms': ([np.zeros(160, np.float32)], 'at least 0.04 s of sound'),
}  # fmt: skip


@pytest.mark.parametrize('name', SOUNDS)
def test_sound_is_blocks_of_samples_or_refused(sampler, image, name):
  blocks, said = SOUNDS[name]
  with pytest.raises(InputError, match=said.replace('(', r'\(').replace(')', r'\)')):
    list(sampler.stream(image, blocks))


@pytest.mark.parametrize('rate', [None, '16000', np.nan, np.inf, 0, -1, 1e9, [16_000], True, 1j])
def test_a_rate_is_a_number_of_hz_or_refused(sampler, image, voice, rate):
  for make in (sampler.frames, lambda image, x, rate: sampler.stream(image, [x], rate)):
    with pytest.raises(InputError, match='a sample rate in Hz'):
      list(make(image, voice(0.2), rate))


@pytest.mark.parametrize('seed', [1.5, 'a', None, np.nan, True, 10**30, -(10**30), [1]])
def test_a_seed_is_a_whole_number_or_refused(sampler, image, voice, seed):
  with pytest.raises(InputError, match='seed should be a whole number'):
    list(sampler.frames(image, voice(0.2), seed=seed))


OPTIONS = [
  dict(guidance=value) for value in (np.nan, -1, 1e308, 'much', None, [1], True)
] + [
  dict(motion_std=value) for value in (np.nan, -1, 1e300, 'lively', [1, 2])
] + [
  dict(motion_mean=value) for value in (np.inf, 1e30, 'left', [[1]], [0.5] * 3)
] + [dict(steps=value) for value in (0, -1, 'ten', None, 1.5, 10**9)]  # fmt: skip


@pytest.mark.parametrize('options', OPTIONS, ids=str)
def test_options_are_sane_numbers_or_refused(sampler, image, voice, options):
  with pytest.raises(InputError):
    list(sampler.frames(image, voice(0.2), **options))
