"""Networks that learn one person, see `generator.Personal`: a bundle that knows nobody yet."""

import functools

import jax
import ml_collections
import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.face.crop import resized
from ifmdm_jax.nn.pixels import as_bytes
from ifmdm_jax.systems.fewshot import model, parts, person
from ifmdm_jax.training.adapt import Adapted


class Personal:
  """A bundle of networks and pictures of one person.

  Attributes:
    model: `model`, whose `adapt` makes a person's parameters.
    params, extra: of all networks but the table.
    config: model and adapt.
  """

  model = model

  def __init__(self, weights, pictures, landmarks):
    """Keeps pictures uint8 [K, R, R, 3] and landmarks [K, 468, 2], fractions of the side.

    Raises:
      InputError: the weights are a person's already, or are not as they should be.
    """
    if set(weights.parts) != {parts.GENERAL}:
      raise InputError(
        f'expected weights with {parts.GENERAL}, {weights.name} has {", ".join(weights.parts)}: '
        'pass those that this person was learned from'
      )
    config, params, self.extra = parts.read(weights, parts.GENERAL, parts.KEPT)
    self.config = ml_collections.ConfigDict({'model': config, 'adapt': person.ADAPT})
    if not config.content:  # that term is always 0
      self.config.adapt.metric = 'l1'
    self.params = {
      'gen': {name: params[name] for name in parts.SAMPLED},
      'dis': {'discriminator': params['discriminator']},
    }
    self._pictures = np.stack([resized(picture, config.image) for picture in pictures])
    self._landmarks = np.float32(landmarks)
    self._style = jax.jit(functools.partial(person.style_of, config=config))
    self._draw = jax.jit(functools.partial(person.draw, config=config))

  def rows(self, targets, without=()):
    """Returns pictures by number: {'image' and 'start' [N, S, S, 3], 'points' [N, 468, 2]}.

    'start' is drawn without a fit, by the style of the others.
    """
    targets = list(targets)
    allowed = [each for each in range(len(self._pictures)) if each not in without]
    seen = [each for each in allowed if each not in targets] or allowed
    images, points, gen = self._pictures[targets], self._landmarks[targets], self.params['gen']
    _, style = self._style(gen, self.extra, self._pictures[seen], self._landmarks[seen])
    given = gen['generator'], self.extra['generator'], style
    start = [as_bytes(self._draw(*given, each[None]))[0] for each in points]
    return {'image': images, 'start': np.stack(start), 'points': points}

  def start(self):
    """Returns the bundle of the person without a fit: the style of all pictures."""
    frames = {'image': self._pictures, 'points': self._landmarks}
    begun = model.adapt(self.params, frames, self.config.model, extra=self.extra)
    return self.pack(Adapted(*begun, 0, {}, np.zeros(0)))

  def pack(self, found):
    """Returns the bundle of the person that has been learned, in half precision."""
    return parts.packed_person(self.config.model, found, self._landmarks)
