"""The parts of a `Sampler`, in the order of their work, for `ifmdm_jax.bench` to time."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.generator import Probe
from ifmdm_jax.systems.fewshot import inputs, networks


def probes(config, params, states, batches):
  """Lists, for each batch, the embedder of a picture, the drawing, the generator of a frame.

  Args:
    config: config.model.
    params, states: of the networks; without an embedder, as of a person, it is left out.
    batches: frames that are drawn at once, several numbers.
  """
  parts = functools.partial(_parts, config, params, states)
  return [part for batch in batches for part in parts(batch)]


def _parts(config, params, states, batch):
  of, side = networks.build(config), config.image
  picture = lambda channels: jnp.zeros((batch, side, side, channels))
  style = jnp.zeros((batch, of.generator.style))
  points = np.random.default_rng(0).uniform(0.2, 0.8, (batch, 68, 2)).astype(np.float32)
  run = lambda name: jax.jit(
    lambda params, state, *given: networks.run(getattr(of, name), params, state, *given)[0]
  )
  made = [
    _probe(batch, 'drawing', jax.jit(lambda points: inputs.drawing(points, config)), points),
    _probe(batch, 'generator', run('generator'), params['generator'], states['generator'],
           picture(3), style),
  ]  # fmt: skip
  if 'embedder' in params:
    given = params['embedder'], states['embedder'], picture(6)
    made = [_probe(batch, 'embedder', run('embedder'), *given), *made]
  return made


def _probe(batch, name, function, *arguments):
  run = lambda: function(*arguments)
  return Probe(name, run, batch, function, arguments, units=batch)
