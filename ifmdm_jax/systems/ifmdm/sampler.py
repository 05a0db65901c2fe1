"""A portrait and a voice become frames: encode once, sample motion window by window, draw.

File, long file and microphone are one path, `Sampler.stream`; `streaming.slots.Slots` runs the same
compiled functions for many voices at once.
"""

import dataclasses
import functools
import os
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax import read
from ifmdm_jax.audio import waveform as waveforms
from ifmdm_jax.clip import check_image, check_landmarks, check_seed
from ifmdm_jax.errors import InputError
from ifmdm_jax.generator import Motion
from ifmdm_jax.rates import FPS, SAMPLE_RATE
from ifmdm_jax.streaming import device, programs, windows
from ifmdm_jax.streaming.programs import Jitted
from ifmdm_jax.streaming.windows import FEATURES_PER_FRAME, Listener
from ifmdm_jax.systems.ifmdm import exported, knobs, motion_stream, probes
from ifmdm_jax.systems.ifmdm.dub import draw, redraw, speech
from ifmdm_jax.systems.ifmdm.motion import distill, eyes
from ifmdm_jax.systems.ifmdm.motion_stream import MotionStream, Options
from ifmdm_jax.systems.ifmdm.render import Renderer

DEFAULTS = Options()


@dataclasses.dataclass(frozen=True)
class Stage:
  """A trained stage: the module that knows its functions, the config it was made with, weights."""

  module: Any
  config: Any
  params: Any


class Face(NamedTuple):
  """What the motion of a portrait is counted from, where nothing is drawn."""

  code: Any  # [1, M]


class Sampler:
  """`sampler(image, waveform)`; see `ifmdm_jax.load`. A `generator.Generator`.

  Options of every call, by name: steps, guidance, stepper, motion_mean, motion_std, and the knobs
  head, mouth, expression, brows, blinks_per_minute, gaze and unit; see `motion_stream.Options` and
  `motion.sample.Solver`.

  Attributes:
    name: in tables.
    size: side of the frames, pixels.
    defaults: the `Options` that the weights advise.
    block: frames drawn by one call.
    offline, streaming, live: the plans for a voice that is there already, for one still arriving,
      and for one that may be interrupted.
    renderer: the `render.Renderer`.
    stages: (stage 1, stage 2, normalizer).
    sources: files and folders that it was made of, besides the one that it was loaded from.
  """

  sources = ()
  needs = frozenset({'image', 'voice'})
  fps = FPS

  def __init__(
    self, autoencoder, motion, normalizer, audio, *, name='ifmdm', size=512, options=DEFAULTS
  ):
    """Prepares the compiled functions.

    Args:
      autoencoder: `Stage`, see `render.Renderer`.
      motion: `Stage` of `motion.model` or `motion.distill`.
      normalizer: `motion.normalizer.Normalizer`, how stage 2 sees codes and features.
      audio: an `ifmdm_jax.audio.features.AudioEncoder`.
      name: in tables.
      size: side of the frames, pixels.
      options: defaults of every call.
    """
    self.name, self.size, self.defaults = name, size, options
    self.stages = autoencoder, motion, normalizer
    self.offline, self.streaming, self.live = motion_stream.plans(motion.config.frames)
    self.audio = audio
    layout = device.layout()
    self._pool = device.Pool(layout.workers)
    self.renderer, self.block = Renderer(autoencoder, size, layout, self._pool), layout.block
    self._params, self._begun = jax.device_put(motion.params), set()
    self._dubbed = speech.program(motion.config, normalizer)
    self._motion = Jitted(
      functools.partial(motion_stream.sample_motion, motion.config, normalizer),
      ('motion', str(motion.config), normalizer),
    )

  def __call__(self, image, waveform, sample_rate=16_000, seed=0, **options):
    """Draws the whole clip: uint8 [T, size, size, 3], T = round(seconds * 25).

    Args:
      image: uint8 [H, H, 3], a square portrait, or a picture's file; see `ifmdm_jax.read_portrait`.
      waveform: [L] or [L, C], or the file of a voice; see `ifmdm_jax.read_voice`.
      sample_rate: Hz, of an array.
      seed: of the motion; the same seed gives the same frames.
      options: of `stream`; the plan is `offline` if none is given.
    """
    options = {'plan': self.offline, **options}
    self.options(**{name: value for name, value in options.items() if name != 'plan'})
    if isinstance(image, str | os.PathLike):
      image = read.read_portrait(image)
    if isinstance(waveform, str | os.PathLike):
      waveform, sample_rate = read.read_voice(waveform)
    return np.concatenate(list(self.frames(image, waveform, sample_rate, seed, **options)))

  def frames(self, image, waveform, sample_rate=16_000, seed=0, plan=None, **options):
    """Yields the clip in blocks of a few frames: of the video, only these are in memory."""
    waveforms.check(waveform, sample_rate)
    plan = plan or self.offline
    yield from self.stream(image, [waveform], sample_rate, seed, plan=plan, **options)

  def stream(
    self, image, blocks: Iterable[np.ndarray], sample_rate=16_000, seed=0, plan=None, **options
  ):
    """Yields uint8 [n, size, size, 3] while the voice is still arriving, as soon as the sound of a
    window of motion is there. Memory is bounded; the voice may go on for ever.

    Args:
      image: uint8 [H, H, 3].
      blocks: any iterable of waveforms [l] or [l, C], of any length each; the frames do not depend
        on how the sound is cut.
      sample_rate: Hz.
      seed: of the motion.
      plan: the windows; `streaming` by default. With the same plan, `frames` gives the same frames.
      options: see `Sampler`.
    """
    options, plan = self.options(**options), plan or self.streaming
    check_image(image)  # before the work
    check_seed(seed)
    waveforms.check_rate(sample_rate)
    self._compile(plan, options)  # side by side; each part waits for its own
    portrait = self.portrait(image, options)
    size = min(self.block, plan.new)
    for codes in self._windows(portrait, blocks, sample_rate, seed, plan, options):
      yield from self.renderer.drawn(portrait, codes, size)  # emitted before more sound is awaited

  def codes(self, image, waveform, sample_rate=16_000, seed=0, plan=None, **options):
    """Samples motion codes instead of pictures: float32 [T, M], or [T, M + 4] with eyes."""
    options, plan = self.options(**options), plan or self.offline
    waveforms.check(waveform, sample_rate)
    portrait = self.portrait(image)
    windows = self._windows(portrait, [waveform], sample_rate, seed, plan, options)
    return np.concatenate(list(windows))

  def sample_motion(self, clip, *, seed=0, streaming=False):
    """Samples the `generator.Motion` of `clip.image` by `clip.waveform`; nothing is drawn."""
    plan, options = self.streaming if streaming else self.offline, self.options()
    portrait, normalizer = self.portrait(clip.image), self.stages[2]
    windows = self._windows(portrait, [clip.waveform], clip.rate, seed, plan, options)
    codes = np.concatenate(list(windows))[:, : portrait.code.shape[-1]]  # without the eyes
    inside = normalizer.inside(codes, np.asarray(portrait.code))
    return Motion(np.asarray(normalizer.opening(codes)), inside)

  def tracks(self, landmarks, blocks, sample_rate=16_000, seed=0, *, streaming=False, **options):
    """Yields landmarks float32 [t, 468, 2] of a face that talks; see `generator.Tracks`."""
    plan, options = self.streaming if streaming else self.offline, self.options(**options)
    module, params = self.stages[0].module, self.stages[0].params
    if not hasattr(module, 'tracked') or options.unit:
      raise InputError(
        f'expected weights whose codes are landmarks, and no unit, {self.name} has none or was '
        'asked for one: take those of kind lite, and leave unit out'
      )
    landmarks = jnp.asarray(check_landmarks(landmarks))
    code = module.code_of(params, landmarks[None])
    move = jax.jit(functools.partial(module.tracked, {'code': params['code']}, landmarks))
    for codes in self._windows(Face(code), blocks, sample_rate, check_seed(seed), plan, options):
      filled = np.pad(codes, ((0, plan.new - len(codes)), (0, 0)), mode='edge')  # one program
      yield np.asarray(move(filled))[: len(codes)]

  def generate(self, clip, *, seed=0, **options):
    """Animates `clip.image` by `clip.waveform`: yields uint8 [n, size, size, 3]; see `Sampler`."""
    return self.frames(clip.image, clip.waveform, clip.rate, seed, **options)

  def reenact(self, clip, *, own=True):
    """Animates `clip.image` by the motion of `clip.frames`: yields uint8 [n, size, size, 3].

    Args:
      clip: a `Clip`; its frames are cut like the portrait.
      own: take the codes as they are, for a film of the same person. Else the motion since the
        first driving frame is added to the portrait's own.
    """
    portrait, codes = self.portrait(clip.image), self.renderer.read(clip.frames)
    if not own:
      codes = codes - codes[:1] + np.asarray(portrait.code)
    yield from self.renderer.drawn(portrait, codes, self.block)

  def draw(self, image, places, *, painted=True):
    """Draws an image whose landmarks somebody else moves; see `generator.Draws`."""
    if not self.renderer.draws_points:
      raise InputError(
        f'expected weights that draw by landmarks, {self.name} does not: take those of kind lite'
      )
    portrait, program = self.portrait(image), 'draw_points' if painted else 'draw_moved'
    for each in places:
      flat = np.reshape(each.landmarks, (len(each.landmarks), -1))
      rows = np.concatenate([flat, each.lids, each.gaze], axis=1).astype(np.float32)
      yield from self.renderer.drawn(portrait, rows, self.block, program)

  def dub(self, shot, *, seed=0, **options):
    """Gives a filmed face lips that follow `shot.waveform`: see `generator.Dubs`."""
    options = self.options(**options)
    voice = speech.Voice(
      self.stages, self._params, self.audio, self.offline, options, self._pool, self._dubbed
    )
    yield from draw.dub(shot, voice, check_seed(seed))

  def redraw(self, shot, landmarks):
    """Draws a filmed face with landmarks that somebody else moved: see `generator.Redraws`."""
    code = speech.code_of(self.stages[0].params)
    yield from redraw.redraw(shot, landmarks, code, self._pool.ahead)

  def compile_ahead(self, frames=None, *, streaming=False, **options):
    """Begins to compile what `stream` or `frames` needs; see `generator.Compiles`."""
    plan = self.streaming if streaming else self.offline
    return self._compile(plan, self.options(**options), frames)

  def warm(self, plan=None, sample_rate=16_000, **options):
    """Compiles everything that `stream` needs, so that the first frame comes at once."""
    plan = plan or self.streaming
    silence = np.zeros(-(-plan.length * sample_rate // 25), np.float32)
    picture = np.zeros((self.size, self.size, 3), np.uint8)
    for _ in self.stream(picture, [silence], sample_rate, plan=plan, **options):
      pass

  # -- the parts, which `streaming.slots.Slots` uses as well; see there

  def options(self, **options):
    """Returns the `Options` of a call, defaults filled in; raises InputError if one cannot be."""
    options = self.defaults.changed(**options)
    config = self.stages[1].config
    distill.check(config, options.solver)
    motion_stream.check(options, config.motion_dim)
    if options.unit and not self.renderer.draws_units:
      raise InputError('unit shapes a mesh, these weights draw without one: leave it out')
    return options

  def portrait(self, image, options=None):
    """Encodes a picture uint8 [H, H, 3] of any side, with the face units of `Options` if any."""
    return self.renderer.portrait(image, options.unit if options else ())

  def listener(self, plan, sample_rate):
    """Returns a `streaming.windows.Listener` with this sampler's speech encoder."""
    return Listener(self.audio, plan, sample_rate)

  def start(self, portrait, plan, options, seed=0):
    """Returns `State` and `Controls` of a voice that begins."""
    typical = self.stages[2].statistics['window_std']
    begun = (
      motion_stream.start(portrait.code, plan),
      motion_stream.controls(portrait.code, typical, options, seed),
    )
    return motion_stream.with_eyes(*begun, options, seed) if self.renderer.draws_eyes else begun

  def constants(self, options):
    """Returns what `advance` is compiled for."""
    return dict(solver=options.solver)

  def advance(self, y, valid, state, controls, level=None, *, new, solver):
    """Samples the next window of B voices at once; see `motion_stream.move`."""
    sample = functools.partial(self._motion, self._params)
    return motion_stream.move(sample, y, valid, state, controls, level, new=new, solver=solver)

  def rewound(self, before, after, controls, level, count):
    """Returns the state after a part of a window; see `motion_stream.rewound`."""
    return motion_stream.rewound(before, after, controls, level, count)

  def eased(self, codes, rest, open):
    """Moves mouths towards one at rest; see `knobs.eased`."""
    return knobs.eased(codes, rest, open)

  def steadied(self, codes, before, share):
    """Lets heads follow softly; see `knobs.steadied`."""
    return knobs.steadied(codes, before, share)

  def draw_mixed(self, portraits, who, codes, size):
    """Draws codes [n, M] of several portraits; see `render.Renderer`."""
    return self.renderer.draw_mixed(portraits, who, codes, size)

  def ahead(self, calls):
    """Yields the results of `calls` in order; see `streaming.device.Pool`."""
    return self._pool.ahead(calls)

  def probes(self, batches):
    """Lists its parts for `ifmdm_jax.bench` to time."""
    return probes.probes(self, batches)

  def exported(self, plan):
    """Returns what `ifmdm_jax.export` writes."""
    return exported.exported(self, plan)

  @property
  def programs(self):
    """The jitted functions by name, with their parameters: portrait, motion, draw."""
    of_renderer = {
      name: (self.renderer.programs[name], self.renderer.params) for name in ('portrait', 'draw')
    }
    return dict(of_renderer, motion=(self._motion, self._params))

  def _compile(self, plan, options, frames=None):
    """Begins to compile for a plan, the parts side by side: a list of jobs, empty when repeated."""
    if (plan, options.solver) in self._begun:
      return []
    self._begun.add((plan, options.solver))
    _, motion, normalizer = self.stages
    sound = min(frames or plan.length, plan.new + plan.future)
    silence = np.zeros(sound * SAMPLE_RATE // FPS, np.float32)
    speech = programs.begin('the speech encoder', self.audio.features, silence, SAMPLE_RATE)
    code = np.zeros((1, motion.config.motion_dim), np.float32)
    drawn = np.zeros((1, code.shape[1] + len(eyes.NAMES) * self.renderer.draws_eyes), np.float32)
    drawing = self.renderer.compile_ahead(min(self.block, plan.new), drawn)
    shape = (1, FEATURES_PER_FRAME * plan.length, self.audio.width)
    sampling, _ = self._motion.begin(
      'the motion network',
      self._params,
      jax.ShapeDtypeStruct(shape, np.float32),
      jax.ShapeDtypeStruct((1, plan.length), np.float32),
      motion_stream.start(code, plan),
      motion_stream.controls(code, normalizer.statistics['window_std'], options),
      new=plan.new,
      solver=options.solver,
    )
    return [*drawing, speech, sampling]

  def _windows(self, portrait, blocks, sample_rate, seed, plan, options):
    """Yields codes [t, M], window by window."""
    state, controls = self.start(portrait, plan, options, seed)
    stream = MotionStream(self.advance, state, controls, new=plan.new, solver=options.solver)
    listener = self.listener(plan, sample_rate)
    return windows.windows(blocks, listener, stream, self._pool.submit)
