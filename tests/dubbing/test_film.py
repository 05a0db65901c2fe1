"""Films as they are stored: frames in any order, their times, and what is wrong with them."""

import numpy as np
import pytest

from ifmdm_jax.dubbing import planes
from ifmdm_jax.dubbing.film import Film
from ifmdm_jax.errors import InputError
from ifmdm_jax.video import read
from tests.dubbing import films

LEVELS = 30


def ladder(path, count=LEVELS, height=48, width=64, **options):
  """A film whose frames say their number by their brightness."""
  pictures = [np.full((height, width, 3), 20 + 7 * n, np.uint8) for n in range(count)]
  return films.write(path, pictures, **options)


def numbers(frames):
  """Reads the numbers back."""
  levels = [planes.look(f, np.eye(2, 3), (8, 8)).mean() for f in frames]
  return np.round((np.array(levels) - 20) / 7).astype(int).tolist()


@pytest.mark.parametrize('name', ['a.mp4', 'a.mkv', 'a.ts', 'a.avi'])
def test_frames_come_in_any_order(tmp_path, name):
  options = {'crf': '1', 'g': '8', 'bf': '0' if name == 'a.avi' else '2'}
  film = Film(ladder(tmp_path / name, options=options))
  assert numbers(film.all_times()) == list(range(LEVELS))
  for order in ([12, 13, 14], [29, 28, 27, 26], [5, 5, 5, 6], [0], [20, 21, 3, 4, 4, 3, 2, 29],
                [*range(29, -1, -1)]):  # fmt: skip
    assert numbers(film.at(np.array(order))) == order


def test_times_are_the_films_own(tmp_path):
  times = np.cumsum([0.0, *np.random.default_rng(0).uniform(0.02, 0.09, LEVELS - 1)])
  film = Film(ladder(tmp_path / 'a.mp4', times=times))
  for _ in film.all_times():
    pass
  assert film.times == pytest.approx(times, abs=2e-5)


@pytest.mark.parametrize('turned', [90, 180, 270])
def test_a_turned_film_is_seen_as_players_show_it(tmp_path, turned):
  path = films.write(tmp_path / 'a.mp4', films.talk(2), turned=turned)
  film = Film(path)
  assert film.rotation == turned
  seen = planes.look(next(film.frames(0, 1)) if film.times is not None else
                     next(film.all_times()), film.stored, film.shown)  # fmt: skip
  assert np.abs(seen.astype(int) - next(read.frames(path))).mean() < 3


def test_a_film_that_is_shown_as_in_a_mirror_is_refused(tmp_path):
  path = films.write(tmp_path / 'a.mp4', films.talk(2))
  data = bytearray(path.read_bytes())
  at = data.index(b'tkhd') + 44
  data[at : at + 4] = (-(1 << 16)).to_bytes(4, 'big', signed=True)  # x' = -x
  path.write_bytes(data)
  with pytest.raises(InputError, match='not shown as in a mirror'):
    Film(path)


def test_hdr_is_brought_to_standard_range_and_said(tmp_path, capsys):
  path = films.write(
    tmp_path / 'a.mp4', films.talk(2), pixels='yuv420p10le', colorspace=9, color_trc=16,
    color_primaries=9, color_range=1,
  )  # fmt: skip
  film = Film(path)
  film.say()
  assert 'is HDR: the result has standard dynamic range' in capsys.readouterr().err
  assert film.format == 'yuv420p' and film.colours == (1, 1, 1, 1)
  seen = planes.look(next(film.all_times()), film.stored, film.shown)
  assert np.abs(seen.astype(int) - next(read.frames(path))).mean() < 6


def test_a_film_that_was_cut_off_is_one_line(tmp_path):
  noise = [np.random.default_rng(n).integers(0, 255, (48, 64, 3), np.uint8) for n in range(75)]
  for name in ('a.mp4', 'a.mkv'):
    path = films.write(tmp_path / name, noise, options={'crf': '20', 'movflags': 'faststart'})
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 3])
    with pytest.raises(InputError, match='cannot be|was it cut|cannot be decoded'):
      for _ in Film(path).all_times():
        pass


def test_a_file_without_pictures_is_one_line(tmp_path):
  with pytest.raises(InputError, match='has none'):
    Film(films.SPEECH)
  (tmp_path / 'a.mp4').write_bytes(b'no film')
  with pytest.raises(InputError, match='cannot be read'):
    Film(tmp_path / 'a.mp4')
