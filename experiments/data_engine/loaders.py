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
from ifmdm_jax.pipeline import cache, motion, pairs, records
from ifmdm_jax.pipeline.prep import filters, layouts, process
from tests.pipeline import films

_FILM = flags.DEFINE_multi_string('film', [], '512 px, one face, with sound.', **errors.SHARED)
_COPIES = flags.DEFINE_integer('copies', 12, 'Of every film.', **errors.SHARED)
SECONDS = 4.0  # CPU, of every row
# Samples a second of an H200, from counted FLOPs: experiments/scaling; the H100's peak is the same.
TRAINER = {1: 45, 2: 31_397}
WINDOW, CODE, CLIPS, LENGTH = 65, 20, 100, 500  # stage 2; frames


def write_pictures(folder, paths, copies):
  """Records of 512 px with mattes, and plain arrays of the same tracks."""
  settings = process.Settings(matte=True, limits=filters.Limits(sync=-1))
  examples, entries = [], []
  for path in paths:
    source = layouts.Source(str(path), pathlib.Path(path).name, 'somebody', 'train')
    result = process.process(source, folder, settings, films.LevelJudge())
    examples += list(records.examples_of(result, folder))[:1]
  rename = lambda n, text: json.dumps({**json.loads(text), 'name': n}, sort_keys=True)
  many = [(f'{name}_{i}', example) for name, example in examples for i in range(copies)]
  many = [(name, {**example, 'about': rename(name, example['about'])}) for name, example in many]
  records.write(records.TalkingFaces, folder / 'records', {'train': many})
  records.write_index(folder)
  plain = folder / 'plain'
  for clip in cache.clips(folder)[::copies]:
    place = plain / 'clips' / clip.name
    place.mkdir(parents=True)
    np.save(place / 'frames.npy', clip.frames[:])
    np.save(place / 'landmarks.npy', clip.landmarks)
    entries.append(dict(name=clip.name, video='', person='', split='train'))
  (plain / 'index.json').write_text(json.dumps(entries))
  return folder, plain


def write_codes(folder, width):
  """Motion codes and features of noise: records, and plain arrays."""
  rng, names = np.random.default_rng(0), [f'clip{i:03d}' for i in range(CLIPS)]
  draw = lambda count, size: rng.standard_normal((count, size), np.float32)
  entry = lambda name: dict(name=name, person=name, split='train', licence='')
  plain, examples, place = folder / 'plain', [], folder / 'motion'
  (plain / 'motion').mkdir(parents=True)
  place.mkdir()
  for name in names:
    arrays = dict(
      codes=draw(LENGTH, CODE), mirrored=draw(LENGTH, CODE), features=draw(2 * LENGTH, width)
    )
    np.savez(plain / 'motion' / f'{name}.npz', **arrays)
    about = json.dumps(dict(entry(name), count=LENGTH, motion_dim=CODE, width=width))
    examples.append((name, {**{k: v.tobytes() for k, v in arrays.items()}, 'about': about}))
  records.write(records.MotionCodes, place / 'records', {'train': examples})
  records.write_index(place)
  (plain / 'motion' / 'index.json').write_text(json.dumps([entry(name) for name in names]))
  return folder, plain


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
  found = speed(loader, batch)
  cores = TRAINER[stage] / found
  print(f'| {stage} | {name} | {found:,.0f} | {cores:.1f} |', flush=True)


def main(_):
  if not _FILM.value:
    raise errors.InputError('expected --film CLIP.mp4')
  print('| stage | read from | samples a second and core | cores for one H200 |')
  print('| --- | --- | --- | --- |')
  common = dict(stills=0.0, size=0, gap=0, blur=0.0)
  with tempfile.TemporaryDirectory() as folder:
    whole, plain = write_pictures(pathlib.Path(folder), _FILM.value, _COPIES.value)
    for name, place, more in (
      ('records, 512 px, one target (paper)', whole, dict(targets=1)),
      ('the same, backgrounds blurred', whole, dict(targets=1, blur=1.0)),
      ('records, 256 px, three targets', whole, dict(targets=3, size=256)),
      ('plain arrays, 512 px, one target', plain, dict(targets=1)),
    ):
      config = ml_collections.ConfigDict({**common, **more, 'cache': str(place)})
      row(1, name, pairs.make_loader(config, batch=8, seed=0, split='train'), 8)
  for width, encoder in ((384, 'Whisper-tiny'), (768, 'wav2vec2-base, paper')):
    with tempfile.TemporaryDirectory() as folder:
      for name, place in zip(('records', 'plain arrays'), write_codes(pathlib.Path(folder), width)):
        config = ml_collections.ConfigDict(dict(cache=str(place), frames=WINDOW))
        loader = motion.make_loader(config, batch=32, seed=0, split='train')
        row(2, f'{name}, {width} numbers a feature ({encoder})', loader, 32)


if __name__ == '__main__':
  errors.run(main)
