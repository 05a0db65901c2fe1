import ml_collections
import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.audio import blocks
from ifmdm_jax.errors import InputError
from ifmdm_jax.face.points import IBUG_MOUTH
from ifmdm_jax.pipeline import features
from ifmdm_jax.pipeline.sources import voiced_mouths


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  folder = testing.write_cache(tmp_path_factory.mktemp('mouths') / 'set', people=2, num_frames=60)
  features.write(folder, 'mel', features.encoder('mel'))
  return folder


def test_a_batch_has_mouths_and_their_voice(folder):
  config = ml_collections.ConfigDict(
    dict(cache=str(folder), audio='mel', standardise=True, licence='')
  )
  batch = next(voiced_mouths.make_loader(config, batch=3, seed=0, split='train'))
  assert batch['mouth'].shape == (3, 20, 2) and batch['speech'].shape == (3, 8, 16, 160)
  assert batch['mouth'].dtype == batch['speech'].dtype == np.float32


def test_the_voice_is_that_of_the_frame(folder):
  source = voiced_mouths.VoicedMouths(folder, 'train', audio='mel')
  example = source.draw(0, np.random.default_rng(0))
  mouths, voice = source._of(0)
  frame = np.abs(mouths - example['mouth']).sum((1, 2)).argmin()
  np.testing.assert_array_equal(example['speech'], blocks.blocks(voice, [frame])[0])


def test_shapes_say_how_a_mouth_moves_and_not_where_it_is():
  landmarks = testing.talking_face(12, 64, seed=2)[1].astype(np.float64)
  shapes = voiced_mouths.mouth_shapes(landmarks)
  np.testing.assert_allclose(shapes.mean(0), 0, atol=1e-6)
  elsewhere = voiced_mouths.mouth_shapes(3 * landmarks + 100)
  np.testing.assert_allclose(elsewhere, shapes, atol=1e-5)
  landmarks[5:, IBUG_MOUTH[16:], 1] += 0.02  # lower the lower lip
  assert (voiced_mouths.mouth_shapes(landmarks)[5:, 18, 1] > shapes[5:, 18, 1]).all()


def test_a_set_without_voices_is_refused(folder):
  with pytest.raises(InputError, match='no clip of split train'):
    voiced_mouths.VoicedMouths(folder, 'train', audio='mel', licence='of nobody')
