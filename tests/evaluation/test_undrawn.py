"""A generator that drifts, or that knows one language only, cannot hide it."""

import json

import numpy as np
import pytest
import soundfile

from ifmdm_jax.clip import Clip
from ifmdm_jax.errors import InputError
from ifmdm_jax.evaluation import generators, protocol, undrawn
from ifmdm_jax.evaluation.types import Absent, Reference
from ifmdm_jax.face import lag
from ifmdm_jax.generator import Motion
from ifmdm_jax.rates import FPS, SAMPLE_RATE

FOREIGN = 0.05  # loudness of the other language


def loudness(sound):
  return np.abs(sound[: len(sound) // 640 * 640].reshape(-1, 640)).mean(1)


class Lips:
  """Opens as loud as the voice is; `walk` for each frame, `deaf` to what is quiet."""

  name, needs, size, fps = 'lips', frozenset({'image', 'voice'}), 8, FPS

  def __init__(self, walk=0.0, deaf=-1.0):
    self.walk, self.deaf = walk, deaf

  def generate(self, clip, *, seed=0):
    yield clip.image[None]

  def sample_motion(self, clip, *, seed=0, streaming=False):
    assert clip.frames is None, 'it was shown more than it needs'
    level = loudness(clip.waveform)
    heard = (
      level
      if level.max() > self.deaf or not level.any()
      else np.random.default_rng(1).random(len(level))
    )
    opening = heard + self.walk * np.arange(len(level))
    return Motion(opening, np.abs(opening[:, None]) < 1)


class Judge:
  """Predicts the loudness, which the features are."""

  def predict(self, features):
    return features[::2, 0]

  def lag(self, features, opening, most):
    return lag.find(self.predict(features), opening, most)


@pytest.fixture
def sounds(tmp_path, monkeypatch):
  monkeypatch.setattr(undrawn, 'judges', lambda: (Judge(), Judge()))
  rng = np.random.default_rng(0)

  def write(name, loud):
    level = np.repeat(rng.random(6 * FPS), SAMPLE_RATE // FPS)
    soundfile.write(tmp_path / name, loud * level * rng.choice([-1, 1], len(level)), SAMPLE_RATE)

  for name, loud in (('a.wav', 0.5), ('b.wav', 0.5), ('en.wav', 0.5), ('de.wav', FOREIGN)):
    write(name, loud)
  voices = dict(seconds=12, piece=4, silence=4, languages={'en': ['en.wav'], 'de': ['de.wav']})
  clips = [dict(video=name, person=name) for name in ('a.wav', 'b.wav')]
  (tmp_path / 'p.json').write_text(json.dumps(dict(root='.', clips=clips, voices=voices)))
  encode = lambda sound, rate: np.repeat(loudness(sound), 2)[:, None]
  return undrawn.Sounds(protocol.read(tmp_path / 'p.json'), encode, encode)


@pytest.fixture
def reference():
  frames = np.zeros((2, 8, 8, 3), np.uint8)
  return Reference(Clip('b', image=frames[0], frames=frames, waveform=np.zeros(9, np.float32)))


def score(generator, reference, sounds):
  return undrawn.score(generators.Bundle(generator), reference, sounds)


def test_motion_that_stays_and_knows_all_languages_scores_best(reference, sounds):
  found = score(Lips(), reference, sounds)
  assert set(found) == set(undrawn.METRICS)
  assert found['drift_r'] == pytest.approx(0, abs=1e-6)
  assert found['drift_spread'] == pytest.approx(1) and found['code_range'] == 1
  assert found['drift_mean'] < 1e-6 and found['silence_rest'] < 1e-6
  assert found['language_en'] > 0.9 and found['language_de'] == pytest.approx(1, abs=0.1)
  assert isinstance(found['language_ru'], Absent)


def test_a_walk_shows_in_the_voice_and_in_silence(reference, sounds):
  found = score(Lips(walk=0.01), reference, sounds)
  assert found['drift_mean'] > 1 and found['code_range'] < 0.5 and found['silence_rest'] > 0.5


def test_a_generator_that_is_deaf_to_a_language_scores_badly_there_alone(reference, sounds):
  found = score(Lips(deaf=2 * FOREIGN), reference, sounds)
  assert found['language_de'] < 0.5 < found['language_en']
  assert found['language_de_mel'] < 0.5 < found['language_en_mel']


def test_the_long_voice_begins_with_the_own_one_and_repeats_nothing(sounds):
  own, other = sounds.voices['b'], sounds.voices['a']
  assert np.array_equal(sounds.long('b'), np.concatenate([own, other]))


def test_what_cannot_move_to_another_sound_says_so(reference, sounds):
  for row in (generators.GroundTruth(), generators.FirstFrame()):
    with pytest.raises(InputError, match='moves to no'):
      undrawn.score(row, reference, sounds)


@pytest.mark.parametrize(
  'voices', [dict(piece=90), dict(languages={'de': ['x.wav']}), dict(languages={'xx': ['x.wav']})]
)
def test_voices_of_a_protocol_are_checked(tmp_path, voices):
  content = dict(root='.', clips=[dict(video='a.mp4', person='a')], voices=voices)
  (tmp_path / 'p.json').write_text(json.dumps(content))
  with pytest.raises(InputError, match='"voices" of'):
    protocol.read(tmp_path / 'p.json')
