"""Windows of a voice hear every channel, however the sound is cut."""

import numpy as np
import pytest

from ifmdm_jax.streaming.windows import Listener, Plan

PLAN = Plan(new=10, future=4, known=2, past=6)


class Heard:
  """A speech encoder that keeps what it is given."""

  def __init__(self):
    self.sounds = []

  def features(self, waveform, sample_rate):
    self.sounds.append(waveform)
    return np.zeros((2 * round(len(waveform) / sample_rate * 25), 1), np.float32)


def windows(blocks):
  encoder = Heard()
  listener = Listener(encoder, PLAN, 16_000)
  for block in blocks:
    listener.add(block)
  listener.close()
  while listener.ready():
    listener.take()
  return encoder.sounds


@pytest.mark.parametrize('sign', [1, -1])
def test_a_voice_is_heard_whatever_the_phase_of_its_channels(sign):
  voice = np.random.default_rng(0).uniform(-0.3, 0.3, 32_000).astype(np.float32)
  stereo = np.stack([voice, sign * voice], 1)
  whole, cut = windows([stereo]), windows(np.split(stereo, [1_000, 9_999]))
  for mixed, same, alone in zip(whole, cut, windows([voice])):
    np.testing.assert_allclose(mixed, alone, atol=1e-6)
    np.testing.assert_array_equal(mixed, same)


def test_channels_of_whole_numbers_are_mixed_as_well():
  voice = np.random.default_rng(0).integers(-9_000, 9_000, 32_000, np.int16)
  mixed = windows([np.stack([voice, -voice], 1)])[0]
  np.testing.assert_allclose(mixed, voice[: len(mixed)] / 32_768, atol=1e-6)
