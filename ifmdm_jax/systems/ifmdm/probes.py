"""The parts of a `Sampler`, in the order of their work, for `ifmdm_jax.bench` to time."""

import numpy as np

from ifmdm_jax.generator import Probe
from ifmdm_jax.rates import SAMPLE_RATE

SECONDS = 4  # of sound, more than a window's


def probes(sampler, batches):
  """Lists the encoder, the speech encoder, a window of motion, and the decoder for each batch."""
  rng, plan, options = np.random.default_rng(0), sampler.streaming, sampler.options()
  image = rng.integers(0, 255, (sampler.size, sampler.size, 3), dtype=np.uint8)
  voice = rng.uniform(-0.3, 0.3, SECONDS * SAMPLE_RATE).astype(np.float32)
  portrait = sampler.portrait(image)
  state, controls = sampler.start(portrait, plan, options)
  constants = dict(new=plan.new, **sampler.constants(options))

  def encode_audio():
    listener = sampler.listener(plan, SAMPLE_RATE)
    listener.add(voice)
    return listener.take().y

  window = (encode_audio()[None], np.ones((1, plan.length), np.float32), state, controls)
  sampled = (*window[:2], state._replace(eyes=()), controls._replace(eyes=()))
  encoder, params = sampler.programs['portrait']
  motion, motion_params = sampler.programs['motion']
  return [
    Probe('encoder', lambda: sampler.portrait(image), function=encoder, arguments=(params, image)),
    Probe('speech', encode_audio),
    Probe(
      'motion',
      lambda: sampler.advance(*window, **constants),
      function=motion,
      arguments=(motion_params, *sampled),
      constants=constants,
      loops=options.solver.steps.count,
    ),
    *(_decoder(sampler, portrait, batch) for batch in batches),
  ]


def _decoder(sampler, portrait, batch):
  draw, params = sampler.programs['draw']
  codes = np.repeat(np.asarray(portrait.code), batch, axis=0)
  units = min(batch, sampler.block)

  def run():
    if sampler.block == 1:  # a CPU: calls of one frame side by side
      return list(sampler.renderer.drawn(portrait, codes, 1))
    return draw(params, portrait, codes)

  return Probe(
    'decoder',
    run,
    batch=batch,
    function=draw,
    arguments=(params, portrait, codes[:units]),
    units=units,
    dtype=sampler.stages[0].config.get('draw_dtype', 'float32'),
  )
