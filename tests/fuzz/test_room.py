"""Real disks that are full, take no more names, or can only be read; `make room` tries more."""

import pathlib

import jax
import numpy as np
import pytest

from ifmdm_jax import files, talk, video
from ifmdm_jax.errors import InputError
from ifmdm_jax.pipeline import write
from ifmdm_jax.pipeline.prep import process, results
from ifmdm_jax.training import checkpoints, loop
from tests.fuzz import kill, room
from tests.pipeline.prep import test_faults
from tests.training import toy

FRAMES = np.random.default_rng(0).integers(0, 256, (20, 128, 128, 3), np.uint8)
FULL = {'room': dict(size='48k'), 'names': dict(files=2), 'leave to write': {}}
source, wanted = test_faults.source, test_faults.wanted


@pytest.fixture
def disk(tmp_path):
  """Mounts disks; they go with the test."""
  if not room.can_mount():
    pytest.skip('only root may mount a disk, on Linux')
  disks = []

  def make(**options):
    disks.append(room.Disk(tmp_path / f'disk{len(disks)}', **options))
    return disks[-1]

  yield make
  for each in disks:
    each.close()


@pytest.fixture(params=FULL)
def lacking(request, disk):
  """A disk with a file `old`, and with no room for a larger one, or for one more."""
  disk = disk(**FULL[request.param])
  (disk.folder / 'old').write_text('what was there')
  if request.param == 'leave to write':
    disk.change('ro')
  return disk


def left(folder):
  return {path.name: path.read_text() for path in folder.rglob('*')}


@pytest.mark.parametrize('put', [
  lambda path: video.write(path.with_suffix('.mp4'), FRAMES),
  lambda path: files.write_text(path, 'x' * 10**5),
  lambda path: files.write_arrays(path.with_suffix('.safetensors'), {'a': np.ones(10**5)}),
], ids=['video', 'text', 'arrays'])  # fmt: skip
@pytest.mark.parametrize('name', ['new', 'old'])
def test_what_cannot_be_written_is_one_line_and_what_was_there_stays(lacking, put, name):
  with pytest.raises(InputError, match='no room is left|can only be read') as caught:
    put(lacking.folder / name)
  assert str(lacking.folder) in str(caught.value)
  assert left(lacking.folder) == {'old': 'what was there'}


@pytest.mark.parametrize('options', [dict(size='64k'), dict(files=40)], ids=['room', 'names'])
def test_training_without_room_ends_in_one_line_and_goes_on_with_room(disk, options, tmp_path):
  disk, config = disk(**options), toy.get_config()
  config.train.update(steps=4, save_every_steps=2, eval_every=0, pictures_every=0)
  devices = jax.devices()[:1]
  with pytest.raises(checkpoints.CannotSave, match='no room is left.*make room'):
    loop.train(config, disk.folder / 'run', devices=devices)
  assert not kill.half_written(disk.folder)
  disk.change(f'size={room.ROOM},nr_inodes={room.FILES}')
  found = loop.train(config, disk.folder / 'run', devices=devices).params
  other = loop.train(config, tmp_path / 'run', devices=devices).params
  assert jax.tree.all(jax.tree.map(np.array_equal, found, other))


def test_a_film_without_room_is_tried_again_with_room(disk, source, wanted):
  disk = disk(size='64k')
  lag = test_faults.films.LevelLag()
  result = process.guarded(source, disk.folder, test_faults.SETTINGS, lag)
  assert result['again'] and not result['kept']
  assert 'no room is left' in result['dropped'][0]['detail']
  assert not kill.half_written(disk.folder)
  disk.change(f'size={room.ROOM},nr_inodes={room.FILES}')
  assert results.finished(disk.folder, source, test_faults.SETTINGS) is None
  assert process.guarded(source, disk.folder, test_faults.SETTINGS, lag)['kept']
  assert test_faults.digest(disk.folder) == wanted


def test_a_place_that_can_only_be_read_is_said_before_the_work(lacking, source):
  """Whatever else it lacks."""
  lacking.change('ro')
  output = lacking.folder / 'out'
  with pytest.raises(InputError, match='can only be read'):
    loop.train(toy.get_config(), output, devices=jax.devices()[:1])
  with pytest.raises(InputError, match='can only be read'):
    write.build(pathlib.Path(source.path).parent, output, test_faults.SETTINGS, None)
  with pytest.raises(InputError, match='not a writable one'):
    talk.check_output(output / 'talk.mp4')
