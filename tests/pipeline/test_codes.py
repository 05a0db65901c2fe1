"""Motion codes of a set, from frames or from landmarks, as stage 2 reads them."""

import shutil

import jax
import ml_collections
import numpy as np
import pytest

from ifmdm_jax.errors import InputError
from ifmdm_jax.face.points import smooth
from ifmdm_jax.pipeline import codes, landmark_code, records
from ifmdm_jax.pipeline.sources import windows
from ifmdm_jax.training import loop
from tests.training import test_stages

pytest.importorskip('tensorflow_datasets')


class Mean:
  """Stands for an autoencoder: some numbers of every frame."""

  def __init__(self, count):
    self.count = count

  def motion(self, params, frames, config):
    return frames.reshape(len(frames), -1)[:, : self.count].astype('float32') / 255.0


def noise(width):
  """Stands for a speech encoder."""

  def encode_audio(clip):
    shape = 2 * clip.num_frames, width
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)

  return encode_audio


@pytest.fixture(scope='module')
def coded(film_set, tmp_path_factory):
  """The set with codes of a stand-in for stage 1, as wide as the tiny config's."""
  output = shutil.copytree(film_set[0], tmp_path_factory.mktemp('coded') / 'set')
  assert codes.write(output, codes.of_frames((Mean(20), None, None)), noise(12), window=9) == 3
  return output


def test_codes_and_features_belong_to_the_frames(coded):
  config = ml_collections.ConfigDict(dict(cache=str(coded), frames=9))
  batch = next(windows.make_loader(config, batch=2, seed=0, split='train'))
  assert batch['x'].shape == (2, 8, 20) and batch['y'].shape == (2, 16, 12)
  (track,), (clip,) = codes.read(coded, 'val'), records.clips(coded, 'val')
  np.testing.assert_allclose(track.codes, Mean(20).motion(None, clip.frames[:], None), atol=1e-6)
  flipped = clip.frames[:][:, :, ::-1]
  np.testing.assert_allclose(track.mirrored, Mean(20).motion(None, flipped, None), atol=1e-6)
  np.testing.assert_array_equal(track.features, noise(12)(clip))
  with np.load(coded / 'motion' / 'statistics.npz') as file:
    assert file['code_mean'].shape == (20,) and file['feature_std'].shape == (12,)


def test_codes_of_landmarks_and_their_mirror_images(film_set, tmp_path):
  output = shutil.copytree(film_set[0], tmp_path / 'set')
  assert codes.write(output, codes.of_landmarks(), noise(4), window=9) == 3
  (clip,), (track,) = records.clips(output, 'val'), codes.read(output, 'val')
  code = landmark_code.load()
  points = smooth(clip.landmarks / 64)
  wanted, lids = code(points), landmark_code.BLOCK['lids']
  wanted[:, lids] = codes.without_blinks(wanted[:, lids])
  np.testing.assert_allclose(track.codes, wanted, atol=1e-3)
  head = (
    track.mirrored[:, landmark_code.BLOCK['pose']] - track.codes[:, landmark_code.BLOCK['pose']]
  )
  assert np.abs(head).max() > 0.1  # the picture's mirror image is another one


def test_a_blink_is_left_out_of_lids_and_eyes_that_narrow_are_not():
  lids = np.zeros((100, 2), np.float32)
  lids[20 : 20 + codes.BLINK] = 3.0
  lids[60:] = 1.0
  expected = np.zeros_like(lids)
  expected[60:] = 1.0
  np.testing.assert_array_equal(codes.without_blinks(lids), expected)


def test_other_sounds_and_openings_stand_beside_the_codes_of_what_is_trained_on(film_set, tmp_path):
  output = shutil.copytree(film_set[0], tmp_path / 'set')

  def alter(clip, count):
    return np.ones((2, 2 * count, 4), np.float32), np.full((2, count), 0.5, np.float32)

  codes.write(output, codes.of_landmarks(), noise(4), window=9, alter=alter)
  (held,), taught = codes.read(output, 'val'), codes.read(output, 'train')[0]
  count = len(taught.codes)
  assert taught.altered.shape == (2, 2 * count, 4) and taught.quiet.shape == (2, count)
  assert len(held.altered) == 0 and len(held.opening) == len(held.codes)
  with np.load(output / 'motion' / 'statistics.npz') as file:
    assert (file['lowest'] <= 0).all() and (file['highest'] >= 0).all()
    assert (file['reference_std'] > 0).all()


def test_codes_of_an_older_version_are_told_with_the_command_that_makes_them_anew(tmp_path):
  old = tmp_path / 'motion' / 'records' / 'motion_codes' / '1.0.0'
  old.mkdir(parents=True)
  (old / 'dataset_info.json').write_text('{}')
  (tmp_path / 'motion' / 'index.json').write_text('[]')
  with pytest.raises(InputError, match=r'version 1\.0\.0, expected 1\.2\.0.*--codes'):
    codes.read(tmp_path, 'train')


@pytest.mark.parametrize('stage', [test_stages.adversarial, test_stages.motion])
def test_both_stages_train_from_records(coded, tmp_path, stage):
  config = stage(coded)  # the program of training's own test, which is compiled once
  if stage is test_stages.adversarial:
    config.data.size = 16  # as there
  state = loop.train(config, tmp_path, devices=jax.devices()[:1])
  assert int(state.step) == config.train.steps and any(tmp_path.rglob('checkpoints/*'))
