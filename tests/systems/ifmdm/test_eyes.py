"""Eyes beside the motion codes, where the renderer says that it draws them."""

import types

import numpy as np
import pytest

from ifmdm_jax.errors import InputError
from ifmdm_jax.streaming.slots import Slots
from ifmdm_jax.systems.ifmdm.motion import eyes
from ifmdm_jax.systems.ifmdm.sampler import Sampler, Stage


def with_directions(sampler, names):
  """A sampler whose renderer writes the directions of some names into the corner of the picture."""
  stage = sampler.stages[0]
  plain = stage.module

  def draw(params, portrait, codes, config):
    frames = plain.draw(params, portrait, codes[:, :20], config)
    drawn = (100 + 100 * codes[:, 20:, None]).astype(np.uint8)
    return frames.at[:, 0, : len(names)].set(drawn)

  module = types.SimpleNamespace(
    __name__=f'directions_{len(names)}', NAMED_DIRECTIONS=names, portrait=plain.portrait,
    motion=plain.motion, draw=draw,
  )  # fmt: skip
  return Sampler(
    Stage(module, stage.config, stage.params), *sampler.stages[1:], sampler.audio,
    size=sampler.size, options=sampler.defaults,
  )  # fmt: skip


@pytest.fixture(scope='module')
def seeing(sampler):
  return with_directions(sampler, eyes.NAMES)


def test_codes_have_eyes_only_where_they_are_drawn(sampler, seeing, image, voice):
  options = dict(blinks_per_minute=60.0, seed=2)
  blind = with_directions(sampler, ())
  without, with_eyes = (each.codes(image, voice(2.0), **options) for each in (blind, seeing))
  assert without.shape == (50, 20) and with_eyes.shape == (50, 24)
  np.testing.assert_array_equal(with_eyes[:, :20], without)  # lips know nothing of eyes
  assert with_eyes[:, 20].max() > 0.85


def test_units_are_refused_where_no_mesh_is_drawn(seeing, image, voice):
  with pytest.raises(InputError, match='leave it out'):
    seeing.codes(image, voice(1.0), unit={'jawLeft': 0.5})


def test_eyes_are_the_same_in_every_plan_and_however_sound_is_cut(seeing, image, voice):
  sound = voice(4.0)
  offline, streaming = (
    seeing.codes(image, sound, plan=plan) for plan in (seeing.offline, seeing.streaming)
  )
  np.testing.assert_array_equal(offline[:, 20:], streaming[:, 20:])
  cut = np.concatenate(list(seeing.stream(image, np.split(sound, [700, 9000, 30_000]))))
  np.testing.assert_array_equal(cut, seeing(image, sound, plan=seeing.streaming))
  corner = 100 + 100 * offline[:, 20:]
  assert np.abs(cut[:, 0, :4, 0] - corner).max() <= 1


def test_eyes_of_a_slot_are_those_of_the_voice_alone(seeing, image, voice):
  slots = Slots(seeing, 2)
  first, second = slots.join(image, seed=1), slots.join(image, seed=2)
  slots.add(first, voice(2.0, 1))
  slots.add(second, voice(2.0, 2))
  made = {first: [], second: []}
  for who in made:
    slots.end(who)
  while slots.free < 2:
    for who, frames in slots.step():
      made[who].append(frames)
  for who, seed in ((first, 1), (second, 2)):
    alone = seeing(image, voice(2.0, seed), seed=seed, plan=seeing.streaming)
    np.testing.assert_array_equal(np.concatenate(made[who])[:, 0, :4], alone[:, 0, :4])


def test_eyes_are_still_where_motion_is(seeing, image, voice):
  assert not seeing.codes(image, voice(3.0), motion_std=0)[:, 20:].any()
  asked = seeing.codes(image, voice(3.0), motion_std=0, blinks_per_minute=60.0)
  assert asked[:, 20].max() > 0.85 and not asked[:, 22:].any()
