"""A portrait and a voice become frames: motion by M, the body posed by it, the portrait drawn so.

What is drawn is the photo's own pixels, moved as the posed body says by other weights' renderer
(`generator.Draws`). The paper's video model draws every pixel by diffusion, or those of which the
photo knows nothing: with weights of it, see `cascade`; none are bundled.
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

# What is drawn: the controls; pixels of the photo alone; besides what they do not show; the same,
# and by diffusion what the controls do not know; all by diffusion.
CONTROLS, WARP, PAINT, FILL, DIFFUSION = STAGES = 'controls', 'warp', 'paint', 'fill', 'diffusion'
SHOWN = 256  # pixels: side of the pictures of the controls


class Sampler:
  """Draws a portrait that does what M says to a voice; see `generator.Generator`.

  Attributes:
    name: in tables.
    size: side of the frames, pixels.
    fps: frames a second.
    sources: the weights that draw.
    stage: of STAGES, up to which is drawn where a call says nothing else.
  """

  needs, fps, size = frozenset({'image', 'voice'}), FPS, 512

  def __init__(
    self, config, params, normalizer, audio, *, name='vlogger', steps, drawn_by=None, cascade=None
  ):  # fmt: skip
    """Keeps a trained motion model.

    Args:
      config: config.model.
      params: of `motion_model.init`.
      normalizer: `motion_model.Normalizer`.
      audio: an `ifmdm_jax.audio.features.AudioEncoder`.
      name: in tables.
      steps: of sampling motion, see `motion_sampler.advance`.
      drawn_by: weights of a `generator.Draws`, a folder; None: the bundled.
      cascade: `cascade.Cascade`; without it there are no stages FILL and DIFFUSION.
    """
    self._cascade, self.stage = cascade, PAINT if cascade is None else DIFFUSION
    self.name, self._audio, self._drawn_by = name, audio, drawn_by
    self.sources = (drawn_by or bundle.BUNDLED,)
    self._model, self._steps = (config, params, normalizer), steps
    self._samplers, self._begun = {}, set()

  @property
  def frame_side(self):
    """Side of what the video model draws, before it is enlarged, pixels; else that of frames."""
    return self._cascade.side if self._cascade else self.size

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

  def compile_ahead(self, frames=None, *, streaming=False, stage=None, **options):
    """Begins to compile what `generate` needs; see `generator.Compiles`."""
    del frames, streaming
    check_options(self, options)
    stage = self._checked(stage)
    how = tuple(options.get(name) for name in ('steps', 'guidance'))
    if (stage, how) in self._begun:
      return []
    self._begun.add((stage, how))
    jobs = [
      programs.begin('the fit of the body', performance.warm, self.size),
      programs.begin('the motion model', self._warm, *how),
    ]
    if stage in (WARP, PAINT, FILL):
      jobs.append(programs.begin('the renderer', self._warm_renderer, stage != WARP))
    if stage in (FILL, DIFFUSION):
      jobs.append(programs.begin('the video model', self._cascade.compile, stage == FILL))
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
        frames are uint8 [1, 256, 1024, 3]: the photo, the dense map, the masks, the warped
        reference, what a video model is conditioned on.

    Raises:
      InputError: the image shows no face, or there is no such option.
    """
    check_options(self, options)
    stage = self._checked(options.pop('stage', None))
    image = resized(check_image(clip.image), self.size)
    person = performance.read(image, self._network)
    made = self.motion(person, clip.waveform, clip.rate, seed=seed, **options)
    yield from self._drawn(image, person, made, stage, seed)

  def _drawn(self, image, person, made, stage, seed=0):
    """Yields frames of pieces of motion [t, A]; see `generate`."""
    if stage == CONTROLS:
      yield from _shown(image, person.fit, made)
      return
    if stage == DIFFUSION:
      for block in self._cascade.draw(person.fit, image, np.concatenate(list(made)), seed=seed):
        yield np.stack([resized(frame, self.size) for frame in block])
      return
    made = list(made) if stage == FILL else made  # windows overlap; it is numbers alone
    places = (performance.placed(person, each) for each in made)
    frames = self._renderer.draw(image, places, painted=stage != WARP)
    if stage == FILL:
      frames = self._cascade.fill(person.fit, image, np.concatenate(made), frames, seed=seed)
    yield from frames

  def _checked(self, stage):
    """Returns the stage that is asked for, or this sampler's own."""
    known = [each for each in STAGES if self._cascade or each not in (FILL, DIFFUSION)]
    if stage is not None and stage not in known:
      why = ': it takes weights of a video model' if stage in STAGES else ''
      raise InputError(f'expected stage to be one of {", ".join(known)}, got {stage!r}{why}')
    return stage or self.stage

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

  def reenact(self, clip, *, own=True, stage=None):
    """Yields uint8 [t, 512, 512, 3]: `clip.image` moves as the body fitted to `clip.frames` does.

    Args:
      clip: image and frames, squares cut alike.
      own: whether the frames show the person of the image: one body is fitted to all of them. Of
        somebody else the head goes on from the portrait as it does from the first frame.
      stage: see `generate`.

    Raises:
      InputError: the image, or all of the frames, show no face.
    """
    stage = self._checked(stage)
    image = resized(check_image(clip.image), self.size)
    check_frames(clip.frames)
    frames = (resized(frame, self.size) for frame in clip.frames)
    person, moved = performance.follow(image, frames, self._network, own)
    yield from self._drawn(image, person, [moved], stage)

  def enact(self, image, track, *, stage=None):
    """Yields uint8 [t, 512, 512, 3] of a square image that does what a `track.Track` says.

    See `track.Enacts`; `stage`: see `generate`.

    Raises:
      InputError: the image shows no face.
    """
    stage = self._checked(stage)
    image = resized(check_image(image), self.size)
    person = performance.read(image, self._network)
    moved = performance.enacted(person, track)
    pieces = (moved[i : i + PIECE] for i in range(0, len(moved), PIECE))
    yield from self._drawn(image, person, pieces, stage)

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


def _shown(image, found, made):
  """Yields a picture of the controls for each frame of pieces of motion [t, A]."""
  model, side = body.load(), image.shape[0]
  known = controls.reference(model, found.identity, found.motion[0], found.focal, image)
  size, small = (SHOWN, SHOWN), np.float32(resized(image, SHOWN)) / 255
  for moved in made:
    for frame in moved:
      drawn = controls.draw(
        model, found.identity, frame[None], found.focal * SHOWN / side, known, size
      )  # fmt: skip
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
