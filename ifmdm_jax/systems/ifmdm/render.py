"""Stage 1 at work: a portrait is encoded once, then drawn with any motion codes."""

import functools

import jax
import numpy as np

from ifmdm_jax.clip import check_frames, check_image
from ifmdm_jax.face.crop import resized
from ifmdm_jax.streaming.programs import Jitted
from ifmdm_jax.systems.ifmdm.motion import eyes


class Renderer:
  """Draws one or many portraits with the compiled functions of a stage 1.

  Attributes:
    size: side of the frames, pixels.
    block: frames drawn by one call.
    stage: the `Stage` that it was made of.
    params: its parameters on the device, with what this processor needs to be fast.
    programs: {'portrait', 'read', 'draw', 'draw_mixed'}, and for landmarks {'draw_points',
      'draw_moved'}, compiled.
    draws_eyes: whether `draw` takes codes [n, M + 4] as well, with `motion.eyes.NAMES` at the end.
    draws_units: whether a portrait can be given face units.
    draws_points: whether it can be drawn by landmarks that somebody else moved.
  """

  def __init__(self, stage, size, layout, pool):
    """Prepares the compiled functions.

    Args:
      stage: `Stage`; its module has portrait(params, image, config), motion(params, frames, config)
        and draw(params, portrait, codes, config), and where it draws faster on a CPU with other
        parameters, for_cpu(params). Where it draws more than the code's own directions, it names
        them in NAMED_DIRECTIONS, in the order in which they follow a code. Where it draws face
        units, with_units(portrait, {name: number}); where it draws landmarks that somebody else has
        moved, draw_points(params, portrait, rows, config, painted).
      size: side of the frames, pixels.
      layout: a `streaming.device.Layout`.
      pool: a `streaming.device.Pool`.
    """
    self.stage, self.size, self.block, self._pool = stage, size, layout.block, pool
    self._last = None, None
    module, config = stage.module, stage.config
    draw_points = getattr(module, 'draw_points', None)
    faster = getattr(module, 'for_cpu', None) if layout.cpu else None
    self.draws_eyes = getattr(module, 'NAMED_DIRECTIONS', ()) == eyes.NAMES
    self._with_units = getattr(module, 'with_units', None)
    self.draws_units = self._with_units is not None
    # On the device once: arrays of the host would travel with every call.
    self.params = jax.device_put(faster(stage.params) if faster else stage.params)
    drawing = dict(compiler_options=layout.compiler_options)

    def compiled(name, function, **options):
      return Jitted(function, (name, module.__name__, str(config)), **options)

    self.programs = {
      'portrait': compiled('portrait', lambda params, x: module.portrait(params, x, config)),
      'read': compiled('read', lambda params, x: module.motion(params, x, config)),
      'draw': compiled(
        'draw', functools.partial(draw_block, module.draw, config, self.block), **drawing
      ),
      'draw_mixed': compiled(
        'draw_mixed', functools.partial(draw_mixed, module, config, self.block), **drawing
      ),
    }
    self.draws_points = draw_points is not None
    for name, painted in (('draw_points', True), ('draw_moved', False)) if draw_points else ():
      one = functools.partial(draw_points, painted=painted)
      function = functools.partial(draw_block, one, config, self.block)
      self.programs[name] = compiled(name, function, **drawing)

  def compile_ahead(self, size, code):
    """Begins to compile a portrait's encoder and the decoder of `size` codes like `code` [1, M]."""
    picture = jax.ShapeDtypeStruct((self.size, self.size, 3), np.uint8)
    encoder, portrait = self.programs['portrait'].begin(
      'the portrait encoder', self.params, picture
    )
    codes = jax.ShapeDtypeStruct((size, code.shape[1]), code.dtype)
    decoder, _ = self.programs['draw'].begin('the decoder', self.params, portrait, codes)
    return [encoder, decoder]

  def portrait(self, image, unit=()):
    """Encodes a picture uint8 [H, H, 3] of any side, with face units {name: number} if any.

    The last one is kept: another voice of the same picture does not encode it again.
    """
    image = resized(check_image(image), self.size)
    last, portrait = self._last
    if last is None or not np.array_equal(last, image):
      portrait = self.programs['portrait'](self.params, image)
      self._last = np.array(image), portrait  # a copy: the caller's may change
    return self._with_units(portrait, dict(unit)) if unit else portrait

  def read(self, frames):
    """Reads motion codes float32 [T, M] off frames uint8 [T, R, R, 3], one at a time."""
    check_frames(frames)
    read = self.programs['read']
    return np.concatenate([np.asarray(read(self.params, frame[None])) for frame in frames])

  def drawn(self, portrait, codes, size, program='draw'):
    """Yields frames uint8 [size or fewer, R, R, 3] of codes [n, M], in order."""
    blocks = (codes[start : start + size] for start in range(0, len(codes), size))
    return self._pool.ahead(
      functools.partial(self.draw, portrait, block, size, program) for block in blocks
    )

  def draw(self, portrait, codes, size, program='draw'):
    """Draws codes [n, M], n up to `size`: uint8 [n, R, R, 3].

    Args:
      portrait: of `portrait`.
      codes: [n, M]; rows of landmarks for the programs that draw those.
      size: frames of a call, always the same, so that every call is the same program.
      program: name, see `programs`.
    """
    return np.asarray(self.programs[program](self.params, portrait, _pad(codes, size)))[
      : len(codes)
    ]

  def draw_mixed(self, portraits, who, codes, size):
    """Draws several portraits [N, ...]: who int [n], codes [n, M], n up to `size`."""
    frames = self.programs['draw_mixed'](self.params, portraits, _pad(who, size), _pad(codes, size))
    return np.asarray(frames)[: len(codes)]


def draw_block(draw, config, at_once, params, portrait, codes):
  """Draws a few codes [n, M] by a module's `draw`, `at_once` together: uint8 [n, R, R, 3]."""

  def one(code):
    return draw(params, portrait, code[None], config)[0]

  return _map(one, codes, at_once)


def draw_mixed(module, config, at_once, params, portraits, who, codes):
  """Draws codes [n, M], each with a portrait of its own, by its number `who` [n] among [N, ...]."""

  def one(wanted):
    own = lambda x: jax.lax.dynamic_index_in_dim(x, wanted[0], keepdims=False)
    portrait = jax.tree.map(own, portraits)
    portrait = jax.lax.optimization_barrier(portrait)  # copied once, not looked up pixel by pixel
    return module.draw(params, portrait, wanted[1][None], config)[0]

  return _map(one, (who, codes), at_once)


def _map(one, inputs, at_once):
  return jax.lax.map(one, inputs, batch_size=at_once if at_once > 1 else None)


def _pad(x, size):
  return np.pad(x, ((0, size - len(x)), *[(0, 0)] * (x.ndim - 1)), mode='edge')
