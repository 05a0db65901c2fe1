"""How many samples a second does a core make for either stage, and how many cores does a GPU eat?

PYTHONPATH=. python experiments/data_engine/loaders.py --film CLIP.mp4 --film ANOTHER.mp4

The films' tracks are written many times under other names, since people who are many do not fit
into what readers keep in memory. CPU time of the whole process is counted, and so is batching.
"""

import json
import pathlib
import tempfile
import time

import ml_collections
import numpy as np
from absl import flags

from ifmdm_jax import errors
from ifmdm_jax.pipeline import write
from ifmdm_jax.pipeline.prep import filters, layouts, process, results
from ifmdm_jax.pipeline.sources import pairs, windows
from tests.pipeline import films

_FILM = flags.DEFINE_multi_string('film', [], '512 px, one face, with sound.', **errors.SHARED)
_COPIES = flags.DEFINE_integer('copies', 12, 'Of every film.', **errors.SHARED)
SECONDS = 4.0  # CPU, of every row
# Samples a second of an H200, from counted FLOPs: experiments/scaling; the H100's peak is the same.
TRAINER = {1: 45, 2: 31_397}
WINDOW, CODE, CLIPS, LENGTH = 65, 20, 100, 500  # stage 2; frames


def write_pictures(folder, paths, copies):
  """Writes records of 512 px with mattes."""
  settings = results.Settings(matte=True, limits=filters.Limits(sync=-1))
  examples = []
  for path in paths:
    source = layouts.Source(str(path), pathlib.Path(path).name, 'somebody', 'train')
    result = process.process(source, folder, settings, films.LevelLag())
    examples += list(write.examples_of(result, folder))[:1]
  rename = lambda n, text: json.dumps({**json.loads(text), 'name': n}, sort_keys=True)
  many = [(f'{name}_{i}', example) for name, example in examples for i in range(copies)]
  many = [(name, {**example, 'about': rename(name, example['about'])}) for name, example in many]
  write.write('TalkingFaces', folder, {'train': many})


def write_codes(folder, width):
  """Writes motion codes and features of noise."""
  rng, examples = np.random.default_rng(0), []
  draw = lambda *shape: rng.standard_normal(shape, np.float32).tobytes()
  for name in (f'clip{i:03d}' for i in range(CLIPS)):
    arrays = dict(
      codes=draw(LENGTH, CODE),
      mirrored=draw(LENGTH, CODE),
      features=draw(2 * LENGTH, width),
      opening=draw(LENGTH),
      altered=b'',
      quiet=b'',
    )
    about = dict(name=name, person=name, split='train', licence='', count=LENGTH)
    about |= dict(motion_dim=CODE, width=width)
    examples.append((name, {**arrays, 'about': json.dumps(about)}))
  write.write('MotionCodes', folder / 'motion', {'train': examples})


def speed(loader, batch):
  """Samples per CPU second, once the loader runs."""
  for _ in range(4):
    next(loader)
  begin, count = time.process_time(), 0
  while (used := time.process_time() - begin) < SECONDS:
    next(loader)
    count += batch
  return count / used


def row(stage, name, loader, batch):
  rate = speed(loader, batch)
  cores = TRAINER[stage] / rate
  print(f'| {stage} | {name} | {rate:,.0f} | {cores:.1f} |', flush=True)


def main(_):
  if not _FILM.value:
    raise errors.InputError('expected --film CLIP.mp4')
  print('| stage | what is read | samples a second and core | cores for one H200 |')
  print('| --- | --- | --- | --- |')
  common = dict(stills=0.0, size=0, gap=0, blur=0.0)
  with tempfile.TemporaryDirectory() as folder:
    write_pictures(pathlib.Path(folder), _FILM.value, _COPIES.value)
    for name, more in (
      ('records, 512 px, one target (paper)', dict(targets=1)),
      ('the same, backgrounds blurred', dict(targets=1, blur=1.0)),
      ('records, 256 px, three targets', dict(targets=3, size=256)),
    ):
      config = ml_collections.ConfigDict({**common, **more, 'cache': folder})
      row(1, name, pairs.make_loader(config, batch=8, seed=0, split='train'), 8)
  for width, encoder in ((384, 'Whisper-tiny'), (768, 'wav2vec2-base, paper')):
    with tempfile.TemporaryDirectory() as folder:
      write_codes(pathlib.Path(folder), width)
      config = ml_collections.ConfigDict(dict(cache=folder, frames=WINDOW))
      loader = windows.make_loader(config, batch=32, seed=0, split='train')
      row(2, f'records, {width} numbers a feature ({encoder})', loader, 32)


if __name__ == '__main__':
  errors.run(main)
