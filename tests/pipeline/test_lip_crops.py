"""Lips and voices of a set, as the sync network reads them."""

import shutil

import numpy as np
import pytest

from ifmdm_jax.face import crop
from ifmdm_jax.perception.mfcc import mfcc
from ifmdm_jax.pipeline import lip_crops, records

pytest.importorskip('tensorflow_datasets')


def whisper(clip):
  """Stands for Whisper-tiny."""
  return np.random.default_rng(0).normal(5, 2, (2 * clip.num_frames, 384)).astype(np.float32)


@pytest.fixture(scope='module')
def lip_set(film_set, tmp_path_factory):
  output = shutil.copytree(film_set[0], tmp_path_factory.mktemp('lips') / 'set')
  assert lip_crops.write(output, whisper) == 3
  return output


def test_lips_points_and_voice_belong_to_the_frames(lip_set):
  (made,), (clip,) = lip_crops.read(lip_set, 'val', 'mfcc'), records.clips(lip_set, 'val')
  count = len(made.lips)
  assert clip.num_frames - 2 <= count <= clip.num_frames  # MFCC end a little before the voice
  assert made.points.shape == (count, 40, 2) and made.features.shape == (4 * count, 13)
  crops = crop.lips(clip.frames[:count], clip.landmarks[:count], 60, 1.25)
  np.testing.assert_array_equal(made.lips, crops)
  assert (made.points > 0).all() and (made.points < 60).all()
  wanted = lip_crops.standardised(mfcc(clip.waveform)[: 4 * count])
  np.testing.assert_array_equal(made.features, wanted)


def test_both_kinds_of_features_are_there_and_standard(lip_set):
  for kind, rate in (('whisper_tiny', 2), ('mfcc', 4)):
    for clip in lip_crops.read(lip_set, 'train', kind):
      assert clip.features.shape == (rate * len(clip.lips), lip_crops.WIDTHS[kind])
      every = clip.features.astype(np.float32)
      np.testing.assert_allclose(every.mean(0), 0, atol=0.01)  # float16
