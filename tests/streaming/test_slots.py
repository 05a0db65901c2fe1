"""Streams share a device: nobody waits for another, nobody's frames depend on another's."""

import numpy as np
import pytest

from ifmdm_jax.errors import InputError
from ifmdm_jax.pipeline.landmark_code import LIPS
from ifmdm_jax.streaming.slots import Slots

RATE = 16_000


def other(image, seed):
  return np.random.default_rng(seed).integers(0, 255, image.shape, dtype=np.uint8)


def run(slots, voices):
  """Feeds {who: sound} in blocks of 0.1 s; {who: frames}, and how many each had after each step."""
  made, log = {who: [] for who in voices}, []
  for start in range(0, max(map(len, voices.values())), 1600):
    for who, sound in voices.items():
      slots.add(who, sound[start : start + 1600])
    for who, frames in slots.step():
      made[who].append(frames)
    log.append({who: sum(map(len, frames)) for who, frames in made.items()})
  for who in voices:
    slots.end(who)
  while slots.free < slots.count:
    for who, frames in slots.step():
      made[who].append(frames)
  return {who: np.concatenate(frames) for who, frames in made.items()}, log


def test_a_stream_does_not_depend_on_its_neighbours(sampler, image, voice):
  slots = Slots(sampler, 3)
  who = slots.join(image, seed=4)
  alone, _ = run(slots, {who: voice(1.0)})
  assert len(alone[who]) == 25
  beside = {
    slots.join(other(image, 1), seed=1): voice(0.7, 1),
    slots.join(image, seed=4): voice(1.0),
  }
  together, _ = run(slots, beside)
  first, second = beside
  np.testing.assert_array_equal(together[second], alone[who])  # another slot, the same frames
  assert len(together[first]) == round(0.7 * 25)
  single = sampler(image, voice(1.0), seed=4, plan=sampler.streaming)
  # A batch of three sums in another order than one of one.
  assert np.abs(together[second].astype(int) - single).mean() < 1


def test_a_stream_has_a_shape_of_its_own(sampler, image, voice):
  slots = Slots(sampler, 3)
  plain, shaped = slots.join(image), slots.join(image, unit={'jawOpen': 0.5, 'browInnerUp': 1.0})
  made, _ = run(slots, {plain: voice(0.5), shaped: voice(0.5)})
  assert np.abs(made[shaped].astype(int) - made[plain]).max() > 4
  alone = sampler(image, voice(0.5), unit={'browInnerUp': 1, 'jawOpen': 0.5}, plan=slots.plan)
  assert np.abs(made[shaped].astype(int) - alone).mean() < 1


def test_streams_join_and_leave_without_compiling(sampler, image, voice, compilations):
  slots = Slots(sampler, 3)
  run(slots, {slots.join(image): voice(0.5)})
  with compilations() as count:
    stays = slots.join(image)
    slots.add(stays, voice(0.6))
    leaves = slots.join(other(image, 2), seed=7, motion_std=0.0)
    list(slots.step())
    slots.leave(leaves)
    late = slots.join(other(image, 3), unit={'jawLeft': 0.5})
    assert late == leaves
    slots.add(late, voice(0.6))
    list(slots.step())
  assert count() == 0


def test_all_get_the_same_share_whoever_has_most_to_say(sampler, image, voice):
  slots = Slots(sampler, 3)
  greedy, *others = [slots.join(other(image, seed)) for seed in range(3)]
  slots.add(greedy, voice(5.0))  # much more than is due
  _, log = run(slots, {who: voice(1.5, who) for who in (greedy, *others)})
  plan = slots.plan
  for step, counts in enumerate(log, 1):
    assert counts[greedy] <= step * plan.new  # one window a step, like anybody
    heard = step * 2.5  # frames of sound; nobody waits once a window of it is there
    due = plan.new * int(max(0, heard - plan.future) // plan.new)
    assert [counts[who] for who in others] == [due, due]


def test_frames_of_all_are_interleaved(sampler, image, voice):
  slots = Slots(sampler, 2, plan=sampler.offline)
  both = [slots.join(image, seed=seed) for seed in (0, 1)]
  for who in both:
    slots.add(who, voice(1.0))
  order = [who for who, _ in slots.step()]
  assert sorted(order[:2]) == both


def test_a_full_house_and_an_empty_slot_are_said(sampler, image, voice):
  slots = Slots(sampler, 1)
  who = slots.join(image)
  with pytest.raises(InputError, match='all 1 are taken'):
    slots.join(image)
  slots.leave(who)
  with pytest.raises(InputError, match='slot 0 is empty'):
    slots.add(who, voice(0.1))


def test_what_programs_are_compiled_for_is_the_same_for_all_streams(sampler, image):
  slots = Slots(sampler, 1, steps=2)
  slots.join(image, motion_std=None)
  slots = Slots(sampler, 1)
  with pytest.raises(InputError, match='expected the solver of all streams'):
    slots.join(image, steps=2)
  with pytest.raises(InputError, match='got motion_sdt'):
    slots.join(image, motion_sdt=1.0)


class Recording:
  """A sampler that keeps the codes that it draws."""

  def __init__(self, sampler):
    self.sampler, self.codes = sampler, []

  def __getattr__(self, name):
    return getattr(self.sampler, name)

  def draw_mixed(self, portraits, who, codes, size):
    self.codes.extend(codes)
    return self.sampler.draw_mixed(portraits, who, codes, size)


def test_a_mouth_closes_in_two_frames_once_its_voice_is_broken_off(sampler, image):
  away = {}
  for hushed in (False, True):
    recording = Recording(sampler)
    slots = Slots(recording, 1, sampler.live)
    who = slots.join(image)
    # Fresh weights move lips in silence as well, and a voice that goes on opens them again.
    slots.add(who, np.zeros(RATE, np.float32))
    list(slots.step())
    rest, count = recording.codes[0], len(recording.codes)
    if hushed:
      slots.hush(who)
    while len(recording.codes) < count + 3:
      list(slots.step())
    away[hushed] = np.abs(np.stack(recording.codes[count : count + 3]) - rest)[:, LIPS].max(1)
  assert (away[False] > 0).all()
  assert (away[True][1:] == 0).all() and (away[True] < away[False]).all()
