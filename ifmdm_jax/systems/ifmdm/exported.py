"""A `Sampler` as pure functions of arrays, for `ifmdm_jax.export`.

The functions, in the order of use:

  portrait(weights, image uint8 [R, R, 3])  -> code [1, M], and a list of arrays: the portrait
  move(weights, sound, frames, done, before, index, seed, mean, std)
                                            -> codes [1, new, M], and `before` of the next window
  draw(weights, portrait, codes [new, M])   -> uint8 [new, R, R, 3]

`sound` is float32 [L] at 16 kHz: the last `past` frames before the window, or fewer at the start,
then the window's own, then zeros; `frames` of it are sound, `done` were emitted before. `before`
[1, 1 + known, M] begins as the portrait's code; `index` [1] counts windows; `mean` [1, 1, M] is the
portrait's code, `std` [1, 1, M] is meta's window_std. `index` and `seed` are uint32, `frames` and
`done` int32, all others float32. Eyes are left as the motion code has them: no blinks, no gaze.
"""

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.audio import traced
from ifmdm_jax.generator import Exported
from ifmdm_jax.rates import FPS, SAMPLE_RATE
from ifmdm_jax.streaming.windows import places
from ifmdm_jax.systems.ifmdm import motion_stream, render


def exported(sampler, plan):
  """Returns the `generator.Exported` of a sampler with a plan."""
  stage_1, stage_2, normalizer = sampler.stages
  length = plan.past + plan.new + plan.future
  encode, speech = traced.features(stage_2.config.audio, length)
  trees = {'stage_1': stage_1.params, 'stage_2': stage_2.params, 'speech': speech}
  weights = {
    name: np.asarray(leaf) for name, leaf in flax.traverse_util.flatten_dict(trees, sep='/').items()
  }
  unpack = lambda weights: flax.traverse_util.unflatten_dict(weights, sep='/')
  options = sampler.options()
  shape = lambda *dims, dtype=jnp.float32: jax.ShapeDtypeStruct(dims, dtype)
  image = shape(sampler.size, sampler.size, 3, dtype=jnp.uint8)

  def encoded(params, image):
    return stage_1.module.portrait(params, image, stage_1.config)

  def portrait(weights, image):
    result = encoded(unpack(weights)['stage_1'], image)
    return result.code, jax.tree.leaves(result)

  leaves, structure = jax.tree.flatten(jax.eval_shape(encoded, stage_1.params, image))

  def move(weights, sound, frames, done, before, index, seed, mean, std):
    params = unpack(weights)
    which, valid = places(plan, done, 2 * frames, jnp)
    y = encode(params['speech'], sound, frames)[which]
    codes, state = motion_stream.sample_motion(
      stage_2.config, normalizer, params['stage_2'], y[None], valid[None].astype(y.dtype),
      motion_stream.State(before, index),
      motion_stream.Controls(
        seed, mean, std, motion_stream.given(options), reference=mean, gain=jnp.ones_like(mean)
      ),
      new=plan.new, solver=options.solver,
    )  # fmt: skip
    return codes, state.before

  def draw(weights, portrait, codes):
    portrait = jax.tree.unflatten(structure, portrait)
    params = unpack(weights)['stage_1']
    return render.draw_block(stage_1.module.draw, stage_1.config, 1, params, portrait, codes)

  size = stage_2.config.motion_dim
  number, count = shape(dtype=jnp.int32), shape(1, dtype=jnp.uint32)
  sound, one = shape(length * SAMPLE_RATE // FPS), shape(1, 1, size)
  functions = {
    'portrait': (portrait, [image]),
    'move': (move, [sound, number, number, shape(1, 1 + plan.known, size), count, count, one, one]),
    'draw': (draw, [leaves, shape(plan.new, size)]),
  }
  meta = dict(
    size=sampler.size, fps=FPS, sample_rate=SAMPLE_RATE, motion_dim=size, new=plan.new,
    future=plan.future, known=plan.known, past=plan.past,
    window_std=np.asarray(normalizer.statistics['window_std']).tolist(),
  )  # fmt: skip
  return Exported(weights, functions, meta)
