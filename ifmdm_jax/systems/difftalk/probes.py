"""The parts of a `Sampler`, in the order of their work, for `ifmdm_jax.bench` to time."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.generator import Probe
from ifmdm_jax.rates import SAMPLE_RATE
from ifmdm_jax.systems.difftalk import networks, vq

SECONDS = 4  # of sound


def probes(config, params, autoencoder, encoder, batches):
  """Lists the speech encoder; then, of a frame: the encoder, an evaluation, the decoder.

  A frame of a film takes three pictures of the encoder (itself, masked, the reference), an
  evaluation of the denoiser for every step, and the decoder once.

  Args:
    config: config.model.
    params: of `networks`.
    autoencoder: of stage 1.
    encoder: `audio.features.AudioEncoder`.
    batches: frames that are drawn at once, several numbers.
  """
  voice = np.random.default_rng(0).uniform(-0.3, 0.3, SECONDS * SAMPLE_RATE).astype(np.float32)
  speech = Probe('speech', lambda: encoder.features(voice, SAMPLE_RATE))
  parts = functools.partial(_parts, config, params, autoencoder)
  return [speech, *(part for batch in batches for part in parts(batch))]


def _parts(config, params, autoencoder, batch):
  network, first = networks.network(config), vq.network(config)
  z = jnp.zeros((batch, config.latent, config.latent, config.vq.channels))
  pictures = jnp.zeros((batch, config.image, config.image, 3))
  voice = jnp.zeros((batch, networks.FRAMES, networks.STEPS, config.speech_width))
  landmarks, t = jnp.zeros((batch, networks.POINTS, 2)), jnp.zeros(batch, jnp.int32)
  apply = lambda module, method: jax.jit(
    lambda params, *args: module.apply({'params': params}, *args, method=method)
  )
  context = apply(network, 'context')(params, voice, landmarks)
  probe = functools.partial(_probe, batch)
  return [
    probe('encoder', apply(first, 'encode'), autoencoder, pictures),
    probe('denoiser', apply(network, 'denoise'), params, z, t, z, z, context),
    probe('decoder', apply(first, 'decode'), autoencoder, z),
  ]


def _probe(batch, name, function, *arguments):
  run = lambda: function(*arguments)
  return Probe(name, run, batch, function, arguments, units=batch)
