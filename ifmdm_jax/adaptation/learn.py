"""Teaches weights a person: how long is chosen by pictures that are held out, then all are used."""

import hashlib
import json
import pathlib
import shutil
import time
from typing import NamedTuple

import cv2
import jax
import numpy as np
from tqdm import tqdm

from ifmdm_jax import bundle, errors, files, generator
from ifmdm_jax.errors import InputError
from ifmdm_jax.training import adapt, contract, program

GRID = 'adapt.png'
ROWS = 8  # of the grid
EVERY = 4  # one picture of so many is held out


class Learned(NamedTuple):
  """What became of it."""

  path: pathlib.Path
  shots: int
  updates: int
  before: float | None  # figure of the weights as they were on pictures that were held out,
  after: float | None  # and of those that have learned; None where none was
  metric: str
  better: bool  # else the weights are as they were
  seconds: float


def held_out(count):
  """Chooses the pictures that decide, by number; none of fewer than three."""
  return list(range(EVERY - 1, count, EVERY)) or ([count - 1] if count > 2 else [])


def check_output(output, overwrite=False):
  """Returns the folder to write.

  Raises:
    InputError: it is there already, or cannot be made.
  """
  output = pathlib.Path(output).expanduser()
  with errors.explained('a folder to write', output):
    if output.exists() and not (overwrite and (output / 'config.json').is_file()):
      if overwrite:
        raise InputError(f'expected weights to replace, {output} holds none: choose another')
      raise InputError(
        f'expected a new folder, {output} exists: choose another --output, or pass --overwrite'
      )
  return output


def learn(weights, shots, output, *, overwrite=False):
  """Writes a bundle that knows the person of some `Shots`.

  What is done is kept in OUTPUT.partial and goes on from there after a stop.

  Args:
    weights: a `bundle.Bundle`.
    shots: `shots.Shots`.
    output: folder to write.
    overwrite: whether a bundle may be there already.

  Returns:
    `Learned`.

  Raises:
    InputError: the system of the weights learns nobody, or the folder cannot be written.
  """
  began = time.monotonic()
  output = check_output(output, overwrite)
  system = generator.system(weights.system)
  if system.personal is None:
    raise InputError(f'{weights.system} learns no person: expected weights of a system that does')
  work = output.with_name(output.name + '.partial')
  with files.alone(work):
    _begin(work, weights, shots)
    personal = system.personal(weights, shots.pictures, shots.landmarks)
    result = _learn(personal, len(shots.names), work)
    packed, grid, facts = result
    with files.atomic(output) as half:
      half.mkdir()
      bundle.save(half, packed)
      if grid is not None:
        cv2.imwrite(str(half / GRID), grid[..., ::-1])
  shutil.rmtree(work, ignore_errors=True)
  return Learned(output, len(shots.names), **facts, seconds=time.monotonic() - began)


def _begin(work, weights, shots):
  """Clears away what was kept of other pictures or weights."""
  seen = hashlib.sha256(shots.pictures.tobytes())
  for part in weights.parts.values():
    seen.update(part.file.read_bytes() if part.file else _bytes(part))
  about = {'of': seen.hexdigest()}
  path = work / 'about.json'
  if not path.exists() or json.loads(path.read_text()) != about:
    for name in ('choice', 'fit'):
      (work / f'{name}.safetensors').unlink(missing_ok=True)
    files.write_text(path, json.dumps(about) + '\n')


def _bytes(part):
  """Returns what a part that is in no file is made of."""
  leaves = jax.tree.leaves(part.params)
  return b''.join([repr(part.settings).encode(), *(np.asarray(leaf).tobytes() for leaf in leaves)])


def _learn(personal, count, work):
  """Learns: (bundle, grid or None, facts of `Learned`)."""
  model, config = personal.model, personal.config.copy_and_resolve_references()
  with config.unlocked():
    config.adapt.from_start = True
  metric = config.adapt.metric
  everything = list(range(count))
  away = held_out(count)
  updates, before, after, better = adapt.budget(count, config.adapt.steps), None, None, True
  if away:
    rows = personal.rows([each for each in everything if each not in away], away)
    asked = personal.rows(away)
    choice = _fit(personal, rows, config, 'choosing', asked, count, work / 'choice.safetensors')
    updates = choice.steps
  elif count > 1 and not updates:  # nothing is learned from any picture: all are held out
    asked = rows = personal.rows(everything)
    choice = _fit(personal, rows, config, 'comparing', asked, count, None)
  else:
    asked = rows = personal.rows(everything)
    choice = None
  if choice is not None:
    after = choice.scores[choice.steps][metric]
    before = choice.scores[choice.steps].get('start', choice.scores[0][metric])
    better = after < before
  found = choice
  grid = None if found is None else _grid(model, found, asked, config)
  if better and (updates or found is None):
    config.adapt.steps = ((1, updates),)
    rows = personal.rows(everything)
    found = _fit(personal, rows, config, 'learning', None, count, work / 'fit.safetensors')
  if grid is None:
    grid = _grid(model, found, asked, config)
  facts = dict(updates=updates, before=before, after=after, metric=metric, better=better)
  return personal.pack(found) if better else personal.start(), grid, facts


def _fit(personal, rows, config, what, asked, count, kept):
  """Runs `training.adapt` under a bar."""
  total = adapt.budget(count, config.adapt.steps)
  with tqdm(total=total, desc=what, disable=None) as bar:

    def report(done, total, figures):
      bar.n = done
      bar.set_postfix({k: f'{v:.4f}' for k, v in figures.items() if k in ('loss', 'start')} | {
        k: f'{v:.4f}' for k, v in figures.items() if k == config.adapt.metric})  # fmt: skip

    return adapt.adapt(
      personal.model, personal.params, rows, config, extra=personal.extra, held_out=asked,
      shots=count, kept=kept, report=report,
    )  # fmt: skip


def _grid(model, found, rows, config):
  """Draws pictures that were held out, before and after: uint8 [H, W, 3], or None."""
  if not isinstance(model, contract.Pictures):
    return None
  first = {name: values[:ROWS] for name, values in rows.items()}
  more = program.with_extra(model, found.extra)
  drawn = model.pictures(found.params, first, config.model, **more)
  return np.concatenate([np.asarray(each) for each in drawn.values()])
