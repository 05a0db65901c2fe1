"""Draws a person by landmarks: embeds a few pictures once, then one pass of the generator a frame.

Pictures of the person and the film whose landmarks drive are squares cut as those of training are
(`face.crop.crop_square`), and are brought to the networks' side by the same function. Landmarks of
the person's own film are taken as they are; those of another face would move the picture towards
that face, and are brought to the person's first (`face.retarget`).
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.clip import check_frames, check_image, check_seed
from ifmdm_jax.errors import InputError
from ifmdm_jax.face import retarget as retargets
from ifmdm_jax.face.crop import resized
from ifmdm_jax.face.landmarker import FaceLandmarker
from ifmdm_jax.face.points import POINTS
from ifmdm_jax.nn.pixels import as_bytes
from ifmdm_jax.rates import FPS
from ifmdm_jax.systems.fewshot import person, probes

BLOCK = 16  # frames that are drawn at once


class Sampler:
  """Draws a person as landmarks say; see `generator.Generator` and `generator.Reenacts`.

  Attributes:
    name: in tables.
    needs: a picture of the person, or more with `shots`, and landmarks of a film. Fitted to a
      person it looks at none of the picture but its side, which landmarks are counted in.
    size: side of the frames, pixels.
    fps: frames a second.
  """

  fps = FPS

  def __init__(
    self, config, params, states, *, style=None, landmarks=None, name='fewshot', shots=0, track=None
  ):
    """Keeps trained networks.

    Args:
      config: config.model.
      params, states: {'embedder', 'projector', 'generator'}, or of a person {'generator'}.
      style: of a person, [style]; None: it is made of pictures.
      landmarks: of that person's pictures, [K, 468, 2], fractions of the side.
      name: in tables.
      shots: further pictures of the person that it is shown, `Clip.shots`.
      track: [T, R, R, 3] -> landmarks [T, 468, 2] in pixels, NaN where there is no face; None:
        `FaceLandmarker.track`.
    """
    self.name, self.size = name, config.image
    further = {f'shots:{shots}'} if shots and style is None else set()
    self.needs = frozenset({'image', 'landmarks', *further})
    self._config, self._own_track, self._landmarks = config, track, landmarks
    self._params, self._states, self._style = jax.device_put((params, states, style))
    self._embed = jax.jit(functools.partial(person.style_of, config=config))
    self._draw = jax.jit(functools.partial(_draw, config=config))

  @functools.cached_property
  def _track(self):
    return self._own_track or FaceLandmarker().track

  def probes(self, batches):
    """Lists its parts for `ifmdm_jax.bench`, see `generator.Probed`."""
    return probes.probes(self._config, self._params, self._states, batches)

  def embed(self, pictures):
    """Embeds a person: pictures uint8 [K, R, R, 3] -> (style vector, landmarks [K, 468, 2]).

    Landmarks are fractions of the side.

    Raises:
      InputError: one of them shows no face.
    """
    points = np.concatenate([self._track(picture[None]) for picture in pictures])[:, :POINTS]
    missing = np.flatnonzero(~np.isfinite(points).all((1, 2)))
    if missing.size:
      raise InputError(
        f'picture {missing[0] + 1} of {len(pictures)} shows no face that is found: leave it out'
      )
    points = np.float32(points / pictures[0].shape[0])
    shots = np.stack([resized(picture, self.size) for picture in pictures])
    _, style = self._embed(self._params, self._states, shots, points)
    return style, points

  def generate(self, clip, *, seed=0, retarget='none'):
    """Yields uint8 [t, size, size, 3]: the person of `clip.image`, as `clip.landmarks` say.

    Args:
      clip: image and landmarks, in pixels of a square as wide as the image, one frame each; where
        this sampler needs them, shots, which are squares of any side.
      seed: nothing is drawn by chance.
      retarget: of `face.retarget.KINDS`, how the landmarks become the person's.

    Raises:
      InputError: a picture or a frame of the film shows no face.
    """
    check_seed(seed)
    side = len(check_image(clip.image))
    yield from self._film(clip, np.asarray(clip.landmarks, np.float32) / side, retarget)

  def reenact(self, clip, *, own=True, retarget=None):
    """Yields uint8 [t, size, size, 3]: the person of `clip.image` moves as `clip.frames` do.

    Args:
      clip: frames, and their landmarks in pixels if they are known; the image, and shots where
        this sampler needs them, unless it is fitted to a person.
      own: whether the film shows that person.
      retarget: see `generate`; None: 'none' for a film of the person, else 'similarity'.

    Raises:
      InputError: see `generate`.
    """
    check_frames(clip.frames)
    landmarks = clip.landmarks if clip.landmarks is not None else self._track(clip.frames)
    side = np.asarray(clip.frames[0]).shape[0]
    kind = retarget or ('none' if own else 'similarity')
    yield from self._film(clip, np.asarray(landmarks, np.float32) / side, kind)

  def _person(self, clip):
    """Returns the style vector and the landmarks [K, 468, 2] of whom a clip, or the fit, shows."""
    if self._style is not None:
      return self._style, self._landmarks
    image = check_image(clip.image)
    more = [] if clip.shots is None else [check_image(shot) for shot in clip.shots]
    return self.embed(np.stack([resized(each, len(image)) for each in (image, *more)]))

  def _film(self, clip, points, kind):
    points = points[:, :POINTS, :2]
    if not len(points) or not np.isfinite(points).all():
      raise InputError(f'{clip.name or "the film"} has frames without a face: expected one in each')
    style, reference = self._person(clip)
    yield from self._drawn(style, retargets.fit(points, reference, kind), points)

  def _drawn(self, style, move, points):
    """Draws landmarks [T, 468, 2] that are moved by `move`, a block at a time."""
    for start in range(0, len(points), BLOCK):
      part = move(points[start : start + BLOCK])
      filled = np.concatenate([part, np.repeat(part[-1:], BLOCK - len(part), axis=0)])
      frames = self._draw(self._params['generator'], self._states['generator'], style, filled)
      yield np.asarray(frames)[: len(part)]


def _draw(params, states, style, points, config):
  return as_bytes(person.draw(params, states, jnp.asarray(style), points, config))
