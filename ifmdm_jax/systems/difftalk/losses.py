"""What the autoencoder minimises: L1, LPIPS, commitment, and an adversary of adaptive weight.

Source: Esser et al. 2021, "Taming Transformers", equations 5 to 7, as in the first stage of
latent diffusion (Rombach et al. 2022, appendix G).
"""

import jax
import jax.numpy as jnp

from ifmdm_jax.nn.adversarial import adaptive_weight, hinge_generator
from ifmdm_jax.perception import lpips


def reconstruction(drawn, target, weights, lpips_weight):
  """Sums L1 and LPIPS: (total, {'l1', 'lpips'}).

  Args:
    drawn, target: [B, S, S, 3] in [-1, 1].
    weights: of `lpips.load`, or None: no LPIPS.
    lpips_weight: of that term.
  """
  total = l1 = jnp.abs(drawn - target).mean(dtype=jnp.float32)
  metrics = {'l1': l1}
  if weights is not None:
    weights = jax.tree.map(lambda x: jnp.asarray(x, drawn.dtype), weights)
    metrics['lpips'] = lpips.distance(weights, drawn, target).mean(dtype=jnp.float32)
    total = total + lpips_weight * metrics['lpips']
  return total, metrics


def pull_on_picture(drawn, recon, score, last_layer, *, gan_weight, active):
  """Makes the gradient of the losses on a drawn picture, the adversary weighed by the last layer.

  The two losses are differentiated by the picture once; what they do to the kernel of the last
  layer, and to all that is before, follows from that.

  Args:
    drawn: [B, S, S, 3].
    recon: drawn -> (scalar, metrics), the reconstruction loss.
    score: drawn -> (scores, anything), the discriminator.
    last_layer: gradient by the picture -> gradient by the kernel of the decoder's last layer.
    gan_weight: of the adversary, on top of the adaptive weight.
    active: 1 once the adversary counts, else 0.

  Returns:
    (gradient [B, S, S, 3], loss, metrics) of reconstruction + weight * adversary.
  """
  (total, metrics), by_recon = jax.value_and_grad(recon, has_aux=True)(drawn)

  def fooled(picture):
    scores, aux = score(picture)
    return hinge_generator(scores.astype(jnp.float32)), aux

  (fooling, _), by_score = jax.value_and_grad(fooled, has_aux=True)(drawn)
  weight = adaptive_weight(last_layer(by_recon), last_layer(by_score)) * gan_weight * active
  metrics = {**metrics, 'gan': fooling, 'gan_weight': weight}
  return by_recon + weight.astype(drawn.dtype) * by_score, total + weight * fooling, metrics
