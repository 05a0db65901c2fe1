"""The paper's first stage as the trainer and the sampler see it: one module, as a config names it.

Adversarial, with two sets of parameters, `gen` and `dis`; see `training.contract`.
"""

from ifmdm_jax.systems.ifmdm.autoencoder.model import draw, init, motion, portrait
from ifmdm_jax.systems.ifmdm.autoencoder.pictures import pictures
from ifmdm_jax.systems.ifmdm.autoencoder.step import evaluate, example, frozen, optimizers, step

__all__ = [
  'init', 'optimizers', 'step', 'frozen', 'evaluate', 'example', 'pictures',
  'portrait', 'motion', 'draw',
]  # fmt: skip
