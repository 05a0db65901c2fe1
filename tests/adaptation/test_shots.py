"""What becomes of pictures that people have: one face in each, all different, all one person's."""

import cv2
import numpy as np
import pytest

from ifmdm_jax.adaptation import shots
from ifmdm_jax.errors import InputError
from tests.dubbing import films


def save(path, picture):
  cv2.imwrite(str(path), picture[..., ::-1])
  return path


@pytest.fixture
def folder(tmp_path):
  """Three pictures of one face, one without a face, and a copy."""
  save(tmp_path / 'a.png', films.face(400))
  save(tmp_path / 'b.png', films.face(400, angle=8))
  save(tmp_path / 'c.png', films.face(400, tint=(0.8, 0.9, 1.0)))
  return tmp_path


def names(found):
  return sorted(name[0] for name in found.names)


def test_a_folder_gives_cut_pictures_and_says_what_it_leaves_out(folder, capsys):
  save(folder / 'wall.png', films.wall(300, 300))
  save(folder / 'd.png', films.face(400))
  save(folder / 'tiny.png', films.face(70))
  (folder / 'notes.txt').write_text('no picture')
  found = shots.gather([folder])
  assert names(found) == ['a', 'b', 'c']
  assert found.pictures.shape == (3, shots.SIZE, shots.SIZE, 3) and found.pictures.dtype == np.uint8
  assert found.landmarks.shape == (3, 468, 2) and 0 < found.landmarks.min() < 1
  assert set(found.left_out) == {'wall.png', 'd.png', 'tiny.png'}
  said = capsys.readouterr().err
  assert 'wall.png is left out: expected a clearly visible face' in said
  assert 'd.png is left out: it is a copy of a.png' in said


def test_a_video_gives_frames_that_differ(tmp_path):
  pictures = [*films.talk(8), *films.talk(8, angle=10), *[films.wall(240, 320)] * 4]
  films.write(tmp_path / 'a.mp4', pictures)
  found = shots.gather([tmp_path / 'a.mp4'], count=2)
  turned = [int(name.split()[-1]) >= 8 for name in found.names]
  assert sorted(turned) == [False, True]


def test_nothing_that_can_be_used_is_one_line(tmp_path):
  with pytest.raises(InputError, match='there is no'):
    shots.gather([tmp_path / 'none.png'])
  with pytest.raises(InputError, match='none of 0 can be used'):
    shots.gather([tmp_path])
  save(tmp_path / 'wall.png', films.wall(300, 300))
  with pytest.raises(InputError, match='none of 1 can be used; the first: .*wall.png shows none'):
    shots.gather([tmp_path])


def test_copies_alone_are_one_line(tmp_path):
  for name in 'ab':
    save(tmp_path / f'{name}.png', films.face(400))
  with pytest.raises(InputError, match='all 2 are copies of a.png'):
    shots.gather([tmp_path])


def test_another_person_is_named_and_may_be_wanted(folder, monkeypatch):
  class Network:
    """Takes a bluish face for another's."""

    def __call__(self, chips):
      return np.stack([[1.0, 0.0] if c[..., 0].mean() > c[..., 2].mean() else [0.0, 1.0]
                       for c in chips.astype(float)])  # fmt: skip

  save(folder / 'c.png', films.face(400, tint=(0.4, 0.8, 1.2)))
  monkeypatch.setattr(shots.sface, 'SFace', Network)
  with pytest.raises(InputError, match=r'another seems to be in c.png \(0.00\).*--mixed'):
    shots.gather([folder])
  assert names(shots.gather([folder], mixed=True)) == ['a', 'b', 'c']


def test_varied_faces_begin_with_the_usual_one():
  still = np.random.default_rng(0).uniform(0.3, 0.7, (468, 2))
  faces = np.stack([still] * 5)
  faces[3, shots.points.LOWER_LIP_INNER, 1] += 0.1  # an open mouth
  chosen = shots.varied(faces, 2)
  assert chosen[0] != 3 and chosen[1] == 3
