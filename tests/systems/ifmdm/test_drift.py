"""The bundled weights for longer than a clip: nothing walks away, lips rest in silence. Codes only.

Minutes and hours are measured in experiments/drift; a walk shows in half a minute.
"""

import dataclasses
import pathlib

import numpy as np
import pytest

import ifmdm_jax as ifm
from ifmdm_jax.audio import features, waveform
from ifmdm_jax.face import lag
from ifmdm_jax.face.points import CHIN_TIP, FOREHEAD, POINTS, mouth_opening, smooth
from ifmdm_jax.rates import FPS, SAMPLE_RATE
from ifmdm_jax.systems.ifmdm import motion_stream
from ifmdm_jax.systems.ifmdm.sampler import Sampler

FIXTURES = pathlib.Path(__file__).parents[3] / 'data' / 'fixtures'
SECONDS, PART = 24, 8  # of a voice, and of its beginning and end


@dataclasses.dataclass(frozen=True)
class Person:
  """A sampler, and code and landmarks of the portrait that it moves."""

  sampler: Sampler
  code: np.ndarray
  points: np.ndarray

  def codes(self, sound, plan):
    """Samples codes [T, M] of a sound at 16 kHz."""
    plan = getattr(self.sampler, plan)
    options, typical = self.sampler.options(), self.statistics['window_std']
    stream = motion_stream.MotionStream(
      self.sampler.advance,
      motion_stream.start(self.code, plan),
      motion_stream.controls(self.code, typical, options),
      new=plan.new,
      solver=options.solver,
    )
    listener = self.sampler.listener(plan, SAMPLE_RATE)
    listener.add(sound)
    listener.close()
    made = []
    while listener.ready():
      made.append(stream(listener.take()))
    return np.concatenate(made)

  @property
  def statistics(self):
    return self.sampler.stages[2].statistics

  def opening(self, codes):
    return np.asarray(self.sampler.stages[2].opening(codes))


@pytest.fixture(scope='module')
def person(bundled):
  picture = ifm.read_portrait(FIXTURES / 'portrait.jpg')
  portrait = bundled.portrait(picture)
  return Person(bundled, np.asarray(portrait.code), np.asarray(portrait.appearance.points))


@pytest.fixture(scope='module')
def voice():
  sound = waveform.prepare(*waveform.read(FIXTURES / 'speech.wav'))
  count = -(-SECONDS * SAMPLE_RATE // len(sound))
  return np.tile(sound, count)[: SECONDS * SAMPLE_RATE]


def spans(codes):
  """The first and the last seconds."""
  return slice(0, PART * FPS), slice(len(codes) - PART * FPS, len(codes))


@pytest.mark.parametrize('plan', ['offline', 'streaming'])
def test_the_last_seconds_of_a_long_voice_are_as_good_as_the_first(person, voice, plan):
  codes = person.codes(voice, plan)
  heard = features.load('whisper_tiny', layer=2).features(voice, SAMPLE_RATE)
  asked, seen = lag.load().predict(heard), smooth(person.opening(codes))
  first, last = spans(codes)
  assert seen[last].std() > 0.7 * seen[first].std()
  assert (
    lag.correlation(asked[last], seen[last]) > lag.correlation(asked[first], seen[first]) - 0.15
  )
  assert abs(seen[last].mean() - seen[first].mean()) < 0.03
  assert person.sampler.stages[2].inside(codes, person.code).mean() > 0.99


@pytest.mark.parametrize('plan', ['offline', 'streaming'])
def test_in_silence_the_mouth_rests_and_the_face_keeps_its_place(person, voice, plan):
  codes = person.codes(np.zeros(SECONDS * SAMPLE_RATE, np.float32), plan)
  decode = np.asarray(person.sampler.stages[0].params['code']['decode'])
  moved = ((codes - person.code) @ decode).reshape(-1, POINTS, 2)
  opening = mouth_opening(person.points + moved)
  # The portrait smiles with its teeth, 0.11 open: lips close in the first second, and stay.
  own = mouth_opening(person.points)
  assert opening[:FPS].max() < own + 0.01
  assert np.abs(opening[FPS:] - opening[:FPS].mean()).max() < 0.04
  assert opening[FPS:].std() < 0.015
  # A face is about half the picture high.
  assert np.abs(moved.mean(1)).max() < 0.08 * 0.5
  assert np.abs(moved[:, [FOREHEAD, CHIN_TIP]]).max() < 0.08
  assert codes[:, :6].std(0).min() > 0.05  # and lives on


def test_a_voice_that_comes_back_after_silence_is_followed_as_before(person, voice):
  spoken = voice[: PART * SAMPLE_RATE]
  sound = np.concatenate([spoken, np.zeros(PART * SAMPLE_RATE, np.float32), spoken])
  codes = person.codes(sound, 'streaming')
  heard = features.load('whisper_tiny', layer=2).features(spoken, SAMPLE_RATE)
  asked, seen = lag.load().predict(heard), smooth(person.opening(codes))
  before, after = seen[: PART * FPS], seen[2 * PART * FPS :]
  assert lag.correlation(asked, after) > lag.correlation(asked, before) - 0.15
  assert after.std() > 0.7 * before.std()
  pause = person.opening(codes)[(PART + 1) * FPS : (2 * PART - 1) * FPS]
  assert pause.std() < 0.25 * before.std()


def test_a_face_unlike_all_that_were_learned_from_sways_no_further_than_they(person):
  silence = np.zeros(10 * SAMPLE_RATE, np.float32)
  tilted = person.code.copy()
  tilted[0, 8] += 6 * person.statistics['code_std'][8]
  usual, strange = (
    dataclasses.replace(person, code=code).codes(silence, 'offline') - code
    for code in (person.code, tilted)
  )
  ratio = strange[:, :6].std(0) / usual[:, :6].std(0)
  assert 0.5 < ratio.mean() < 1.3
