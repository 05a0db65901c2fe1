"""Joins voices that nothing bundled was trained on to one long sound, without repeats.

  python experiments/drift/voices.py --data ../shared/data --output out/voices.wav

DATA holds a MANIFEST.csv (columns file, kind, split, identity, seconds, licence_or_provenance) and
the files that it names. First come the clips of splits `val` and `val2`, then recordings of speech,
then the clips of `train` that are not under open terms; nobody is in it who is in an open clip. A
recording is taken once, and the sound is as loud as it is.
"""

import csv
import pathlib
import re

import numpy as np
import soundfile
from absl import flags

from ifmdm_jax import errors
from ifmdm_jax.audio import waveform
from ifmdm_jax.rates import SAMPLE_RATE

_DATA = flags.DEFINE_string('data', '../shared/data', 'Folder with MANIFEST.csv.', **errors.SHARED)
_TRAINED = flags.DEFINE_string(
  'trained',
  '^HDTF|^GRID|White House|US Government|UK government|US Congress|public domain|GAN-generated',
  'Terms of what was trained on: OPEN of experiments/release/train.py.',
  **errors.SHARED,
)
_OUTPUT = flags.DEFINE_string('output', 'out/voices.wav', 'File to write.', **errors.SHARED)


def held_out(rows, trained):
  """Lists the rows of a manifest whose voices were not trained on, see the module."""
  seen = lambda row: row['split'] == 'train' and re.search(trained, row['licence_or_provenance'])
  clips = [row for row in rows if row['kind'] == 'clip']
  people = {row['identity'] for row in clips if seen(row)}
  of_split = lambda *splits: [row for row in clips if row['split'] in splits]
  speech = [row for row in rows if row['kind'] == 'speech']
  chosen = [*of_split('val'), *of_split('val2'), *speech, *of_split('train')]
  return [row for row in chosen if not seen(row) and row['identity'] not in people]


def join(folder, rows):
  """Reads the sounds of rows and joins them, float32 [L] at 16 kHz."""
  sounds = []
  for row in rows:
    try:
      sounds.append(waveform.prepare(*waveform.read(folder / row['file'])))
    except errors.InputError as error:
      errors.note(f'{row["file"]} is left out: {error}')
  return np.concatenate(sounds)


def main(_):
  folder, output = pathlib.Path(_DATA.value), pathlib.Path(_OUTPUT.value)
  manifest = folder / 'MANIFEST.csv'
  if not manifest.is_file():
    raise errors.InputError(f'expected {manifest}, there is none: pass another --data')
  with open(manifest, newline='', encoding='utf-8') as file:
    rows = held_out(list(csv.DictReader(file)), _TRAINED.value)
  sound = join(folder, rows)
  output.parent.mkdir(parents=True, exist_ok=True)
  soundfile.write(output, sound, SAMPLE_RATE, subtype='PCM_16')
  minutes = len(sound) / SAMPLE_RATE / 60
  print(f'{output}: {minutes:.1f} minutes of {len(rows)} recordings')


if __name__ == '__main__':
  errors.run(main)
