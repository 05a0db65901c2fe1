"""A conversation has no gaps: speech when it is there, silence between, nothing twice."""

import numpy as np
import pytest

from ifmdm_jax.errors import InputError
from ifmdm_jax.streaming import timeline as timelines
from ifmdm_jax.streaming.timeline import Timeline
from ifmdm_jax.streaming.windows import Plan

PLAN, RATE, HOP = Plan(new=3, future=3, known=22, past=39), 16_000, 640


class Encoder:
  """Keeps what it is given."""

  def __init__(self):
    self.sounds = []

  def features(self, waveform, sample_rate):
    self.sounds.append(waveform)
    return np.zeros((2 * round(len(waveform) / sample_rate * 25), 1), np.float32)


def speech(frames, seed=0):
  return np.random.default_rng(seed).uniform(-0.5, 0.5, frames * HOP).astype(np.float32)


def begin(**options):
  return Timeline(Encoder(), PLAN, RATE, **options)


def played(timeline, windows):
  """Takes windows: the sound of the speech in them, its frames, and those that end a reply."""
  found = []
  for _ in range(windows):
    timeline.take()
    found += [timeline.sounds.popleft() for _ in range(PLAN.new)]
  sound = [pcm for pcm, _, speaking in found if speaking]
  joined = np.concatenate(sound) if sound else np.zeros(0, np.int16)
  return joined, [k for k, f in enumerate(found) if f[2]], [k for k, f in enumerate(found) if f[1]]


def pcm(sound):
  return np.rint(sound * 32767).astype(np.int16)


@pytest.mark.parametrize('block', [160, 641, 100_000])
def test_a_reply_is_played_whole_and_once_however_it_arrives(block):
  timeline, reply = begin(), speech(20)
  for start in range(0, len(reply), block):
    timeline.push(reply[start : start + block])
  timeline.flush()
  sound, frames, ends = played(timeline, 10)
  np.testing.assert_array_equal(sound, pcm(reply))
  assert frames == list(range(20)) and ends == [19]


def test_a_part_of_a_frame_at_the_end_is_played_as_well():
  timeline, reply = begin(), speech(8)[:-100]
  timeline.push(reply)
  timeline.flush()
  sound, _, ends = played(timeline, 4)
  np.testing.assert_array_equal(sound[: len(reply)], pcm(reply))
  assert not sound[len(reply) :].any() and ends == [7]


def test_two_replies_follow_each_other_and_both_end():
  timeline, first, second = begin(), speech(5, 1), speech(7, 2)
  for reply in (first, second):
    timeline.push(reply)
    timeline.flush()
  sound, _, ends = played(timeline, 6)
  np.testing.assert_array_equal(sound, pcm(np.concatenate([first, second])))
  assert ends == [4, 11]


def test_the_network_hears_what_is_played_and_what_comes_next():
  timeline, reply = begin(), speech(20)
  timeline.push(reply)
  timeline.flush()
  played(timeline, 2)
  np.testing.assert_array_equal(timeline.encoder.sounds[1], reply[: 9 * HOP])  # 3 + 3, 3 ahead


def test_silence_is_encoded_once():
  timeline = begin()
  played(timeline, 40)
  assert len(timeline.encoder.sounds) <= PLAN.past // PLAN.new + 1  # once for each length


def test_a_reply_waits_until_it_can_go_on():
  timeline, reply = begin(), speech(20)
  timeline.push(reply[: 4 * HOP])
  assert not timeline.can_begin()
  assert played(timeline, 1)[1] == []
  timeline.push(reply[4 * HOP : 10 * HOP])
  assert timeline.can_begin()


def test_sound_that_comes_late_leaves_a_pause_and_nothing_out():
  timeline, reply = begin(), speech(30)
  timeline.push(reply[: 10 * HOP])
  before, _, _ = played(timeline, 5)  # it runs dry
  timeline.push(reply[10 * HOP :])
  timeline.flush()
  after, _, ends = played(timeline, 10)
  np.testing.assert_array_equal(np.concatenate([before, after]), pcm(reply))
  assert len(ends) == 1


def test_a_reply_that_nobody_ends_is_played_to_its_end():
  timeline, reply = begin(), speech(5)  # too short to begin by itself
  timeline.push(reply)
  sound, _, ends = played(timeline, timelines.STALE)
  np.testing.assert_array_equal(sound, pcm(reply))
  assert ends == []


def test_a_reply_that_is_ended_after_it_was_played_ends_once():
  timeline = begin()
  timeline.push(speech(9))
  assert played(timeline, 6)[2] == []
  timeline.flush()
  assert played(timeline, 1)[2] == [0] and played(timeline, 5)[2] == []


def test_what_is_broken_off_is_not_played():
  timeline = begin()
  timeline.push(speech(40))
  played(timeline, 2)
  timeline.interrupt()
  assert played(timeline, 5)[1] == []
  reply = speech(9, 3)
  timeline.push(reply)
  timeline.flush()
  np.testing.assert_array_equal(played(timeline, 5)[0], pcm(reply))


def test_a_reply_begins_in_place_of_frames_that_nobody_saw():
  timeline, reply = begin(), speech(12)
  timeline.take()
  timeline.push(reply)
  timeline.rewind(1)
  assert timeline.done == len(timeline.sounds) == 1
  timeline.take()
  heard = timeline.encoder.sounds[-1]
  np.testing.assert_array_equal(heard[HOP:], reply[: 6 * HOP])
  assert not heard[:HOP].any() and timeline.done == 4


def test_a_microphone_that_is_behind_loses_pauses_and_no_speech():
  timeline, words = begin(microphone=True), [speech(20, seed) for seed in range(3)]
  pause = np.zeros(25 * HOP, np.float32)
  for word in words:
    timeline.push(word)
    timeline.push(pause)
  sound, _, _ = played(timeline, 60)
  assert len(sound) < 3 * (20 + 12) * HOP
  spoken = pcm(np.concatenate(words))
  np.testing.assert_array_equal(sound[sound != 0], spoken[spoken != 0])


def test_a_rate_that_frames_do_not_divide_is_refused():
  with pytest.raises(InputError, match='11010'):
    Timeline(Encoder(), PLAN, 11_010)
