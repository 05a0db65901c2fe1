"""Measures the same as `curve.py` on a prepared set at its own size: quicker, no choice of updates.

  python experiments/adapt/records.py --records RECORDS --table experiments/adapt/records.csv

Every picture is learned from, with as many updates as the budget says; nothing is held out.
"""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from absl import app, flags

from experiments.adapt.curve import add, distance, scores
from ifmdm_jax import bundle
from ifmdm_jax.adaptation.shots import varied
from ifmdm_jax.evaluation import perceptual
from ifmdm_jax.pipeline import records
from ifmdm_jax.systems.ifmdm import parts
from ifmdm_jax.systems.ifmdm.autoencoder.lite import model, person
from ifmdm_jax.training import adapt

RECORDS = flags.DEFINE_string('records', None, 'A prepared set.')
COUNT = flags.DEFINE_integer('count', 8, 'Pictures that are learned from.')
LATER = flags.DEFINE_integer('later', 12, 'Frames of the second half that are compared.')
NAMES = flags.DEFINE_list('names', [], 'Parts of names, in this order; default: all.')
TABLE = flags.DEFINE_string('table', 'experiments/adapt/records.csv', 'Rows are added.')


def main(_):
  weights = bundle.read(bundle.BUNDLED)
  config = parts.configs_of(weights)['autoencoder']
  params = jax.tree.map(jnp.asarray, dict(weights.parts['autoencoder'].params))
  whole = ml_collections.ConfigDict(dict(model=config, **person.CONFIG))
  portrait = jax.jit(lambda params, picture: model.portrait(params, picture, config))
  draw = jax.jit(lambda params, portrait, codes: model.draw(params, portrait, codes, config))
  read = jax.jit(lambda params, frames: model.motion(params, frames, config))
  lpips = distance(perceptual.lpips.load('alex'))

  def drawn(params, picture, codes):
    shown = portrait(params, picture)
    return np.concatenate([np.asarray(draw(params, shown, code[None])) for code in codes])

  people = records.clips(RECORDS.value, sound=False)
  order = [next(n for n, e in enumerate(people.entries) if part in e.name) for part in NAMES.value]
  for number in order or range(len(people)):
    clip = people[number]
    half, side = len(clip.frames) // 2, len(clip.frames[0])
    later = np.unique(np.linspace(half + 2, len(clip.frames) - 1, LATER.value).astype(int))
    real, marks = np.stack([clip.frames[t] for t in later]), clip.landmarks[later]
    codes = np.concatenate([np.asarray(read(params, frame[None])) for frame in real])
    chosen = varied(clip.landmarks[:half] / side, min(COUNT.value, half))
    shots = person.read(params, np.stack([clip.frames[t] for t in chosen]))
    rows = person.rows(params, shots, config, list(range(len(chosen))))
    found = adapt.adapt(person, {'own': shots.own}, rows, whole, shots=len(chosen))
    old, new = (
      scores(lpips, drawn(each, clip.frames[0], codes), real, marks)
      for each in (params, {**params, **found.params})
    )
    row = {'person': clip.person, 'shots': len(chosen), 'updates': found.steps}
    row |= {f'{k}_before': round(float(v), 4) for k, v in old.items()}
    row |= {f'{k}_after': round(float(v), 4) for k, v in new.items()}
    add(TABLE.value, row)


if __name__ == '__main__':
  app.run(main)
