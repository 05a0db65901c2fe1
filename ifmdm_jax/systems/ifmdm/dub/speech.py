"""New lips for a filmed head: motion is sampled with all but the lips known from the film.

The film's codes of pose, lids and brows are put in place at every step of the diffusion, so that
the lips are those of this head, moving like this, that says the new words.
"""

import functools
from typing import NamedTuple

import jax
import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.face.points import LOWER_MIDDLE, POINTS, UPPER_MIDDLE
from ifmdm_jax.pipeline.landmark_code import BLOCK, LIPS
from ifmdm_jax.rates import FPS, SAMPLE_RATE
from ifmdm_jax.streaming import windows
from ifmdm_jax.streaming.programs import Jitted
from ifmdm_jax.streaming.windows import Listener
from ifmdm_jax.systems.ifmdm import knobs
from ifmdm_jax.systems.ifmdm.dub import face
from ifmdm_jax.systems.ifmdm.motion import sample
from ifmdm_jax.systems.ifmdm.motion.condition import Condition

KNOWN = np.ones(sum(block.stop - block.start for block in BLOCK.values()), bool)
KNOWN[LIPS] = False
SHUT = 10  # percentile of the mouth's opening, below which a film's lips count as closed
NEAR = 0.004  # heights of the face by which they may be further open
CLOSED = 0.012  # heights of the face that landmarks of closed lips are apart, at most
TURN, SCEPTICAL = 10.0, 1.0  # degrees; frames so turned that it takes to believe in their influence
USUAL, LEAST, MOST = 0.11, 0.55, 1.15  # wide opening of the network's people; how others differ
SPEAKING = 0.03  # heights of the face: a film whose mouth opens less says nothing of its person
WIDEST = 0.075, 0.115  # heights of the face: where an opening slows down, and ends
QUIET, VOICE = -38.0, -30.0  # dB below the loud parts of a voice: lips rest, and follow it
PIECE = 500  # frames
NOTHING = -65.0  # dB, of no voice at all
REACH = 4  # frames that lips move ahead of their sound, and after it


class Film(NamedTuple):
  """What a film's landmarks say of its T frames.

  Attributes:
    poses: `face.Poses`.
    lips: [T, 8], their code as seen from the front.
    gaps, widths: [T], of the mouth, heights of the face.
    rest: [20], code of the person at rest, lips closed.
    closed: heights of the face between landmarks of the inner lips where these are closed.
    known: [N, 20], codes at 25 frames a second.
  """

  poses: face.Poses
  lips: np.ndarray
  gaps: np.ndarray
  widths: np.ndarray
  rest: np.ndarray
  closed: float
  known: np.ndarray


def read(landmarks, times, code):
  """Reads a `Film` off landmarks, some seconds at a time.

  Args:
    landmarks: [T, 468, 2], pixels.
    times: [T], seconds.
    code: {'encode', 'bias', 'decode'}, see `pipeline.landmark_code`.
  """
  pieces = [
    _read(np.asarray(landmarks[start : start + PIECE], np.float64), code)
    for start in range(0, len(landmarks), PIECE)
  ]
  turn, end, lips, gaps, widths, middle, flat = map(np.concatenate, zip(*pieces))
  poses = face.Poses(turn, end)
  lips = lips - by_pose(lips, gaps, poses.angles)
  # As a square around the whole film shows it, which the head moves through.
  size = face.FRAMING / np.median(poses.scale)
  place = np.array(face.MIDDLE[1]) - size * np.median(middle, axis=0)
  codes = size * flat + encoded(code, np.broadcast_to(place, (1, POINTS, 2)))
  codes[:, LIPS] = lips
  shut = gaps <= np.percentile(gaps, SHUT) + NEAR
  rest, closed = np.median(codes, axis=0), gaps[shut].mean()
  rest[LIPS] = lips[shut].mean(0)
  if closed > CLOSED:  # a film that never closes its mouth
    way = opening(code)
    rest[LIPS] -= way * (closed - CLOSED) / (way @ way)
    closed = CLOSED
  count = int(np.ceil(times[-1] * FPS - 1e-6)) + 1
  known = np.stack([np.interp(np.arange(count) / FPS, times, c) for c in codes.T], -1)
  lips, rest, known = (x.astype(np.float32) for x in (lips, rest, known))
  return Film(poses, lips, gaps, widths, rest, max(float(closed), 0.0), known)


def _read(landmarks, code):
  """Reads a piece of a film: turn, end, code of the lips, gap, width, middle of each face, and its
  pixels as a code without the bias."""
  poses = face.poses(landmarks)
  front = face.frontal(landmarks, poses)
  lips = encoded(code, face.framed(front))[:, LIPS]
  middle = (landmarks.min(1) + landmarks.max(1)) / 2
  flat = landmarks.reshape(len(landmarks), -1) @ code['encode']
  return *poses, lips, face.gaps(front), face.widths(front), middle, flat


def by_pose(lips, gaps, angles):
  """Finds what of the lips' code [T, 8] is the head's turn and not the mouth's: [T, 8].

  A face that is not the mean one does not look quite the same from everywhere.
  """
  turned = (angles - angles.mean(0)) / TURN
  inputs = np.concatenate([np.ones_like(turned[:, :1]), gaps[:, None] / CLOSED, turned], 1)
  calm = np.diag([1e-6, 1e-6, *[SCEPTICAL] * 2])
  weights = np.linalg.solve(inputs.T @ inputs + calm, inputs.T @ lips)
  return turned @ weights[2:]


def opening(code):
  """How far the mouth opens with the lips' code, heights of the face: [8]."""
  way = code['decode'][LIPS].reshape(-1, POINTS, 2) / face.FRAMING
  return way[:, LOWER_MIDDLE, 1] - way[:, UPPER_MIDDLE, 1]


def encoded(code, places):
  """Encodes landmarks [T, 468, 2], fractions of the side: [T, 20]."""
  return places.reshape(len(places), -1) @ code['encode'] - code['bias']


def moved(code, change):
  """Says how far a change of the lips' code [T, 8] moves points: [T, 468, 2], heights of the face,
  along the head's axes."""
  way = change @ code['decode'][LIPS]
  return way.reshape(len(change), POINTS, 2) / face.FRAMING


# ---------------------------------------------------------------------------------- sampling


def sample_lips(config, normalizer, params, y, valid, before, film, rest, seed, index, *, solver):
  """Samples a window of codes whose all but lips are known.

  Args:
    config: `config.model` of stage 2.
    normalizer, params: of stage 2.
    y: [1, 2T, A], speech features.
    valid: [1, T], nonzero for frames that are.
    before: [1, 1 + K, M], the hint, and the codes of the window's first K frames.
    film: [1, T, M], codes of the film; its lips are not read.
    rest: [1, 1, M], code of the person at rest.
    seed, index: uint32 [], of the motion and of the window.
    solver: `motion.sample.Solver`.

  Returns:
    codes [1, T, M].
  """
  shape = film.shape[1:]
  key = jax.random.fold_in(jax.random.key(seed), index)
  noise = jax.random.normal(key, shape)
  chance = getattr(config, 'chance', ())
  noise = noise * np.asarray(chance, np.float32)[None] if len(chance) else noise
  condition = Condition(
    y, before[:, :1], film.mean(1, keepdims=True), film.std(1, keepdims=True), valid,
    reference=rest,
  )  # fmt: skip
  return sample.sample(
    params, config, noise[None], condition, solver, normalizer=normalizer, known=before[:, 1:],
    region=(film, KNOWN), key=jax.random.fold_in(key, 1),
  )  # fmt: skip


class Voice:
  """The networks of a sampler that a film's new lips need.

  Attributes:
    code: {'encode', 'bias', 'decode'}, see `pipeline.landmark_code`.
    normalizer, audio, plan: of the sampler.
    options: `motion_stream.Options`.
    sample: `sample_lips`, compiled, of an array for each argument from y on.
    submit: starts a call, see `streaming.device.Pool`.
  """

  def __init__(self, stages, params, audio, plan, options, pool, program):
    """Prepares them.

    Args:
      stages: (stage 1, stage 2, normalizer).
      params: of stage 2, on the device.
      audio: speech encoder.
      plan: `streaming.windows.Plan`.
      options: `motion_stream.Options`.
      pool: `streaming.device.Pool`.
      program: of the function `program`.

    Raises:
      InputError: motion codes of stage 1 are not those of landmarks.
    """
    self.code = code_of(stages[0].params)
    self.normalizer, self.audio, self.plan, self.options = stages[2], audio, plan, options
    self.submit, self.ahead = pool.submit, pool.ahead
    self.sample = functools.partial(program, params, solver=options.solver)

  def lips(self, film, waveform, seed):
    """Returns the `Lips` of a `Film` that say what is in a waveform [L], 16 kHz."""
    return Lips(self, film, waveform, seed)


def code_of(params):
  """Returns the code of landmarks {'encode', 'bias', 'decode'} of a stage 1, float64.

  Raises:
    InputError: its motion codes are not those of landmarks.
  """
  if (code := params.get('code')) is None:
    raise InputError(
      'expected weights of kind lite, whose motion codes are read off landmarks, to give a film '
      'new lips; these have codes that only their own network reads'
    )
  return {name: np.asarray(value, np.float64) for name, value in code.items()}


def program(config, normalizer):
  """Prepares `sample_lips` for a stage 2 to be compiled."""
  function = functools.partial(sample_lips, config, normalizer)
  return Jitted(function, ('lips', str(config), normalizer))


class Lips:
  """The lips of a shot, sampled as far as they are asked for.

  lips.at(times [t]) -> codes [t, 8]
  """

  def __init__(self, voice, film, waveform, seed):
    """Prepares the voice.

    Args:
      voice: `Voice`.
      film: `Film`.
      waveform: [L], 16 kHz, of any length: silence follows it, and what is beyond the film is
        heard for its last lips alone.
      seed: of the motion.
    """
    self._film, self._opening = film, opening(voice.code)
    wide = np.percentile(film.gaps, 95) - film.closed
    own = np.clip(wide / USUAL, LEAST, MOST) if wide > SPEAKING else 1.0
    self._gain = own * knobs.gains(len(film.rest), voice.options.parts)[LIPS]
    origin = voice.normalizer.origin(*[film.rest[None, None]] * 2)  # that the network counts from
    self._origin = np.asarray(origin)[0, 0, LIPS]
    count, plan = len(film.known), voice.plan
    whole = count * SAMPLE_RATE // FPS
    waveform = np.asarray(waveform, np.float32)[: whole + plan.future * SAMPLE_RATE // FPS]
    if len(waveform) < whole:
      waveform = np.pad(waveform, (0, whole - len(waveform)))
    self._follow = following(waveform, count)
    self._plan, self._seed = plan, np.uint32(seed % 2**32)
    self._sample = voice.sample
    self._before = np.repeat(film.rest[None, None], 1 + plan.known, axis=1)
    self._before[..., KNOWN] = film.known[0, KNOWN]
    self._index, self._done = np.uint32(0), 0
    listener = Listener(voice.audio, plan, SAMPLE_RATE)
    self._windows = windows.windows([waveform], listener, self._window, voice.submit)
    self._codes = np.zeros((0, len(film.rest)), np.float32)[:, LIPS]

  def at(self, times):
    """Returns codes at times [t], seconds, smooth curves between those at 25 a second: [t, 8]."""
    place = np.clip(np.asarray(times) * FPS, 0, len(self._film.known) - 1)
    first = np.floor(place + 1e-6).astype(int)
    self._advance(min(int(first.max()) + 3, len(self._film.known)))
    a, b, c, d = (self._codes[np.clip(first + i, 0, len(self._codes) - 1)] for i in (-1, 0, 1, 2))
    x = np.clip(place - first, 0, 1)[:, None]
    curve = b + 0.5 * x * (c - a + x * (2 * a - 5 * b + 4 * c - d + x * (3 * (b - c) + d - a)))
    return np.where(x > 1e-4, curve, b)

  def _advance(self, count):
    while len(self._codes) < count:
      codes = next(self._windows)
      start = len(self._codes)
      rest = self._film.rest[LIPS]
      follow = self._follow[start : start + len(codes), None]
      codes = codes[: len(follow)]
      new = self._within(self._gain * follow * (codes - self._origin))
      self._codes = np.concatenate([self._codes, (rest + new).astype(np.float32)])

  def _within(self, change):
    """Opens lips no further than people do in speech, or this one does: [t, 8]."""
    most = np.percentile(self._film.gaps, 99)
    start, end = max(WIDEST[0], most), max(WIDEST[1], most + 0.01)
    gap = self._film.closed + change @ self._opening
    less = start + (end - start) * np.tanh((gap - start) / (end - start))
    return change * np.where(gap > start, less / np.maximum(gap, 1e-6), 1.0)[:, None]

  def _window(self, window):
    plan = self._plan
    which = self._done - plan.known + np.arange(plan.length)
    film = self._film.known[np.clip(which, 0, len(self._film.known) - 1)][None]
    codes = np.asarray(
      self._sample(
        window.y[None], window.valid[None], self._before, film, self._film.rest[None, None],
        self._seed, self._index,
      )
    )  # fmt: skip
    sampled = codes[:, plan.known :][:, : plan.new].copy()
    sampled[..., KNOWN] = film[:, plan.known :][:, : plan.new][..., KNOWN]
    self._before = np.concatenate([self._before, sampled], axis=1)[:, plan.new :]
    self._index, self._done = self._index + np.uint32(1), self._done + window.count
    return sampled[0, : window.count, LIPS]


def following(waveform, frames):
  """Says how far lips follow a voice, [frames], 1 fully: where it is silent they rest.

  They are ahead of a sound and close after it, as they do in speech. The waveform, 16 kHz, is as
  long as the frames.
  """
  hop = SAMPLE_RATE // FPS
  sound = waveform[: frames * hop].reshape(frames, hop)
  level = 10 * np.log10(np.einsum('fs,fs->f', sound, sound) / hop + 1e-12)
  loud = np.percentile(level, 95)
  if loud < NOTHING:
    return np.zeros(frames)
  voiced = np.clip((level - loud - QUIET) / (VOICE - QUIET), 0.0, 1.0)
  padded = np.pad(voiced, 2 * REACH, mode='edge')
  around = np.lib.stride_tricks.sliding_window_view(padded, 2 * REACH + 1)
  shares = np.hanning(2 * REACH + 3)[1:-1]
  widest = around.max(1)
  smooth = np.lib.stride_tricks.sliding_window_view(widest, 2 * REACH + 1) @ (shares / shares.sum())
  return np.clip(smooth, 0.0, 1.0)
