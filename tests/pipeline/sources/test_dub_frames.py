import ml_collections
import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.errors import InputError
from ifmdm_jax.face.points import MIRROR, RIGID
from ifmdm_jax.pipeline import features, records
from ifmdm_jax.pipeline.sources import dub_frames


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """Three faces of 130 frames, with log-mel features."""
  folder = testing.write_cache(tmp_path_factory.mktemp('dub') / 'set', people=3, num_frames=130)
  features.write(folder, 'mel', features.encoder('mel'))
  return folder


def config(folder, **changes):
  settings = dict(cache=str(folder), size=32, gap=60, audio='mel', augment=False, stills=0.0)
  return ml_collections.ConfigDict({**settings, 'licence': '', **changes})


def test_a_batch_has_frames_landmarks_and_the_voice(folder):
  batch = next(dub_frames.make_loader(config(folder), batch=3, seed=0, split='train'))
  assert batch['target'].shape == batch['reference'].shape == (3, 32, 32, 3)
  assert batch['points'].shape == (3, 468, 2) and batch['speech'].shape == (3, 8, 16, 160)
  assert batch['target'].dtype == np.uint8 and (batch['target'] != batch['reference']).any()


def test_a_reference_is_at_least_sixty_frames_away_and_drawn_at_every_access(folder):
  source = dub_frames.DubFrames(folder, 'train', audio='mel')
  drawn = [source.draw(('clip', 0), np.random.default_rng(seed)) for seed in range(40)]
  assert all(example['distance'] >= 60 for example in drawn)
  rng = np.random.default_rng(0)
  references = {source.reference(0, 20, rng)[1] for _ in range(50)}
  assert len(references) > 20 and min(references) >= 80  # the same frame, never one reference


def test_a_clip_too_short_borrows_of_the_person_else_goes_as_far_as_it_can(folder):
  source = dub_frames.DubFrames(folder, 'train', gap=90)
  rng = np.random.default_rng(0)
  assert source.reference(0, 70, rng) == (0, 0, 70)
  assert source.reference(0, 50, rng) == (0, 129, 79)
  source.of_person[source.clips.entries[0].person] = [0, 1]
  where, _, distance = source.reference(0, 65, rng)
  assert (where, distance) == (1, dub_frames.ELSEWHERE)


def test_the_voice_is_that_of_the_frame(folder):
  source = dub_frames.DubFrames(folder, 'train', audio='mel')
  example = source.draw(('clip', 0), np.random.default_rng(3))
  clip = features.attach(records.clips(folder, 'train'), folder, 'mel')[0]
  near = np.abs(clip.landmarks / clip.frames.side - example['points']).sum((1, 2)).argmin()
  np.testing.assert_array_equal(example['speech'][3, 8:10], clip.features[2 * near : 2 * near + 2])


def test_a_mirrored_face_has_its_left_points_on_the_left(folder, monkeypatch):
  source = dub_frames.DubFrames(folder, 'train', augment=True)
  picture = np.zeros((8, 8, 3), np.uint8), np.eye(2, 3)
  points = np.random.default_rng(0).random((468, 2)).astype(np.float32)
  plain = dict(target=picture, reference=picture, points=points)
  monkeypatch.setattr(dub_frames, 'AUGMENT', dict(scale=0, turn=0, shift=0, gain=0, offset=0))
  flipped = [source._placed(plain, np.random.default_rng(seed))['points'] for seed in range(9)]
  mirrored = points[MIRROR] * [-1, 1] + [1, 0]
  like = [np.allclose(each, mirrored, atol=1e-5) for each in flipped]
  assert any(like) and not all(like)


def test_a_face_held_still_lies_on_its_reference(folder):
  source = dub_frames.DubFrames(folder, 'train', face=96)
  rng = np.random.default_rng(0)
  examples = [source.draw(('clip', 0), rng) for _ in range(6)]
  assert all(example['target'].shape == example['reference'].shape == (96, 96, 3)
             for example in examples)  # fmt: skip
  rigid = np.stack([example['points'][RIGID] for example in examples])
  assert np.abs(rigid - rigid.mean(0)).mean() < 0.01  # fractions of the side
  whole = dub_frames.DubFrames(folder, 'train')
  loose = np.stack([whole.draw(('clip', 0), rng)['points'][RIGID] for _ in range(6)])
  assert np.ptp(rigid[0], axis=0).max() > 1.3 * np.ptp(loose[0], axis=0).max()  # and nearer


def test_a_set_without_voices_or_features_is_refused(folder, drawn_set):
  with pytest.raises(InputError, match='features'):
    dub_frames.DubFrames(drawn_set, 'train', audio='mel')
  with pytest.raises(InputError, match='no clip of split train'):
    dub_frames.DubFrames(folder, 'train', licence='of nobody')
