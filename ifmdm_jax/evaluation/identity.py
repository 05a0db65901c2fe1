"""Is it still the same person? Cosines of face-recognition embeddings.

`csim` is the mean cosine of the generated faces with the first frame of the real video.
`id_margin` is the cosine with one's own mean embedding less that with the nearest other person of
the set: a generator that draws one and the same face for all scores 0 or less. ArcFace's weights
are research only and not shipped; without them SFace stands in, and its name stands in the metric.
"""

import jax
import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.evaluation.frechet import in_batches
from ifmdm_jax.evaluation.types import Absent, Metric
from ifmdm_jax.face import crop
from ifmdm_jax.perception import arcface, sface

STRIDE = 10  # frames

_EVERY = f'112 px chips aligned by five landmarks, every {STRIDE}th frame'
METRICS = {
  'csim': Metric('up', about=f'ArcFace, cosine with the first real frame, {_EVERY}'),
  'id_margin': Metric('up', about='ArcFace, own person less the nearest other of the set'),
  'csim_sface': Metric('up', about=f'SFace, cosine with the first real frame, {_EVERY}'),
  'id_margin_sface': Metric('up', about='SFace, own person less the nearest other of the set'),
}
NETWORKS = {'arcface': '', 'sface': '_sface'}  # suffix of the metrics


def chips(frames, landmarks):
  """Aligned faces [N, 112, 112, 3] of every STRIDE-th frame that shows a face."""
  chosen = [t for t in range(0, len(frames), STRIDE) if np.isfinite(landmarks[t]).all()]
  made = [crop.chip(frames[t], landmarks[t]) for t in chosen]
  return np.stack(made) if made else np.zeros((0, crop.CHIP_SIDE, crop.CHIP_SIDE, 3), np.uint8)


def unit(x):
  """Rows of length one."""
  return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


def mean_cosine(predicted, reference):
  """Compares embeddings: mean cosine of [N, D] with the first of [M, D]."""
  return float((unit(predicted) @ unit(reference)[0]).mean())


def margins(predicted, references, persons):
  """Per clip: mean cosine with the own person's mean embedding less the nearest other person's.

  Args:
    predicted, references: lists of [N_i, D], one per clip.
    persons: their names, of which two at least differ.

  Returns:
    float64 [clips].
  """
  names = sorted(set(persons))
  mean = unit(np.stack([
    np.concatenate([r for r, p in zip(references, persons) if p == name]).mean(0) for name in names
  ]))  # fmt: skip
  found = []
  for embeddings, person in zip(predicted, persons):
    cosines = (unit(embeddings) @ mean.T).mean(0)
    own = names.index(person)
    found.append(cosines[own] - np.delete(cosines, own).max())
  return np.array(found)


class Scorer:
  """Set family of `evaluation.types`."""

  draws = 200

  def __init__(self, networks, absent):
    self.networks, self.absent = networks, absent  # {name: chips -> embeddings}, {name: Absent}
    self._seen = {}

  def describe(self, pair):
    if pair.name not in self._seen:
      self._seen[pair.name] = self._embed(pair.reference, pair.reference_landmarks)
    same = pair.predicted is pair.reference
    own = self._seen[pair.name] if same else self._embed(pair.predicted, pair.landmarks)
    reference = {f'{name}_reference': value for name, value in self._seen[pair.name].items()}
    return {**own, **reference, 'person': np.array(pair.person)}

  def _embed(self, frames, landmarks):
    faces = chips(frames, landmarks)
    return {name: network(faces) for name, network in self.networks.items()}

  def score(self, clips):
    found = {}
    for name, suffix in NETWORKS.items():
      csim, margin = f'csim{suffix}', f'id_margin{suffix}'
      if name in self.absent:
        found[csim] = found[margin] = self.absent[name]
        continue
      seen = [c for c in clips if len(c[name]) and len(c[f'{name}_reference'])]
      if not seen:
        found[csim] = found[margin] = Absent('no clip shows a face')
        continue
      predicted, real = ([c[key] for c in seen] for key in (name, f'{name}_reference'))
      persons = [str(c['person']) for c in seen]
      found[csim] = float(np.mean([mean_cosine(p, r) for p, r in zip(predicted, real)]))
      one = len(set(persons)) < 2
      found[margin] = (
        Absent('one person only') if one else float(margins(predicted, real, persons).mean())
      )
    return found


def load(weights=None):
  """The scorer with every network that can be had; see `frechet.load`.

  Raises:
    InputError: neither ArcFace nor SFace can be had.
  """
  networks, absent = {}, {}
  for name, make in (('arcface', _arcface), ('sface', lambda _: sface.SFace())):
    try:
      networks[name] = make(weights)
    except InputError as error:
      absent[name] = Absent(str(error))
  if not networks:
    raise InputError('; '.join(reason.reason for reason in absent.values()))
  return Scorer(networks, absent)


def _arcface(weights, batch=8):
  module, params = arcface.load(weights)
  run = jax.jit(lambda x: module.apply({'params': params}, x.astype(np.float32) / 127.5 - 1))

  def embed(faces):
    return in_batches(run, faces, batch) if len(faces) else np.zeros((0, 512), np.float32)

  return embed
