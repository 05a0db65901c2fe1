"""A portrait and a voice become frames: motion by M, the body posed by it, the portrait drawn so.

The video model of the paper draws every frame by diffusion; on two cores that takes minutes a
frame, and its published training weeks. What is drawn here is the photo's own pixels, moved as the
posed body says by other weights' renderer (`generator.Draws`).
"""

import functools
import inspect

import numpy as np

from ifmdm_jax import bundle
from ifmdm_jax.clip import check_frames, check_image, check_seed
from ifmdm_jax.errors import InputError
from ifmdm_jax.face.crop import resized
from ifmdm_jax.face.points import POINTS
from ifmdm_jax.face.units import FaceUnits
from ifmdm_jax.generator import Draws, Faces, Redraws
from ifmdm_jax.pipeline.face_motion import NAMES
from ifmdm_jax.rates import FPS, SAMPLE_RATE
from ifmdm_jax.streaming import programs
from ifmdm_jax.systems.vlogger import body, controls, motion_sampler, performance, translate
from ifmdm_jax.systems.vlogger.motion_sampler import PIECE

# What is drawn: the controls, pixels of the photo alone, and besides what they do not show.
CONTROLS, WARP, PAINT = STAGES = 'controls', 'warp', 'paint'
SHOWN = 256  # pixels: side of the pictures of the controls


class Sampler:
  """Draws a portrait that does what M says to a voice; see `generator.Generator`.

  Attributes:
    name: in tables.
    size: side of the frames, pixels.
    fps: frames a second.
    sources: the weights that draw.
  """

  needs, fps, size = frozenset({'image', 'voice'}), FPS, 512

  def __init__(self, config, params, normalizer, audio, *, name='vlogger', steps, drawn_by=None):
    """Keeps a trained motion model.

    Args:
      config: config.model.
      params: of `motion_model.init`.
      normalizer: `motion_model.Normalizer`.
      audio: an `ifmdm_jax.audio.features.AudioEncoder`.
      name: in tables.
      steps: of sampling motion, see `motion_sampler.advance`.
      drawn_by: weights of a `generator.Draws`, a folder; None: the bundled.
    """
    self.name, self._audio, self._drawn_by = name, audio, drawn_by
    self.sources = (drawn_by or bundle.BUNDLED,)
    self._model, self._steps = (config, params, normalizer), steps
    self._samplers, self._begun = {}, set()

  @functools.cached_property
  def _network(self):
    return FaceUnits()

  @functools.cached_property
  def _renderer(self):
    found = bundle.load(self._drawn_by)
    if not isinstance(found, Draws):
      raise InputError(
        f'expected weights that draw by landmarks, {found.name} do not: leave drawn_by out for the '
        'bundled ones'
      )
    return found

  def _motion(self, steps, guidance):
    how = dict(steps=str(steps or self._steps), guidance=float(guidance or 1.0))
    key = tuple(how.values())
    if key not in self._samplers:
      self._samplers[key] = motion_sampler.MotionSampler(*self._model, **how)
    return self._samplers[key]

  def compile_ahead(self, frames=None, *, streaming=False, stage=PAINT, **options):
    """Begins to compile what `generate` needs; see `generator.Compiles`."""
    del frames, streaming
    check_options(self, options)
    painted, how = _painted(stage), tuple(options.get(name) for name in ('steps', 'guidance'))
    if (stage, how) in self._begun:
      return []
    self._begun.add((stage, how))
    jobs = [
      programs.begin('the fit of the body', performance.warm, self.size),
      programs.begin('the motion model', self._warm, *how),
    ]
    if stage != CONTROLS:
      jobs.append(programs.begin('the renderer', self._warm_renderer, painted))
    return jobs

  def _warm(self, steps, guidance):
    silence = np.zeros((2, self._model[0].audio_width), np.float32)
    sampler = self._motion(steps, guidance)
    list(sampler.sample(silence, np.zeros(len(NAMES))))

  def _warm_renderer(self, painted):
    blank = np.zeros((self.size, self.size, 3), np.uint8)
    still = Faces(np.full((1, POINTS, 2), 0.5), np.zeros((1, 2)), np.zeros((1, 2)))
    list(self._renderer.draw(blank, [still], painted=painted))

  def generate(self, clip, *, seed=0, **options):
    """Yields uint8 [t, 512, 512, 3] of `clip.image` that talks as `clip.waveform` does.

    Args:
      clip: with a square image and a waveform.
      seed: of the performance.
      options: see `motion`; and `stage`, of STAGES, up to which a frame is drawn. Of the first one
        frames are uint8 [t, 256, 1024, 3], see `show_controls`.

    Raises:
      InputError: the image shows no face, or there is no such option.
    """
    check_options(self, options)
    stage = options.pop('stage', PAINT)
    painted = _painted(stage)
    if stage == CONTROLS:
      yield from self.show_controls(clip, seed=seed, **options)
      return
    image = resized(check_image(clip.image), self.size)
    person = performance.read(image, self._network)
    made = self.motion(person, clip.waveform, clip.rate, seed=seed, **options)
    places = (performance.placed(person, each) for each in made)
    yield from self._renderer.draw(image, places, painted=painted)

  def motion(
    self, person, waveform, rate, *, seed=0, pin=None, scale=None, gaze=performance.FREE,
    steps=None, guidance=None,
  ):  # fmt: skip
    """Yields motion of the body, float32 [t, A], see `axes`.

    Args:
      person: `performance.Person`.
      waveform: [L] or [L, C].
      rate: Hz.
      seed: of the performance.
      pin: {name or group: value} that is held, see `pipeline.face_motion.indices`.
      scale: {name or group: factor} of how far things move.
      gaze: of `performance.GAZES`.
      steps, guidance: see `motion_sampler.advance`.

    Raises:
      InputError: a name is unknown.
    """
    features = self._audio.features(waveform, rate)
    sampler = self._motion(steps, guidance)
    about = None
    for made in sampler.sample(
      features, person.reference, seed=check_seed(seed), pin=pin, scale=scale
    ):
      about = performance.level(made) if about is None else about
      yield performance.motion(person, made, about, gaze)

  def reenact(self, clip, *, own=True, stage=PAINT):
    """Yields uint8 [t, 512, 512, 3]: `clip.image` moves as the body fitted to `clip.frames` does.

    Args:
      clip: image and frames, squares cut alike.
      own: whether the frames show the person of the image: one body is fitted to all of them. Of
        somebody else the head goes on from the portrait as it does from the first frame.
      stage: see `generate`.

    Raises:
      InputError: the image, or all of the frames, show no face.
    """
    painted = _painted(stage)
    image = resized(check_image(clip.image), self.size)
    check_frames(clip.frames)
    frames = (resized(frame, self.size) for frame in clip.frames)
    person, moved = performance.follow(image, frames, self._network, own)
    yield from self._renderer.draw(image, [performance.placed(person, moved)], painted=painted)

  def enact(self, image, track, *, stage=PAINT):
    """Yields uint8 [t, 512, 512, 3] of a square image that does what a `track.Track` says.

    See `track.Enacts`; `stage`: see `generate`.

    Raises:
      InputError: the image shows no face.
    """
    painted = _painted(stage)
    image = resized(check_image(image), self.size)
    person = performance.read(image, self._network)
    moved = performance.enacted(person, track)
    pieces = (moved[i : i + PIECE] for i in range(0, len(moved), PIECE))
    places = (performance.placed(person, piece) for piece in pieces)
    yield from self._renderer.draw(image, places, painted=painted)

  def dub(self, shot, *, seed=0, pin=None, scale=None, steps=None, guidance=None):
    """Gives a filmed face the lips that M makes to `shot.waveform`: see `generator.Dubs`.

    Head, lids, brows and gaze stay the film's; options: see `motion`.
    """
    if not isinstance(self._renderer, Redraws):
      raise InputError(
        f'expected weights that redraw a filmed face, {self._renderer.name} do not: leave drawn_by '
        'out for the bundled ones'
      )
    features = self._audio.features(translate.voice(shot, SAMPLE_RATE), SAMPLE_RATE)
    how = dict(seed=check_seed(seed), pin=pin, scale=scale)
    made = self._motion(steps, guidance).sample(features, np.zeros(len(NAMES)), **how)
    target = translate.moved(shot, np.concatenate(list(made)))
    yield from self._renderer.redraw(shot, target)

  def show_controls(self, clip, *, seed=0, **options):
    """Yields uint8 [1, 256, 1024, 3], a picture a frame of what a video model is conditioned on.

    From left to right: the photo, the dense map, the masks, the warped reference; see
    `controls.show`. Options: see `motion`.
    """
    image = resized(check_image(clip.image), self.size)
    person, model = performance.read(image, self._network), body.load()
    known = controls.reference(
      model, person.fit.identity, person.fit.motion[0], person.fit.focal, image
    )
    size, small = (SHOWN, SHOWN), np.float32(resized(image, SHOWN)) / 255
    focal = person.fit.focal * SHOWN / self.size
    for moved in self.motion(person, clip.waveform, clip.rate, seed=seed, **options):
      for frame in moved:
        drawn = controls.draw(model, person.fit.identity, frame[None], focal, known, size)
        yield controls.show(drawn, small)[None]


def check_options(sampler, options):
  """Raises InputError where a `Sampler` has no such option."""
  known = [*inspect.signature(sampler.motion).parameters][3:] + ['stage']
  unknown = sorted(set(options) - set(known))
  if unknown:
    raise InputError(
      f'expected options that {sampler.name} has ({", ".join(known)}), got {unknown[0]}: leave it '
      'out'
    )


def _painted(stage):
  if stage not in STAGES:
    raise InputError(f'expected stage to be one of {", ".join(STAGES)}, got {stage!r}')
  return stage != WARP
