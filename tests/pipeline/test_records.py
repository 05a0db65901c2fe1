"""What is read of a prepared set: clips, whatever they were made of."""

import pickle
import sys

import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.clip import Clip
from ifmdm_jax.errors import InputError
from ifmdm_jax.pipeline import features, records
from ifmdm_jax.pipeline.sources import pairs

pytest.importorskip('tensorflow_datasets')


def test_records_give_what_was_prepared(film_set):
  output, _ = film_set
  assert 'tensorflow' not in sys.modules
  for split, people in (('train', {'person0', 'person1'}), ('val', {'person2'})):
    clips = records.clips(output, split)
    assert {clip.person for clip in clips} == people
    for clip in clips:
      assert type(clip) is Clip
      assert clip.frames[:].shape == (clip.num_frames, 64, 64, 3) == clip.frames.shape
      assert clip.landmarks.shape == (clip.num_frames, 468, 2)
      assert len(clip.waveform) == 640 * clip.num_frames


def test_landmarks_are_pixels_of_the_frames_at_any_size(drawn_set):
  stored, small = (records.clips(drawn_set, 'val', size)[0] for size in (None, 48))
  assert stored.frames.side == 64 and small.frames[0].shape == (48, 48, 3)
  _, drawn, _ = testing.talking_face(20, seed=3)
  np.testing.assert_allclose(stored.landmarks, 64 * drawn, atol=64 / 32768)
  np.testing.assert_allclose(small.landmarks, 48 * drawn, atol=48 / 32768)


def test_a_source_draws_the_same_in_another_process(drawn_set):
  source = pairs.Pairs(drawn_set, 'train', targets=2, stills=0)
  draw = lambda s: s.draw(('clip', 1), np.random.default_rng(0))
  one, other = draw(source), draw(pickle.loads(pickle.dumps(source)))
  for name in one:
    np.testing.assert_array_equal(one[name], other[name])


def test_memory_is_bounded_and_what_was_forgotten_is_read_again(drawn_set, monkeypatch):
  whole = records.clips(drawn_set, sound=False)
  wanted = [clip.landmarks for clip in whole]
  monkeypatch.setattr(records, 'KEPT', 1)
  poor = records.clips(drawn_set, sound=False)
  for _ in range(2):
    for clip, points in zip(poor, wanted, strict=True):
      np.testing.assert_array_equal(clip.landmarks, points)
  assert len(poor._cached) == 1 and len(whole._cached) == 4
  assert whole[1] is whole[1] and poor[0] is not poor[1]


def test_a_part_of_the_clips_is_clips(drawn_set):
  clips = records.clips(drawn_set, 'train')
  assert [clip.name for clip in clips[1:]] == [entry.name for entry in clips.entries[1:]]
  with pytest.raises(IndexError):
    clips[3]


def test_several_sets_are_read_as_one(tmp_path):
  for name, people in (('a', 2), ('b', 3)):
    testing.write_cache(tmp_path / name, people=people, num_frames=4, side=32 + 16 * (name == 'b'))
    features.write(tmp_path / name, 'mel', lambda clip, name=name: np.full((8, 2), ord(name)))
  both = f'{tmp_path / "a"},{tmp_path / "b"}'
  clips = features.attach(records.clips(both, 'train'), both, 'mel')
  assert [clip.frames.side for clip in clips] == [32, 48, 48]
  assert [chr(int(clip.features[0, 0])) for clip in clips] == ['a', 'b', 'b']  # of one name, too
  assert len(records.clips(f'{both},{tmp_path / "a"}', 'train')) == 4  # named twice, counts twice
  none = tmp_path / 'c'
  with pytest.raises(InputError, match=f'{none} should hold .* --output {none}$'):
    records.clips(f'{both},{none}')


def test_a_missing_set_is_told_with_the_command_that_makes_it(tmp_path):
  with pytest.raises(InputError, match='ifmdm_jax.prepare --source'):
    records.clips(tmp_path)


def test_a_set_whose_landmarks_an_older_network_read_is_not_mixed_with_others(tmp_path):
  old = tmp_path / 'records' / 'talking_faces' / '1.1.0'
  old.mkdir(parents=True)
  (old / 'dataset_info.json').write_text('{}')
  (tmp_path / 'index.json').write_text('[]')
  with pytest.raises(InputError, match=r'version 1\.1\.0, expected 1\.2\.0.*ifmdm_jax.prepare'):
    records.clips(tmp_path)


def test_a_folder_of_plain_arrays_of_an_older_version_is_told_from_a_set(tmp_path):
  (tmp_path / 'index.json').write_text('[]')
  with pytest.raises(InputError, match='expected|should hold prepared records'):
    records.clips(tmp_path)
