"""The rows of a table of dubs: the film as it is, its first lower face pasted, any generator.

A row is as those of `generators`, with two other methods:

  own(reference, seed)             -> Video   the film with lips by its own voice: it is the truth
  another(reference, seed, voice)  -> Video   the film with lips by (waveform, features)
"""

import dataclasses
import functools

import cv2
import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.evaluation import cost, fingerprint
from ifmdm_jax.evaluation.generators import ContractError, Video
from ifmdm_jax.evaluation.protocol import fit
from ifmdm_jax.face import align, points
from ifmdm_jax.face.landmarker import FaceLandmarker
from ifmdm_jax.face.units import FaceUnits
from ifmdm_jax.generator import Dubs, Sourced
from ifmdm_jax.rates import FPS
from ifmdm_jax.shot import Shot

SOFT = 0.03  # of the eyes' distance: how soft the edge of what is pasted is
BLOCK = 32  # frames


class Film:
  """The film as it is: the truth of its own voice; for another's, what doing nothing scores."""

  name = fingerprint = 'film'
  needs = frozenset({'video'})

  def own(self, reference, seed):
    return Video(reference.clip.frames, reference.clip.landmarks)

  def another(self, reference, seed, voice):
    return Video(reference.clip.frames, reference.clip.landmarks, voice=voice)


class Pasted:
  """The lower face of the first frame over that of all others: lips that never move."""

  name = fingerprint = 'pasted'
  needs = frozenset({'video'})

  def own(self, reference, seed):
    clip = reference.clip
    if not np.isfinite(clip.landmarks[0]).all():
      raise InputError('the first frame shows no face')
    frames = [
      paste(frame, clip.frames[0], marks, clip.landmarks[0]) if np.isfinite(marks).all() else frame
      for frame, marks in zip(clip.frames, clip.landmarks)
    ]
    return Video(np.stack(frames))

  def another(self, reference, seed, voice):
    return dataclasses.replace(self.own(reference, seed), voice=voice)


def paste(frame, other, landmarks, others):
  """Draws the lower face of another frame, moved by a similarity, over a frame.

  Args:
    frame, other: uint8 [H, W, 3].
    landmarks, others: of both, [468, 2], pixels.

  Returns:
    uint8 [H, W, 3].
  """
  still = points.RIGID
  matrix = align.similarity(others[still].astype(np.float64), landmarks[still]).matrix
  height, width = frame.shape[:2]
  moved = cv2.warpAffine(other, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
  mask = np.zeros((height, width), np.float32)
  cv2.fillPoly(mask, [np.round(landmarks[points.LOWER_FACE]).astype(np.int32)], 1.0)
  mask = cv2.GaussianBlur(mask, (0, 0), SOFT * float(points.eye_distance(landmarks)))[..., None]
  return np.uint8(frame + mask * (moved.astype(np.float32) - frame) + 0.5)


class Engine:
  """A generator that dubs; it sees the film and the voice, and is timed meanwhile."""

  needs = frozenset({'video', 'voice'})

  def __init__(self, generator, mark=''):
    """Checks the generator.

    Args:
      generator: a `generator.Dubs`.
      mark: hash of the folder of its weights; its code and other sources are hashed here.

    Raises:
      ContractError: it does not dub.
    """
    if not isinstance(generator, Dubs):
      raise ContractError(
        f'expected a generator that dubs films, {type(generator).__name__} has no dub(shot, seed=)'
      )
    self.generator, self.name = generator, generator.name
    sources = generator.sources if isinstance(generator, Sourced) else ()
    marks = [mark, fingerprint.of_generator(generator), *map(fingerprint.of_files, sources)]
    self.fingerprint = ' '.join(marks)
    self._warm = False

  @functools.cached_property
  def _landmarker(self):
    return FaceLandmarker()

  @functools.cached_property
  def _units(self):
    return FaceUnits()

  def own(self, reference, seed):
    if reference.clip.waveform is None:
      raise InputError('the clip has no sound')
    return self._dubbed(reference, seed, reference.clip.waveform)

  def another(self, reference, seed, voice):
    return dataclasses.replace(self._dubbed(reference, seed, voice[0]), voice=voice)

  def _dubbed(self, reference, seed, waveform):
    shot = self._shot(reference.clip.frames, waveform)
    if not self._warm:  # compiling is no part of the speed
      for _ in self.generator.dub(shot, seed=seed):
        pass
      self._warm = True
    frames, spent = cost.measure(self._blocks(shot, reference.clip.frames, seed))
    return Video(frames, cost=spent)

  def _shot(self, frames, waveform):
    """Makes a `Shot` of frames uint8 [T, R, R, 3], scaled to the side that the generator wants."""
    size = self.generator.size
    squares = fit(frames, size)
    marks = self._landmarker.track(squares)
    irises = self._units.track(squares)[0][:, points.POINTS :]
    marks = np.concatenate([marks, irises], axis=1)
    if not np.isfinite(marks).all():
      missing = int((~np.isfinite(marks).all((1, 2))).sum())
      raise InputError(f'no face in {missing} of {len(frames)} frames: a shot shows one throughout')
    marks = np.pad(marks, ((0, 0), (0, 0), (0, 1)))  # their depth is not known
    blocks = lambda: (squares[i : i + BLOCK] for i in range(0, len(squares), BLOCK))
    return Shot(blocks, marks, np.arange(len(frames)) / FPS, waveform, size)

  def _blocks(self, shot, film, seed):
    """Yields the film with what the generator paints, in blocks uint8 [t, R, R, 3]."""
    done, side = 0, film.shape[1]
    for painted in self.generator.dub(shot, seed=seed):
      block = film[done : done + len(painted.frames)]
      mask = np.stack([cv2.resize(each, (side, side)) for each in painted.mask])[..., None]
      new = fit(painted.frames, side).astype(np.float32)
      yield np.where(mask > 0, np.uint8(block + mask * (new - block) + 0.5), block)
      done += len(block)
    if done != len(film):
      raise ContractError(
        f'{self.name} painted {done} frames of a shot of {len(film)}: expected all of them'
      )
