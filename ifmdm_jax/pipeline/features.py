"""Speech features of a set, for whatever learns from a voice.

output/features/NAME/              python -m ifmdm_jax.prepare --output output --features
  records/speech_features/1.0.0/     two a frame, of every clip with a voice
  index.json                         one entry per record, in their order
"""

import dataclasses
import functools
import json
import pathlib

import numpy as np

from ifmdm_jax.audio import features as encoders
from ifmdm_jax.pipeline import records
from ifmdm_jax.pipeline import write as writing
from ifmdm_jax.rates import SAMPLE_RATE


def folder_of(output, name):
  """Returns where the features of a speech encoder, by its name or its folder, are kept."""
  return pathlib.Path(output) / _part(name)


def _part(name):
  return pathlib.Path('features', pathlib.Path(name).name)


def encoder(name):
  """Returns what computes the speech features [2T, A] of a clip, None where there is no sound."""
  network = encoders.load(name)

  def encode_audio(clip):
    return None if clip.waveform is None else network.features(clip.waveform, SAMPLE_RATE)

  return encode_audio


def of_set(output, name):
  """Returns what looks up the features of a clip where `write` has put them, or computes them."""
  if records.version(folder_of(output, name)) is None:
    return encoder(name)
  features = read(output, name)
  places = {entry.name: index for index, entry in enumerate(features.entries)}
  return lambda clip: features[places[clip.name]] if clip.name in places else None


def write(output, name, encode_audio):
  """Writes the features of all clips with a voice; returns how many there are.

  Args:
    output: folder of the set.
    name: of the speech encoder.
    encode_audio: clip -> features [2T, A], or None.
  """

  def make(entry, clip):
    features = encode_audio(clip)
    if features is None:
      return None
    features = np.asarray(features[: 2 * entry.count], np.float32)
    return dict(features=features), dict(count=len(features) // 2, width=features.shape[1])

  return len(
    writing.write_arrays('SpeechFeatures', folder_of(output, name), records.clips(output), make)
  )


def read(output, name):
  """Returns the features float32 [2T, A] of a speech encoder, as `records.Records`.

  Raises:
    InputError: they have not been written.
  """
  flags = f'--output {{folder}} --features --audio {name}'
  return records.Records(records.read_index(output, flags, part=_part(name)), _features)


def _features(entry, record):
  width = json.loads(record['about'])['width']
  return np.frombuffer(record['features'], np.float32).reshape(-1, width)


def attach(clips, output, name):
  """Returns the same clips with their `features`; those without a voice have none.

  Args:
    clips: `records.clips` of the set, or of several.
    output: folder of the set, or of several.
    name: of the speech encoder.
  """
  features = read(output, name)
  within = lambda entry: str(pathlib.Path(entry.folder).parents[1])  # the set that they are of
  places = {(within(entry), entry.name): index for index, entry in enumerate(features.entries)}
  return clips.map(functools.partial(_attached, features=features, places=places))


def _attached(entry, clip, features, places):
  place = places.get((entry.folder, entry.name))
  return clip if place is None else dataclasses.replace(clip, features=features[place])
