"""Where a live face goes over from rest into speech, and back: the bundled weights."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ifmdm_jax as ifm
from ifmdm_jax.face.landmarker import FaceLandmarker
from ifmdm_jax.rates import SAMPLE_RATE
from ifmdm_jax.streaming.slots import Slots
from ifmdm_jax.streaming.timeline import Timeline

PORTRAIT, SPEECH = 'data/fixtures/portrait.jpg', 'data/fixtures/speech.wav'
STEP = 2  # times the median change in speech, at most
STILL = dict(blinks_per_minute=0, gaze='camera')  # a blink may fall anywhere and is no jump


@pytest.fixture(scope='module')
def track(bundled):
  """Makes landmarks [n, 468, 2] of motion codes of the example."""
  stage, image = bundled.stages[0], ifm.read_portrait(PORTRAIT)
  landmarks = jnp.asarray(FaceLandmarker().track([image])[0])
  code = {'code': stage.params['code']}
  return jax.jit(functools.partial(stage.module.tracked, code, landmarks))


@pytest.mark.parametrize('unseen', [0, 1, 4, 5])
@pytest.mark.parametrize('seed', [0, 2, 7])
def test_a_reply_begins_without_a_jump(bundled, track, monkeypatch, seed, unseen):
  """However many frames of the rest before it were made and had not been shown."""
  voice, _ = ifm.read_voice(SPEECH)
  plan, codes = bundled.live, []
  timeline = Timeline(bundled.listener(plan, SAMPLE_RATE).encoder, plan, SAMPLE_RATE)
  slots = Slots(bundled, 1, plan, steady=True)
  who = slots.join(ifm.read_portrait(PORTRAIT), seed, timeline, **STILL)
  monkeypatch.setattr(slots, '_draw_all', lambda made: codes.extend(made[who]) or ())

  def window():
    list(slots.step())

  while len(codes) < 60:
    window()
  timeline.push(np.asarray(voice[: 4 * SAMPLE_RATE], np.float32))
  timeline.flush()
  begins = len(codes) - unseen
  timeline.rewind(begins)
  slots.rewind(who, begins)
  del codes[begins:]
  while timeline.waiting:
    window()
  change = np.linalg.norm(np.diff(track(np.array(codes)), axis=0), axis=-1).mean(-1)
  onset, speech = change[begins - 3 : begins + 4], np.median(change[begins:])
  assert onset.max() <= STEP * speech
