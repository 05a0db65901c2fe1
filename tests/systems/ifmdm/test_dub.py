"""A film with new lips: what may change, what must not, and whether lips do what is asked."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax.errors import InputError
from ifmdm_jax.face.points import (
  LIPS_INNER,
  LOWER_LIP_INNER,
  LOWER_LIP_OUTER,
  OVAL,
  UPPER_LIP_INNER,
  UPPER_LIP_OUTER,
)
from ifmdm_jax.generator import Dubs
from ifmdm_jax.pipeline import landmark_code
from ifmdm_jax.pipeline.landmark_code import LIPS
from ifmdm_jax.shot import Shot
from ifmdm_jax.systems.ifmdm.dub import draw, face, mouth, speech
from ifmdm_jax.systems.ifmdm.motion import sample
from ifmdm_jax.systems.ifmdm.motion.condition import Condition

SIDE, HEIGHT = 192, 100.0
CODE = {k: np.float64(v) for k, v in vars(landmark_code.load()).items()}
WAY = speech.opening(CODE)
WAY = WAY / (WAY @ WAY)  # of the lips' code, that opens a mouth by a height of the face
AT_REST = face.gaps(face.MEAN[None])[0]
SKIN, LIP, INSIDE = (200, 160, 140), (190, 60, 60), (40, 20, 20)
TALK = 0.3 * np.sin(np.arange(32_000) * 0.2).astype(np.float32)


def landmarks_of(openings, turn=0.0):
  """Landmarks [T, 478, 3] of a face whose mouth opens so far, heights of the face, from rest."""
  way = speech.moved(CODE, (np.asarray(openings) - AT_REST)[:, None] * WAY)
  heads = np.repeat(face.MEAN[None], len(openings), 0)
  heads[..., :2] += way
  c, s = np.cos(turn), np.sin(turn)
  heads = heads @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
  whole = np.zeros((len(openings), 478, 3), np.float32)
  middle = face.MEAN[:, :2].mean(0)
  whole[:, :468, :2] = (heads[..., :2] - middle) * HEIGHT + (SIDE / 2, SIDE * 0.47)
  return whole


def picture_of(landmarks):
  """A face: skin with some grain, lips, and the dark between them."""
  rng = np.random.default_rng(0)
  grain = cv2.GaussianBlur(rng.normal(0, 40, (SIDE, SIDE, 3)).astype(np.float32), (0, 0), 3)
  picture = np.full((SIDE, SIDE, 3), SKIN, np.float32) + grain
  loops = (
    (UPPER_LIP_OUTER, LOWER_LIP_OUTER, LIP),
    (UPPER_LIP_INNER, LOWER_LIP_INNER, INSIDE),
  )
  for upper, lower, colour in loops:
    loop = landmarks[np.concatenate([upper, lower[-2:0:-1]]), :2] - 0.5
    cv2.fillPoly(picture, [np.round(loop * 16).astype(np.int32)], colour, cv2.LINE_AA, 4)
  return np.clip(picture, 0, 255).astype(np.uint8)


def film(openings, block=4, times=None, waveform=TALK, turn=0.0):
  """A `Shot` of such a face, and its frames."""
  landmarks = landmarks_of(openings, turn)
  frames = np.stack([picture_of(points) for points in landmarks])
  times = np.arange(len(frames)) / 25 if times is None else times
  blocks = lambda: (frames[i : i + block] for i in range(0, len(frames), block))
  return Shot(blocks, landmarks, times, waveform, SIDE), frames


def opened(frames, landmarks):
  """Measures the dark in the middle column of mouths, heights of the face: [T]."""
  column = np.round(landmarks[:, 13, 0]).astype(int)
  lines = np.stack([frame[:, x - 1 : x + 2, 0].mean(1) for frame, x in zip(frames, column)])
  y0, y1 = int(landmarks[:, 0, 1].min()) - 4, int(landmarks[:, 17, 1].max()) + 25
  dark = np.clip((LIP[0] - 10 - lines[:, y0:y1]) / (LIP[0] - 10 - INSIDE[0]), 0, 1)
  return dark.sum(1) / HEIGHT


class Asked:
  """Stands for `speech.Voice`: lips open as far as they are asked to."""

  code, ahead = CODE, staticmethod(lambda calls: [call() for call in calls])

  def __init__(self, openings):
    self.openings = openings

  def lips(self, film, waveform, seed):
    """Returns itself, with codes [T, 8]."""
    change = (np.asarray(self.openings) - film.gaps)[:, None] * WAY
    self.codes, self.times = film.lips + change, np.arange(len(self.openings)) / 25
    return self

  def at(self, times):
    """Codes of frames at 25 a second."""
    return self.codes[np.round(np.asarray(times) * 25).astype(int)]


def joined(painted):
  painted = list(painted)
  return tuple(np.concatenate([getattr(p, name) for p in painted]) for name in painted[0]._fields)


FILM = [0.01, 0.03, 0.06, 0.09, 0.09, 0.06, 0.03, 0.01]


@pytest.mark.parametrize('turn', [0.0, 0.4])
def test_mouths_open_as_far_as_they_are_asked_whatever_the_film_shows(turn):
  shot, film_frames = film(FILM, turn=turn)
  asked = np.array([0.09, 0.08, 0.01, 0.05, 0.01, 0.09, 0.06, 0.03])
  frames, _ = joined(draw.dub(shot, Asked(asked)))
  found, shown = opened(frames, shot.landmarks), opened(film_frames, shot.landmarks)
  np.testing.assert_allclose(found[asked > 0.02], asked[asked > 0.02], atol=0.02)
  closed = asked < 0.02
  assert (found[closed] < 0.5 * shown[closed]).all()  # a dark line is left


def test_the_film_stays_where_nothing_is_new():
  shot, film_frames = film(FILM)
  frames, mask = joined(draw.dub(shot, Asked(FILM[3:] + FILM[:3])))
  assert mask.dtype == np.float32 and mask.shape == frames.shape[:3] and mask.max() == 1
  np.testing.assert_array_equal(frames[mask == 0], film_frames[mask == 0])
  nose = int(shot.landmarks[:, 5, 1].min())
  assert (mask[:, :nose] == 0).all()  # the eyes and what is between them are the film's
  tip = shot.landmarks[0, 4, :2].astype(int)
  assert (mask[:, tip[1], tip[0]] == 0).all()
  assert (mask[:, -5:] < 1).all() and mask[0].mean() < 0.35
  inside = shot.landmarks[0, LIPS_INNER, :2].mean(0).astype(int)
  assert mask[0, inside[1], inside[0]] == 1
  chin = int(shot.landmarks[:, 200, 1].max())
  assert np.abs(np.diff(mask[:, chin:], axis=1)).max() < 0.5  # soft


def test_lips_that_are_the_films_own_change_nothing():
  shot, film_frames = film(FILM)
  frames, mask = joined(draw.dub(shot, Asked(FILM)))
  assert (mask == 0).all()
  np.testing.assert_array_equal(frames, film_frames)


def test_nothing_folds_at_the_jaw():
  """The neck below a jaw that drops is pressed together, but keeps its order."""
  shot, _ = film([0.01] * 3)
  points = shot.landmarks[0, :468, :2].astype(np.float64)
  pose = face.poses(points[None])
  way = speech.moved(CODE, 0.1 * WAY[None])[0] * face.SHARES[:, None]
  places, ways = face.with_rings(points, way @ pose.turn[0][:, :2].T, pose.turn[0])
  before, after = (p[face.TRIANGLES] for p in (places, places + ways))
  area = lambda p: np.cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0])
  ring = (face.TRIANGLES >= 468).any(1)
  assert ring.sum() > 20 and np.abs(ways[points[OVAL].shape[0] :]).max() > 3
  assert (area(after)[ring] * area(before)[ring] > 0).all()


def test_blocks_and_seeds(sampler):
  openings = 0.03 + 0.02 * np.sin(np.arange(30))
  run = lambda block, seed: joined(sampler.dub(film(openings, block)[0], seed=seed))
  frames, mask = run(7, seed=1)
  assert frames.shape == (30, SIDE, SIDE, 3) and frames.dtype == np.uint8 and mask.any()
  again, _ = run(30, seed=1)
  np.testing.assert_array_equal(frames, again)
  assert (run(7, seed=2)[0] != frames).any()
  assert isinstance(sampler, Dubs)


def test_lips_rest_while_the_voice_is_silent(sampler):
  """Before, between and after words, and where the voice ends before the film does."""
  voice = np.concatenate([np.zeros(16_000), TALK[:16_000]]).astype(np.float32)
  shot, _ = film(0.03 + 0.02 * np.sin(np.arange(100)), waveform=voice)
  lips, rest = lips_of(sampler, shot)
  away = np.abs(lips.at(shot.times) - rest).max(1)
  assert (away[:17] == 0).all() and (away[58:] == 0).all()
  assert away[28:48].min() > 0
  silent, rest = lips_of(sampler, film([0.03] * 9, waveform=np.zeros(0, np.float32))[0])
  assert (silent.at(np.arange(9) / 25) == rest).all()


def lips_of(sampler, shot):
  voice = speech.Voice(
    sampler.stages, sampler._params, sampler.audio, sampler.offline, sampler.options(),
    sampler._pool, sampler._dubbed,
  )  # fmt: skip
  read = speech.read(draw.checked(shot), shot.times, voice.code)
  return voice.lips(read, shot.waveform, 0), read.rest[LIPS]


def test_frames_come_at_their_own_times(sampler):
  """A film of variable frame rate shows of the same motion what its frames are there for."""
  shot, _ = film([0.03] * 50)
  lips, _ = lips_of(sampler, shot)
  even = lips.at(shot.times)
  np.testing.assert_array_equal(lips.at(shot.times[[3, 17, 31]]), even[[3, 17, 31]])
  between = lips.at([10.5 / 25, 20.25 / 25])
  np.testing.assert_allclose(between[0], (even[10] + even[11]) / 2, atol=0.3 * np.ptp(even))
  odd = np.cumsum([0.0, 0.013, 0.1, 0.02, 0.04, 0.033, 0.2])
  frames, _ = joined(sampler.dub(film([0.03] * 7, times=odd)[0]))
  assert len(frames) == 7


def test_a_shot_of_one_frame(sampler):
  frames, mask = joined(sampler.dub(film([0.03], waveform=TALK[:100])[0]))
  assert frames.shape == (1, SIDE, SIDE, 3) and mask.shape == (1, SIDE, SIDE)


@pytest.mark.parametrize('change, message', [
  (dict(times=np.zeros(8)), 'times'),
  (dict(landmarks=np.zeros((0, 478, 3), np.float32), times=np.zeros(0)), 'landmarks'),
  (dict(landmarks=np.full((8, 478, 3), np.nan, np.float32)), 'finite'),
])  # fmt: skip
def test_what_is_no_shot(sampler, change, message):
  shot, _ = film(FILM)
  shot = Shot(**{**vars(shot), **change})
  with pytest.raises(InputError, match=message):
    next(sampler.dub(shot))


def test_the_bank_is_bounded_and_holds_the_open_mouths():
  rng = np.random.default_rng(0)
  shot, _ = film(0.12 * rng.random(150))
  read = speech.read(draw.checked(shot), shot.times, CODE)
  bank = mouth.Bank(read, draw.checked(shot), shot.blocks())
  assert 3 < len(bank.glimpses) <= mouth.MOST
  assert max(read.gaps[list(bank.glimpses)]) > 0.1
  assert min(read.gaps[list(bank.glimpses)]) > mouth.OPEN


def test_what_is_known_of_a_window_is_kept_at_every_step(sampler):
  config, params = sampler.stages[1].config, sampler.stages[1].params
  rng = np.random.default_rng(0)
  draw = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)
  frames = config.frames
  film = draw(1, frames, 20)
  condition = Condition(draw(1, 2 * frames, 12), draw(1, 1, 20), draw(1, 1, 20), None)
  which = np.arange(20) % 3 == 0
  run = lambda region: np.asarray(
    sample.sample(
      params, config, draw(1, frames, 20) * 0, condition, sampler.options().solver,
      normalizer=sampler.stages[2], region=region, key=jax.random.key(0),
    )
  )  # fmt: skip
  codes, free = run((film, which)), run((film, np.zeros(20, bool)))
  np.testing.assert_allclose(codes[..., which], film[..., which], atol=1e-4)
  assert np.abs(codes - free)[..., ~which].max() > 1e-3  # and the rest is sampled to fit
