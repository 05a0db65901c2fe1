import jax
import numpy as np
import pytest

from ifmdm_jax.clip import Clip
from ifmdm_jax.errors import InputError
from ifmdm_jax.evaluation import generators
from ifmdm_jax.evaluation.types import Reference
from ifmdm_jax.generator import Reenacts, Streams
from ifmdm_jax.pipeline import landmark_code
from ifmdm_jax.systems.ifmdm.sampler import Sampler

RATE, SIDE = 16_000, 64


@pytest.mark.parametrize('seconds', [0.05, 0.3, 0.33, 0.5, 1.01])
def test_video_is_as_long_as_its_audio(sampler, image, seconds, voice):
  video = sampler(image, voice(seconds))
  assert video.shape == (round(seconds * 25), SIDE, SIDE, 3) and video.dtype == np.uint8


def test_same_seed_same_video_and_another_seed_another(sampler, image, voice):
  first, again, other = (sampler(image, voice(0.5), seed=s) for s in (3, 3, 4))
  np.testing.assert_array_equal(first, again)
  assert (first != other).any()


def test_blocks_are_the_whole_video(sampler, image, voice):
  blocks = list(sampler.frames(image, voice(1.0)))
  assert max(map(len, blocks)) <= 8
  np.testing.assert_array_equal(np.concatenate(blocks), sampler(image, voice(1.0)))


@pytest.mark.parametrize('plan', ['offline', 'streaming'])
@pytest.mark.parametrize('rate', [16_000, 44_100])
def test_streamed_equals_offline_bit_for_bit(sampler, image, plan, rate, voice):
  sound, plan = voice(1.3, rate=rate), getattr(sampler, plan)
  offline = sampler(image, sound, rate, plan=plan)
  for cuts in (range(1600, len(sound), 1600), range(700, len(sound), 700), [rate], []):
    blocks = np.split(sound, list(cuts))
    streamed = np.concatenate(list(sampler.stream(image, blocks, rate, plan=plan)))
    np.testing.assert_array_equal(streamed, offline)


def test_frames_leave_before_the_voice_ends(sampler, image, voice):
  asked = []

  def microphone():
    for index in range(20):
      asked.append(index)
      yield voice(0.1, index)

  next(iter(sampler.stream(image, microphone())))
  behind = (sampler.streaming.new + sampler.streaming.future) / 25  # seconds
  assert len(asked) == int(np.ceil(behind / 0.1))


def test_the_first_frame_does_not_wait_for_the_rest_of_its_window(sampler, image, voice):
  first = next(iter(sampler.stream(image, [voice(1.0)])))
  assert len(first) == sampler.block < sampler.streaming.new


def test_what_makes_a_cpu_fast_changes_no_pixel_by_more_than_rounding(sampler, image, voice):
  stage, _, _ = sampler.stages
  codes = sampler.codes(image, voice(0.3))
  plain = jax.jit(lambda params, image, codes: stage.module.draw(
    params, stage.module.portrait(params, image, stage.config), codes, stage.config
  ))  # fmt: skip
  fast = sampler(image, voice(0.3))
  assert np.abs(np.asarray(plain(stage.params, image, codes)) - fast.astype(int)).max() <= 1


def test_wide_calls_as_on_an_accelerator_give_the_same_frames(sampler, image, voice, monkeypatch):
  monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
  wide = Sampler(*sampler.stages, sampler.audio, size=SIDE, options=sampler.defaults)
  assert wide.block > sampler.block
  blocks = list(wide.frames(image, voice(0.5)))
  assert [len(block) for block in blocks] == [7, 5]  # the plan's seven new frames, not eight
  frames = np.concatenate(blocks).astype(int)
  assert np.abs(frames - sampler(image, voice(0.5))).max() <= 1


def test_an_abandoned_stream_leaves_its_frames_undrawn(sampler, image, voice, monkeypatch):
  monkeypatch.setattr(sampler._pool, 'workers', 1)  # three calls under way or done, no more
  drawn, draw = [], sampler.renderer.draw
  monkeypatch.setattr(
    sampler.renderer, 'draw', lambda *args: drawn.append(draw(*args)) or drawn[-1]
  )
  stream = sampler.stream(image, [voice(2.5)], plan=sampler.offline)
  next(stream)
  stream.close()
  assert len(sampler(image, voice(0.1), plan=sampler.streaming)) == 2  # the queue is empty again
  assert len(drawn) - 2 < sampler.offline.new


def test_a_stream_keeps_no_more_sound_than_its_past(sampler, voice):
  listener = sampler.listener(sampler.streaming, RATE)
  for index in range(200):
    listener.add(voice(0.1, index))
    while listener.ready():
      listener.take()
  longest = (sampler.streaming.past + sampler.streaming.length) / 25 + 0.1
  assert sum(map(len, listener._blocks)) <= longest * RATE


def test_another_length_compiles_nothing(sampler, image, voice, compilations):
  sampler.warm()
  sampler.warm(sampler.offline)
  with compilations() as count:
    for seconds in (0.4, 0.9, 2.1, 5.0):
      sampler.codes(image, voice(seconds))
      sampler(image, voice(seconds), plan=sampler.streaming)
      list(sampler.stream(image, [voice(seconds), voice(0.2)]))
  assert count() == 0
  with compilations() as count:
    sampler.codes(image, voice(0.4), steps=5)
  assert count() > 0  # the counter counts


def test_no_liveliness_moves_nothing_but_the_lips(sampler, image, voice):
  codes = sampler.codes(image, voice(1.0), motion_std=0)
  lips = landmark_code.LIPS
  assert codes[:, lips].std(0).min() > 0
  rest = np.delete(codes, np.r_[lips], axis=1)
  assert (rest.std(0) <= np.maximum(1e-6, np.spacing(np.abs(rest).max(0)))).all()  # one rounding


def test_motion_mean_offsets_the_pose(sampler, image, voice):
  rest = sampler.codes(image, voice(0.3), motion_std=0)
  moved = sampler.codes(image, voice(0.3), motion_std=0, motion_mean=0.5)
  np.testing.assert_allclose((moved - rest)[:, landmark_code.BLOCK['pose']], 0.5, atol=1e-5)


def test_a_knob_turned_changes_what_is_shown_and_no_other_part(sampler, image, voice):
  plain, turned = (sampler.codes(image, voice(1.0), mouth=mouth) for mouth in (1.0, 0.0))
  lips, portrait = slice(6, 14), np.asarray(sampler.portrait(image).code)[0]
  np.testing.assert_allclose(turned[:, lips], portrait[None, lips].repeat(25, 0), atol=1e-5)
  rest = np.r_[0:6, 14:20]
  np.testing.assert_allclose(turned[:, rest], plain[:, rest], atol=1e-5)


def test_stereo_is_heard_as_well(sampler, image, voice):
  assert len(sampler(image, voice(0.4, channels=(2,)))) == 10


def test_known_motion_is_gone_on_with(sampler, image, voice):
  plan = sampler.streaming
  codes = sampler.codes(image, voice(2.0), plan=plan)
  change = np.abs(np.diff(codes, axis=0)).mean(1)
  seams = np.arange(plan.new - 1, len(change), plan.new)
  assert change[seams].mean() < 3 * np.delete(change, seams).mean()


def test_blocks_with_another_number_of_channels_are_refused(sampler, image, voice):
  with pytest.raises(InputError, match='number of channels'):
    list(sampler.stream(image, [voice(0.01), voice(0.3, channels=(2,))]))


def test_a_face_repeated_with_its_own_code_is_the_portrait(sampler, image):
  video = np.concatenate(list(sampler.reenact(Clip(image=image, frames=image[None]))))
  assert video.shape == (1, SIDE, SIDE, 3)
  assert np.abs(video[0].astype(int) - image).max() <= 1
  other = np.stack([255 - image] * 2)  # somebody else who keeps still
  still = np.concatenate(list(sampler.reenact(Clip(image=image, frames=other), own=False)))
  assert np.abs(still.astype(int) - image).max() <= 1


@pytest.mark.parametrize(
  'bad', [dict(motion_mean=[1.0, 2.0]), dict(motion_std=-1.0), dict(motion_std=float('nan'))]
)
def test_bad_controls_are_one_line(sampler, image, bad, voice):
  with pytest.raises(InputError):
    sampler(image, voice(0.3), **bad)


def test_a_misspelt_option_is_refused_before_any_work(sampler, voice):
  for options, said in (
    (dict(motion_sdt=1.0), 'got motion_sdt'), (dict(stepper='euler'), 'stepper'),
    (dict(steps='fast'), 'spacing'), (dict(motion_mean=(1.0, 2.0)), 'one per motion direction'),
    (dict(guidance=float('nan')), 'finite guidance'),
    (dict(guidance=0.5), 'guidance from 1'),
    (dict(guidance=0), 'guidance from 1'),
  ):  # fmt: skip
    for call in (
      sampler,
      sampler.codes,
      lambda *args, **options: next(sampler.stream(*args, **options)),
    ):
      with pytest.raises(InputError, match=said):
        call(None, voice(0.3), **options)  # no picture: it was not looked at


def test_without_control_the_network_is_not_conditioned_on_mean_or_deviation(sampler, image, voice):
  """The paper's Table 1, "no control": whatever the portrait's pose, the tokens are dropped."""
  controlled = sampler.codes(image, voice(0.3), motion_mean=0.5, motion_std=2.0)
  for mean, std in ((None, 2.0), (0.5, None), (None, None)):
    codes = sampler.codes(image, voice(0.3), motion_mean=mean, motion_std=std)
    assert np.abs(codes - controlled).max() > 1e-5
  state, controls = sampler.start(sampler.portrait(image), sampler.offline, sampler.options())
  y = np.zeros((1, 2 * sampler.offline.length, 12), np.float32)
  valid = np.ones((1, sampler.offline.length), np.float32)
  dropped = controls._replace(given=np.zeros((1, 2), bool))

  def sampled(controls):
    solver = sampler.defaults.solver
    return np.asarray(sampler.advance(y, valid, state, controls, new=4, solver=solver)[0])

  want = sampled(dropped)
  np.testing.assert_array_equal(sampled(dropped._replace(mean=controls.mean + 1)), want)
  np.testing.assert_array_equal(sampled(dropped._replace(std=2 * controls.std)), want)


def test_a_picture_that_is_not_square_is_refused(sampler, voice):
  with pytest.raises(InputError, match='square'):
    sampler(np.zeros((32, 64, 3), np.uint8), voice(0.3))


def test_all_that_an_evaluation_asks_of_a_sampler_is_answered(sampler, image, voice, monkeypatch):
  monkeypatch.setattr(generators, 'INSTANTS', (1, 2))
  frames = np.repeat(image[None], 51, axis=0)
  reference = Reference(Clip(image=image, frames=frames, waveform=voice(2.04)))
  row = generators.Bundle(sampler)
  driven, again = row.driven(reference, seed=2), row.reenact(reference)
  assert driven.frames.shape == again.frames.shape == frames.shape
  first, second = row.samples(reference, (2, 3), driven)
  assert first.frames.shape == second.frames.shape == (50, SIDE, SIDE, 3)
  np.testing.assert_array_equal(first.frames, driven.frames[:50])


def test_a_sampler_is_a_generator(sampler, image, voice):
  assert sampler.needs == {'image', 'voice'} and sampler.fps == 25 and sampler.size == SIDE
  clip = Clip(name='a', image=image, waveform=voice(0.5), frames=image[None])
  video = np.concatenate(list(sampler.generate(clip.restricted(sampler.needs), seed=3)))
  np.testing.assert_array_equal(video, sampler(image, voice(0.5), seed=3))
  assert isinstance(sampler, Reenacts) and isinstance(sampler, Streams)
