"""Films and the set that is made of them, prepared once for all tests of the data engine."""

import pytest

from ifmdm_jax.pipeline import write
from ifmdm_jax.pipeline.prep import filters, results
from tests.pipeline import films

SETTINGS = results.Settings(size=64, limits=filters.Limits(seconds=1.0, sync=0.2))


@pytest.fixture(scope='session')
def settings():
  return SETTINGS


@pytest.fixture(scope='session')
def film_folder(tmp_path_factory):
  """Three people who talk, the last of them held out, and a file that is no video.

  The first talks for long enough to tell how late the voice is.
  """
  folder = tmp_path_factory.mktemp('films')
  for index in range(3):
    seconds = 1.2 if index else 2.1
    films.talking(folder / f'film{index}.mp4', seconds=seconds, seed=index, tint=10 * index)
  (folder / 'broken.mp4').write_text('no video')
  rows = ['file,identity,split'] + [
    f'film{i}.mp4,person{i},{"val" if i == 2 else "train"}' for i in range(3)
  ]
  (folder / 'MANIFEST.csv').write_text('\n'.join(rows))
  return folder


@pytest.fixture(scope='session')
def film_set(film_folder, tmp_path_factory):
  """(folder, numbers of the report) of the films; who writes into it copies it first."""
  pytest.importorskip('tensorflow_datasets')
  output = tmp_path_factory.mktemp('set')
  return output, write.build(film_folder, output, SETTINGS, films.LevelLag)
