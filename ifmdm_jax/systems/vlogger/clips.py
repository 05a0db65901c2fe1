"""Consecutive frames of a film, a far frame of the same film, and the body in all of them.

The body is fitted to each film of a set when a loader first opens it, some seconds of one core for
ten of film, and kept beside the set: body/NAME.npz. Threads of a loader do not fit: two of them
would wait for each other on a CPU. Scores of face units come from `prepare --face_motion`
where that was run; else the points alone are fitted.
"""

import pathlib

import numpy as np
from tqdm import tqdm

from ifmdm_jax import files
from ifmdm_jax.errors import InputError
from ifmdm_jax.face.crop import resized
from ifmdm_jax.pipeline import codes, face_motion, loader, records
from ifmdm_jax.systems.vlogger import axes, fit

FOLDER = 'body'
FAR = 50  # frames that a reference is away from the clip, where the film is long enough


class Clips(loader.Listed):
  """Offers a film as often as pieces of T frames fit into it; `draw` cuts one.

  Attributes:
    films: `records.Records` of those with a fit.
  """

  def __init__(self, folder, split, size, frames, licence=''):
    """Opens the films of a set.

    Args:
      folder: of the set, or of several.
      split: 'train' or 'val'.
      size: side that frames are brought to, pixels.
      frames: T.
      licence: pattern that has to be found in the licence or provenance.

    Raises:
      InputError: there is no film of T frames.
    """
    self.films = records.clips(folder, split, licence=licence, sound=False)
    self.size, self.frames = size, frames
    self._scores = _scores(folder, split, licence)
    counts = [entry.count for entry in self.films.entries]
    self.items = [i for i in loader.by_windows(counts, frames) if counts[i] >= frames]
    if not self.items:
      raise InputError(
        f'{folder} has no film of split {split} with {frames} frames and a licence like '
        f'{licence!r}: prepare longer films, or change data.licence'
      )

  def draw(self, item, rng):
    """Cuts a clip and its reference, see `make_loader` for the keys."""
    film, known = self.films[item], self.fit(item)
    count = len(film.frames)
    start = rng.integers(count - self.frames + 1)
    reference = far_from(start, start + self.frames, count, rng)
    numbers = np.arange(start, start + self.frames)
    picture = lambda number: resized(film.frames[int(number)], self.size)
    motion = known['motion']
    return dict(
      frames=np.stack([picture(number) for number in numbers]),
      motion=motion[numbers],
      reference=picture(reference),
      at=motion[reference],
      identity=known['identity'],
      focal=np.float32(known['focal'] / film.frames.side),
    )

  def fit_all(self):
    """Fits the body to all films that it was not fitted to yet, under a bar."""
    missing = [item for item in sorted(set(self.items)) if not self._kept(item).exists()]
    for item in tqdm(missing, 'fits of the body', unit='film', disable=not missing):
      self.fit(item)

  def _kept(self, item):
    entry = self.films.entries[item]
    return pathlib.Path(entry.folder) / FOLDER / f'{entry.name}.npz'

  def fit(self, item):
    """Returns {'identity' [I], 'focal' in pixels as stored, 'motion' [T, A]} of a film."""
    entry = self.films.entries[item]
    path = self._kept(item)
    if path.exists():
      return files.read_npz(path)
    film, scores = self.films[item], self._scores.get(entry.name)
    count = len(film.frames)
    if scores is not None:
      last = np.minimum(np.arange(count), len(scores) - 1)  # as long as the voice
      scores = np.pad(scores[last, : len(face_motion.UNITS)], ((0, 0), (1, 0)))
    side = film.frames.side
    found = fit.fit(film.landmarks[:count], scores, (side, side))
    known = dict(identity=found.identity, focal=np.float32(found.focal), motion=found.motion)
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.atomic(path) as half:
      np.savez(half, **known)
    return known


def _scores(folder, split, licence):
  """Reads {name of a film: motion [T, M]} where it is there."""
  try:
    tracks = codes.read(folder, split, licence, folder=face_motion.FOLDER)
  except InputError:
    return {}
  return {entry.name: tracks[i].codes for i, entry in enumerate(tracks.entries)}


def far_from(start, stop, count, rng):
  """Draws a frame of `count` that is FAR from the clip, or as far as there are any."""
  numbers = np.arange(count)
  away = np.maximum(start - numbers, numbers - (stop - 1))
  far = np.flatnonzero(away >= min(FAR, away.max()))
  return int(rng.choice(far))


def make_loader(config, *, batch, seed, split, process_index=0, process_count=1):
  """Returns endless batches, see `loader.endless`.

  frames uint8 [B, T, S, S, 3], motion float32 [B, T, A] of the body in them; reference uint8
  [B, S, S, 3], and at [B, A], the motion there; identity [B, I]; focal [B], in sides of a frame.

  Reads `config.cache`, the folder of a set, `config.size`, `config.frames`, and `config.licence`.
  """
  licence = config.get('licence', '') if split == 'train' else ''
  source = Clips(config.cache, split, config.size, config.frames, licence)
  source.fit_all()
  where = dict(process_index=process_index, process_count=process_count)
  return loader.endless(source, batch=batch, seed=seed, **where, threads=2, ahead=4)


def example(size, frames, identity, batch):
  """Shapes a batch of `make_loader`: {name: (dtype, shape)}."""
  count, picture = len(axes.AXES), (size, size, 3)
  return dict(
    frames=(np.uint8, (batch, frames, *picture)),
    motion=(np.float32, (batch, frames, count)),
    reference=(np.uint8, (batch, *picture)),
    at=(np.float32, (batch, count)),
    identity=(np.float32, (batch, identity)),
    focal=(np.float32, (batch,)),
  )
