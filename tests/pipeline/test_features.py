"""Speech features without motion codes."""

import shutil

import numpy as np
import pytest

from ifmdm_jax.audio import features as encoders
from ifmdm_jax.errors import InputError
from ifmdm_jax.pipeline import features, records

pytest.importorskip('tensorflow_datasets')


def test_features_are_written_without_codes_and_come_with_the_clips(film_set, tmp_path):
  output = shutil.copytree(film_set[0], tmp_path / 'set')
  assert features.write(output, 'mel', features.encoder('mel')) == 3
  assert not (output / 'motion').exists()
  clips = features.attach(records.clips(output), output, 'mel')
  encoder = encoders.load('mel')
  for clip in clips:
    assert len(clip.features) == 2 * clip.num_frames and clip.landmarks is not None
    wanted = encoder.features(clip.waveform, clip.rate)
    np.testing.assert_array_equal(clip.features, wanted[: len(clip.features)])


def test_what_is_written_is_looked_up_and_not_computed_again(film_set, tmp_path, monkeypatch):
  output = shutil.copytree(film_set[0], tmp_path / 'set')
  encode_audio = features.encoder('mel')
  features.write(output, 'mel', encode_audio)
  monkeypatch.setattr(encoders, 'load', None)  # fails where it is called
  look_up = features.of_set(output, 'mel')
  for clip in records.clips(output):
    np.testing.assert_array_equal(look_up(clip), encode_audio(clip)[: 2 * clip.num_frames])


def test_missing_features_are_told_with_the_command_that_makes_them(drawn_set):
  with pytest.raises(InputError, match='--features --audio mel'):
    features.read(drawn_set, 'mel')
