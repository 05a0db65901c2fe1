import pytest

from ifmdm_jax.errors import InputError
from ifmdm_jax.pipeline.prep import layouts


@pytest.mark.parametrize(
  ('layout', 'name', 'person'),
  [
    ('hdtf', 'clips/WDA_NancyPelosi0_000.mp4', 'WDA_NancyPelosi'),
    ('hdtf', 'RD_Radio34_003.mp4', 'RD_Radio34'),
    ('celebv', 'videos/-2KGPYEFnsU_11.mp4', '-2KGPYEFnsU'),
    ('voxceleb2', 'dev/mp4/id00017/01dfn2spqyE/00001.mp4', 'id00017'),
    ('talkinghead1kh', 'train/0SO4kYrZjoM_0000_S0_E300_L2_T3_R4_B5.mp4', '0SO4kYrZjoM'),
    ('folder', 'a/b.mov', 'a/b'),
  ],
)
def test_public_sets_tell_who_is_who(layout, name, person):
  assert layouts.person_of(name, layout) == person


def test_one_person_is_never_on_both_sides(tmp_path):
  for index in range(40):
    (tmp_path / f'id000{index % 10:02d}').mkdir(exist_ok=True)
    (tmp_path / f'id000{index % 10:02d}' / f'{index}.mp4').touch()
  splits = {}
  for source in layouts.find(tmp_path, 'voxceleb2'):
    splits.setdefault(source.person, set()).add(source.split)
  assert len(splits) == 10 and all(len(found) == 1 for found in splits.values())


def test_a_layout_that_does_not_exist_is_told(tmp_path):
  with pytest.raises(InputError, match='voxceleb2'):
    layouts.find(tmp_path, 'voxceleb')


def test_stills_come_after_the_videos_and_the_manifest_tells_of_both(tmp_path):
  (tmp_path / 'stills').mkdir()
  for name in ('b.mp4', 'stills/x.jpg', 'stills/y.jpg'):
    (tmp_path / name).touch()
  (tmp_path / 'MANIFEST.csv').write_text(
    'file,identity,split,licence_or_provenance\nstills/y.jpg,somebody,val,CC0\n'
  )
  video, first, second = layouts.find(tmp_path, ready=True)
  assert [video.kind, first.kind, second.kind] == ['clip', 'still', 'still']
  assert first.person == 'x.jpg' and len({video.key, first.key, second.key}) == 3
  assert (second.person, second.split, second.licence) == ('somebody', 'val', 'CC0')
