"""What a window of motion is conditioned on: one value, from data and sampler to guidance."""

from __future__ import annotations

import flax.struct
import jax


@flax.struct.dataclass
class Condition:
  """Windows of B voices: codes and features as encoders make them, or as the network sees them.

  `normalizer.Normalizer.condition` turns the one into the other.

  Attributes:
    y: [B, 2T, A], speech features.
    hint: [B, 1, M], code of the frame before the window: the portrait's, or the last one sampled.
    mean, std: [B, 1, M], wanted statistics of the codes; None leaves them to the model.
    mask: [B, T], nonzero for frames that matter; None if all do.
    given: bool [B, 2], whether a voice is conditioned on mean, and on std; None: on both.
    reference: [B, 1, M], code that the person returns to, where codes are counted from a fixed one:
      the portrait's.
    audible: [B], 0 takes both ways of the sound from a voice, see `dit.MotionDiT`; None: 1.
  """

  y: jax.Array
  hint: jax.Array
  mean: jax.Array | None = None
  std: jax.Array | None = None
  mask: jax.Array | None = None
  given: jax.Array | None = None
  reference: jax.Array | None = None
  audible: jax.Array | None = None


def of_batch(batch):
  """Picks the condition out of a batch of the loader."""
  names = ('y', 'hint', 'mean', 'std', 'mask', 'reference')
  return Condition(**{name: batch.get(name) for name in names})
