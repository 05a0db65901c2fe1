import numpy as np
import pytest

from ifmdm_jax.clip import Clip
from ifmdm_jax.errors import InputError


@pytest.fixture
def clip():
  frames = np.zeros((50, 8, 8, 3), np.uint8)
  return Clip(
    name='a', person='p', image=frames[0], waveform=np.zeros(32_000, np.float32), frames=frames,
    landmarks=np.zeros((50, 468, 2), np.float32), shots=frames[:3],
  )  # fmt: skip


def test_a_generator_sees_what_it_needs_and_nothing_else(clip):
  seen = clip.restricted({'image', 'voice'})
  assert seen.image is clip.image and seen.waveform is clip.waveform
  assert seen.frames is None and seen.landmarks is None and seen.shots is None and not seen.person


def test_shots_are_as_many_as_asked_for(clip):
  assert len(clip.restricted({'shots:2'}).shots) == 2
  with pytest.raises(InputError, match='has 3 shots, expected 8'):
    clip.restricted({'shots:8'})


@pytest.mark.parametrize('need', ['audio', 'shots', 'image:2', 'shots:x'])
def test_an_unknown_need_says_what_is_known(clip, need):
  with pytest.raises(InputError, match='shots:K'):
    clip.restricted({need})


def test_a_need_that_the_clip_cannot_meet_is_named(clip):
  with pytest.raises(InputError, match='a has no text'):
    clip.restricted({'image', 'text'})


def test_frames_are_counted_from_the_video_or_from_the_voice(clip):
  assert clip.num_frames == 50
  assert clip.restricted({'voice'}).num_frames == 50
  assert Clip().num_frames == 0
