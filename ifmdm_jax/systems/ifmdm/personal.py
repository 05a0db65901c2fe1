"""Weights of IF-MDM that learn one person, see `generator.Personal`: those of `lite` do."""

import dataclasses

import jax
import ml_collections

from ifmdm_jax import bundle
from ifmdm_jax.errors import InputError
from ifmdm_jax.systems.ifmdm import parts
from ifmdm_jax.systems.ifmdm.autoencoder.lite import person


class Personal:
  """A bundle of `lite` and pictures of one person.

  Attributes:
    model: `autoencoder.lite.person`.
    params: {'own'}, what the pictures show.
    config: model, adapt and optim.
  """

  model = person
  extra = None

  def __init__(self, weights, pictures, landmarks):
    """Reads pictures uint8 [K, R, R, 3] with the networks of a `bundle.Bundle`.

    Landmarks are found anew, by the network that portraits are read with.

    Raises:
      InputError: the weights are of another kind than `lite`.
    """
    part = weights.parts.get('autoencoder')
    kind = part.settings.get('kind') if part else None
    if kind != 'lite':
      raise InputError(f'expected weights of kind lite, which learn a person, got {kind}')
    settings = parts.configs_of(weights)['autoencoder']
    self.config = ml_collections.ConfigDict({'model': settings, **person.CONFIG})
    del landmarks
    self._weights, self._networks = weights, {k: v for k, v in part.params.items() if k != 'own'}
    self._shots = person.read(self._networks, pictures)
    self.params = {'own': self._shots.own}

  def rows(self, targets, without=()):
    """Draws pictures by number from the others, see `person.rows`."""
    return person.rows(self._networks, self._shots, self.config.model, targets, without)

  def start(self):
    """Returns the bundle as it was."""
    return self._weights

  def pack(self, found):
    """Returns the bundle with what has been learned, in half precision."""
    part = self._weights.parts['autoencoder']
    learned = bundle.half({**self._networks, **jax.device_get(found.params)})
    changed = dataclasses.replace(part, params=learned)
    return dataclasses.replace(self._weights, parts={**self._weights.parts, 'autoencoder': changed})
