"""Draws a person by landmarks: embeds a few pictures once, then one pass of the generator a frame.

Pictures of the person and the film whose landmarks drive are squares cut as those of training are
(`face.crop.crop_square`), and are brought to the networks' side by the same function. Landmarks of
the person's own film are taken as they are; those of another face would move the picture towards
that face, and are brought to the person's first (`face.retarget`). A voice drives by way of another
system's motion, which says how the person's own landmarks go (`generator.Tracks`).
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax import bundle
from ifmdm_jax.clip import check_frames, check_image, check_seed
from ifmdm_jax.errors import InputError
from ifmdm_jax.face import retarget as retargets
from ifmdm_jax.face.crop import resized
from ifmdm_jax.face.landmarker import FaceLandmarker
from ifmdm_jax.face.points import POINTS
from ifmdm_jax.generator import Tracks
from ifmdm_jax.nn.pixels import as_bytes
from ifmdm_jax.rates import FPS
from ifmdm_jax.systems.fewshot import person, probes

BLOCK = 16  # frames that are drawn at once
DRIVERS = 'voice', 'landmarks'


class Sampler:
  """Draws a person as landmarks say; see `generator.Generator` and `generator.Reenacts`.

  Attributes:
    name: in tables.
    needs: a picture of the person, or more with `shots`, unless it is fitted to one; and a voice,
      or landmarks of a film. Those are counted in pixels of a square as wide as the picture, so
      that with landmarks a picture is needed in any case, but of it no more than its side.
    size: side of the frames, pixels.
    fps: frames a second.
    sources: the weights whose motion a voice drives.
  """

  fps = FPS

  def __init__(
    self, config, params, states, *, style=None, landmarks=None, name='fewshot', shots=0,
    driver='voice', motion=None, track=None,
  ):  # fmt: skip
    """Keeps trained networks.

    Args:
      config: config.model.
      params, states: {'embedder', 'projector', 'generator'}, or of a person {'generator'}.
      style: of a person, [style]; None: it is made of pictures.
      landmarks: of that person's pictures, [K, 468, 2], fractions of the side.
      name: in tables.
      shots: further pictures of the person that it is shown, `Clip.shots`.
      driver: of DRIVERS, what `generate` is shown.
      motion: weights of a `generator.Tracks`, a folder; None: the bundled.
      track: [T, R, R, 3] -> landmarks [T, 468, 2] in pixels, NaN where there is no face; None:
        `FaceLandmarker.track`.
    """
    if driver not in DRIVERS:
      raise InputError(f'expected driver to be one of {", ".join(DRIVERS)}, got {driver!r}')
    self.name, self.size = name, config.image
    pictures = {'image', f'shots:{shots}'} if shots else {'image'}
    if style is not None:
      pictures = {'image'} if driver == 'landmarks' else set()
    self.needs = frozenset({*pictures, driver})
    self.sources = (motion or bundle.BUNDLED,) if driver == 'voice' else ()
    self._motion = motion
    self._config, self._own_track, self._landmarks = config, track, landmarks
    self._params, self._states, self._style = jax.device_put((params, states, style))
    self._embed = jax.jit(functools.partial(person.style_of, config=config))
    self._draw = jax.jit(functools.partial(_draw, config=config))

  @functools.cached_property
  def _track(self):
    return self._own_track or FaceLandmarker().track

  @functools.cached_property
  def _talker(self):
    talker = bundle.load(self._motion)
    if not isinstance(talker, Tracks):
      raise InputError(
        f'expected weights that say how landmarks go to a voice, {talker.name} do not: leave '
        'motion out for the bundled ones'
      )
    return talker

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

  def generate(self, clip, *, seed=0, retarget='none', **options):
    """Yields uint8 [t, size, size, 3] of a person, as `clip.landmarks` or a voice say.

    Args:
      clip: the image, and shots where this sampler needs them, which are squares of any side; and
        landmarks in pixels of a square as wide as the image, one frame each, or else a waveform.
      seed: of the motion to a voice.
      retarget: of `face.retarget.KINDS`, how `clip.landmarks` become the person's.
      options: of the motion to a voice, see `generator.Tracks`.

    Raises:
      InputError: a picture or a frame of the film shows no face.
    """
    seed = check_seed(seed)
    if clip.landmarks is None:
      style, reference = self._person(clip)
      still = retargets.mean_shape(np.asarray(reference, np.float64))
      voice = [clip.waveform], clip.rate, seed
      for points in self._talker.tracks(np.float32(still), *voice, **options):
        yield from self._drawn(style, np.float32, points)
      return
    if options:
      raise InputError(
        f'expected no options beside landmarks, got {", ".join(options)}: they shape the motion to '
        'a voice'
      )
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
