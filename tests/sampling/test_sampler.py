import types

import jax
import numpy as np
import pytest

from configs import autoencoder as autoencoder_configs
from configs import motion as motion_configs
from ifmdm_jax.autoencoder.lite import model as autoencoder
from ifmdm_jax.errors import InputError
from ifmdm_jax.motion import model as motion
from ifmdm_jax.motion import units
from ifmdm_jax.sampling.sampler import Sampler, Stage

RATE, SIDE = 16_000, 64


class Loudness:
  """A speech encoder that needs no weights: the loudness of each 20 ms, twelve times."""

  width = 12

  def features(self, waveform, sample_rate):
    mono = np.asarray(waveform, np.float32).reshape(len(waveform), -1).mean(1)
    frames = round(len(mono) / sample_rate * 25)
    hop = sample_rate // 50
    mono = np.pad(mono, (0, hop))
    level = [np.abs(mono[k * hop : (k + 1) * hop]).mean() for k in range(2 * frames)]
    return np.repeat(np.array(level, np.float32)[:, None], self.width, axis=1)


@pytest.fixture(scope='module')
def sampler():
  first = autoencoder_configs.get_config('tiny').model
  second = motion_configs.get_config('tiny').model
  second.update(prediction='x_0', learn_sigma=False)
  ones = np.ones(20, np.float32)
  statistics = dict(
    code_mean=0 * ones,
    code_std=ones,
    change_std=ones,
    window_std=ones,
    feature_mean=np.zeros(12, np.float32),
    feature_std=np.ones(12, np.float32),
  )
  direction = np.arange(20)
  lips = (direction >= 6) & (direction < 14)
  # Fresh transformers answer zero (adaLN-Zero): give every weight a value.
  params = jax.tree.map(lambda x: x + 0.1, motion.init(jax.random.key(1), second))
  return Sampler(
    Stage(autoencoder, first, autoencoder.init(jax.random.key(0), first)),
    Stage(motion, second, params),
    units.Units(statistics, direction < 20, ~lips, octaves=True),
    Loudness(),
    size=SIDE,
    steps=3,
  )


@pytest.fixture(scope='module')
def image():
  return np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)


def voice(seconds, seed=0, channels=()):
  size = (round(seconds * RATE), *channels)
  return np.random.default_rng(seed).uniform(-0.3, 0.3, size).astype(np.float32)


@pytest.mark.parametrize('seconds', [0.05, 0.3, 0.33, 0.5, 1.01])
def test_video_is_as_long_as_its_audio(sampler, image, seconds):
  video = sampler(image, voice(seconds))
  assert video.shape == (round(seconds * 25), SIDE, SIDE, 3) and video.dtype == np.uint8


def test_same_seed_same_video_and_another_seed_another(sampler, image):
  first, again, other = (sampler(image, voice(0.5), seed=s) for s in (3, 3, 4))
  np.testing.assert_array_equal(first, again)
  assert (first != other).any()


def test_blocks_are_the_whole_video(sampler, image):
  blocks = list(sampler.frames(image, voice(1.0)))
  assert max(map(len, blocks)) <= 8
  np.testing.assert_array_equal(np.concatenate(blocks), sampler(image, voice(1.0)))


def test_streamed_equals_offline_for_an_encoder_without_memory(sampler, image):
  sound = voice(1.3)
  for sizes in ([RATE // 10] * 13, [700] * 29 + [500], [RATE, len(sound) - RATE]):
    blocks = np.split(sound, np.cumsum(sizes)[:-1])
    streamed = np.concatenate(list(sampler.stream(image, blocks)))
    offline = sampler(image, sound)
    assert streamed.shape == offline.shape
    assert np.abs(streamed.astype(int) - offline).max() <= 1


def test_frames_leave_before_the_voice_ends(sampler, image):
  asked = []

  def microphone():
    for index in range(20):
      asked.append(index)
      yield voice(0.1, index)

  next(iter(sampler.stream(image, microphone())))
  assert len(asked) < 6  # a window of the tiny model is 0.32 s


def test_no_liveliness_moves_nothing_but_the_lips(sampler, image):
  codes = sampler.codes(image, voice(1.0), motion_std=0)
  lips = slice(6, 14)
  assert codes[:, lips].std(0).min() > 0
  assert np.delete(codes, np.r_[lips], axis=1).std(0).max() < 1e-6


def test_motion_mean_offsets_the_pose(sampler, image):
  rest = sampler.codes(image, voice(0.3), motion_std=0)
  moved = sampler.codes(image, voice(0.3), motion_std=0, motion_mean=0.5)
  np.testing.assert_allclose((moved - rest)[:, :6], 0.5, atol=1e-5)


def test_stereo_is_heard_as_well(sampler, image):
  assert len(sampler(image, voice(0.4, channels=(2,)))) == 10


def test_a_face_repeated_with_its_own_code_is_the_portrait(sampler, image):
  video = sampler.reenact(image, image[None])
  assert np.abs(video[0].astype(int) - image).max() <= 1


@pytest.mark.parametrize(
  'bad', [dict(motion_mean=[1.0, 2.0]), dict(motion_std=-1.0), dict(motion_std=float('nan'))]
)
def test_bad_controls_are_one_line(sampler, image, bad):
  with pytest.raises(InputError):
    sampler(image, voice(0.3), **bad)


def test_a_picture_that_is_not_square_is_refused(sampler):
  with pytest.raises(InputError, match='square'):
    sampler(np.zeros((32, 64, 3), np.uint8), voice(0.3))


def test_the_package_face_is_small():
  import ifmdm_jax as ifm

  assert isinstance(ifm.video, types.ModuleType) and callable(ifm.load) and ifm.Sampler is Sampler
