"""Draws what `adapt` gains by the number of pictures: a line a person, and their mean.

python experiments/adapt/plot.py --table experiments/adapt/people.csv --output curve.png
"""

import csv

import matplotlib
import numpy as np
from absl import app, flags

matplotlib.use('agg')
from matplotlib import pyplot as plt  # noqa: E402, see above

TABLE = flags.DEFINE_string('table', 'experiments/adapt/people.csv', 'Of curve.py.')
OUTPUT = flags.DEFINE_string('output', 'experiments/adapt/curve.png', 'Picture to write.')
PLACES = {'mouth': 'LPIPS of the mouth', 'face': 'LPIPS of the face'}


def main(_):
  with open(TABLE.value, newline='') as file:
    rows = list(csv.DictReader(file))
  people, counts = sorted({row['person'] for row in rows}), sorted({int(r['shots']) for r in rows})
  figure, axes = plt.subplots(1, len(PLACES), figsize=(9, 3.6), sharey=True)
  for axis, (place, title) in zip(axes, PLACES.items()):
    gain = {
      (row['person'], int(row['shots'])): float(row[f'{place}_after'])
      / float(row[f'{place}_before'])
      for row in rows
    }
    lines = np.array([[gain.get((person, count), np.nan) for count in counts] for person in people])
    for line in lines:
      axis.plot(range(len(counts)), line, color='#b8b2a7', linewidth=1)
    axis.plot(range(len(counts)), np.nanmean(lines, 0), color='#c2410c', linewidth=2.5, marker='o')
    axis.axhline(1.0, color='#1c1917', linewidth=0.8)
    axis.set(title=title, xlabel='pictures', xticks=range(len(counts)), xticklabels=counts)
  axes[0].set_ylabel('after over before')
  figure.tight_layout()
  figure.savefig(OUTPUT.value, dpi=110)


if __name__ == '__main__':
  app.run(main)
