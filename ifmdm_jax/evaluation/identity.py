"""Is it still the same person? Cosines of face-recognition embeddings.

`csim` is the mean cosine of the generated faces with the first frame of the real video.
`id_margin` is the cosine with one's own mean embedding less that with the nearest other person of
the set: a generator that draws one and the same face for everybody scores 0 or less. ArcFace's
weights are research only and not shipped; without them SFace stands in, and the metric's name says
so.
"""

import jax
import numpy as np

from ifmdm_jax.evaluation.networks import PairedFeatures, available, in_batches
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
  """Cuts aligned faces [N, 112, 112, 3] of every STRIDE-th frame that shows a face."""
  chosen = [t for t in range(0, len(frames), STRIDE) if np.isfinite(landmarks[t]).all()]
  aligned = [crop.chip(frames[t], landmarks[t]) for t in chosen]
  return (
    np.stack(aligned) if aligned else np.zeros((0, crop.CHIP_SIDE, crop.CHIP_SIDE, 3), np.uint8)
  )


def unit(x):
  """Scales rows to length one."""
  return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


def cosine(predicted, reference):
  """Averages cosines of embeddings [N, D] with the first of [M, D]."""
  return float((unit(predicted) @ unit(reference)[0]).mean())


def margins(predicted, references, persons):
  """Measures how much nearer each clip is to its person than to the nearest other one.

  Mean cosine with the own person's mean embedding less that with the other's.

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
  values = []
  for embeddings, person in zip(predicted, persons):
    cosines = (unit(embeddings) @ mean.T).mean(0)
    own = names.index(person)
    values.append(cosines[own] - np.delete(cosines, own).max())
  return np.array(values)


class Scorer:
  """Set family of `evaluation.types`."""

  draws = 200

  def __init__(self, networks, absent):
    self.networks, self.absent = networks, absent  # {name: chips -> embeddings}, {name: Absent}
    self._paired = PairedFeatures(self._embed)

  def describe(self, pair):
    return self._paired(pair) | {'person': np.array(pair.person)}

  def _embed(self, frames, landmarks):
    faces = chips(frames, landmarks)
    return {name: network(faces) for name, network in self.networks.items()}

  def score(self, clips):
    values = {}
    for name, suffix in NETWORKS.items():
      csim, margin = f'csim{suffix}', f'id_margin{suffix}'
      if name in self.absent:
        values[csim] = values[margin] = self.absent[name]
        continue
      known = [c for c in clips if len(c[name]) and len(c[f'{name}_reference'])]
      if not known:
        values[csim] = values[margin] = Absent('no clip shows a face')
        continue
      predicted, real = ([c[key] for c in known] for key in (name, f'{name}_reference'))
      persons = [str(c['person']) for c in known]
      values[csim] = float(np.mean([cosine(p, r) for p, r in zip(predicted, real)]))
      one = len(set(persons)) < 2
      values[margin] = (
        Absent('one person only') if one else float(margins(predicted, real, persons).mean())
      )
    return values


def load(weights=None):
  """Loads the scorer with every network that can be had; see `networks.available`."""
  return Scorer(*available({'arcface': _arcface, 'sface': lambda _: sface.SFace()}, weights))


def _arcface(weights, batch=8):
  module, params = arcface.load(weights)
  run = jax.jit(lambda x: module.apply({'params': params}, x.astype(np.float32) / 127.5 - 1))

  def embed(faces):
    return in_batches(run, faces, batch) if len(faces) else np.zeros((0, 512), np.float32)

  return embed
