"""Makes one job's video after the other, with weights that are loaded and portraits that are read
once; what is finished is known by a tag in the video itself."""

import contextlib
import functools
import hashlib
import io
import json
import os
import pathlib
import re
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import ifmdm_jax as ifm
from ifmdm_jax import compile_cache, errors, files, talk
from ifmdm_jax.audio import spoken
from ifmdm_jax.errors import InputError
from ifmdm_jax.trust import origin
from ifmdm_jax.video import image

MADE, KEPT, FAILED, WAITING = 'made', 'kept', 'failed', 'waiting'
STOP = 'stop'  # no fault of the job: the next one could not be made either
REMEMBERED = 256  # files whose hashes are known; a batch may have any number
JOB = re.compile(r'(?:^|; )job=([0-9a-f]+)')


class Settings(NamedTuple):
  """What all jobs of a batch share; can be pickled, and holds no private key.

  Attributes:
    base: folder that images and voices count from.
    output: folder of the videos.
    checkpoint: weights, see `ifmdm_jax.load`.
    weights: what tells them from others, see `weights_of`.
    loading: options of `ifmdm_jax.load`.
    making: options of `talk.make` that no job has of its own.
    overwrite: whether a video that is not the job's is replaced.
    provenance: arguments of `trust.origin.chosen`; None: none is wanted.
    cache: folder of compiled programs, see `compile_cache.keep`.
  """

  base: str
  output: str
  checkpoint: str | None = None
  weights: str = ''
  loading: Mapping[str, Any] = {}
  making: Mapping[str, Any] = {}
  overwrite: bool = False
  provenance: Mapping[str, Any] | None = None
  cache: str | None = None

  def place(self, job):
    """Returns the path of a job's video."""
    return pathlib.Path(self.output) / job.output

  def source(self, cell):
    """Returns the path of an image or a voice as the table names it."""
    return pathlib.Path(self.base) / pathlib.Path(cell).expanduser()


class Outcome(NamedTuple):
  """What became of a job.

  Attributes:
    number: the job's.
    status: MADE, KEPT, FAILED, WAITING or STOP.
    reason: of a failure, one line.
    notes: what was noted on the way, one line.
    frames: of the video.
    seconds: that it took.
  """

  number: int
  status: str
  reason: str = ''
  notes: str = ''
  frames: int = 0
  seconds: float = 0.0


def weights_of(*places):
  """Hashes the names and contents of folders or files of weights; None: it is not used."""
  digest = hashlib.sha256()
  for place in filter(None, places):
    place = pathlib.Path(place)
    with errors.explained('weights', place):
      for path in [place] if place.is_file() else sorted(p for p in place.rglob('*') if p.is_file()):
        name = '' if path == place else path.relative_to(place).as_posix()
        digest.update(f'{name}\0{_digest(path)}\0'.encode())
  return digest.hexdigest()[:16]


def tag(job, settings):
  """Hashes all that a job's video depends on: its files' contents, its options, the weights.

  So a picture that was exchanged is a job that is not finished. The version of this package is left
  out: a batch that goes on after an update keeps what it has.
  """
  facts = [
    job.text, job.speaker, job.voice, job.seed, dict(job.options),
    *(_digest(settings.source(cell)) if cell else '' for cell in (job.image, job.audio)),
    settings.weights, dict(settings.loading), dict(settings.making), settings.provenance,
  ]  # fmt: skip
  return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def finished(job, settings):
  """Counts the frames of a job's video, if it is there and was made of the same job; else None."""
  path = settings.place(job)
  if not path.is_file():
    return None
  import av  # here: networks and their training run without

  try:
    with av.open(str(path.absolute()), metadata_errors='ignore') as film:
      found = JOB.search(film.metadata.get('description', ''))
      if found and found[1] == tag(job, settings):
        return film.streams.video[0].frames
  except (OSError, ValueError, IndexError):  # FFmpeg's errors are of these kinds
    pass
  return None


def ready(settings):
  """Returns a `Maker` in a process of its own."""
  compile_cache.keep(settings.cache)
  return Maker(settings)


class Maker:
  """Calls `talk.make` for one `Job` after the other; returns an `Outcome` each, raises nothing."""

  def __init__(self, settings):
    self.settings = settings
    self._last = None, None  # the portrait that was read

  def __call__(self, job):
    notes, start = io.StringIO(), time.monotonic()

    def outcome(status, reason='', frames=0):
      said = '; '.join(
        line.strip().removeprefix('note: ') for line in notes.getvalue().splitlines() if line.strip()
      )
      seconds = round(time.monotonic() - start, 2)
      return Outcome(job.number, status, ' '.join(reason.split()), said, frames, seconds)

    try:
      with contextlib.redirect_stderr(notes):  # notes, and bars, which are drawn on terminals alone
        status, frames = self._make(job)
        return outcome(status, frames=frames)
    except InputError as error:
      return outcome(STOP if _stops(error) else FAILED, str(error))
    except (OSError, MemoryError) as error:
      return outcome(STOP if _stops(error) else FAILED, errors.system(error))
    except Exception as error:  # a fault of this package's, which costs this job alone
      return outcome(FAILED, f'{type(error).__name__}: {error}'[: errors.LONGEST])

  def _make(self, job):
    settings = self.settings
    for cell, what in ((job.image, 'a picture'), (job.audio, 'a file with sound')):
      if cell:
        files.check(settings.source(cell), what)
    frames = finished(job, settings)
    if frames is not None:
      return KEPT, frames
    output = files.check_output(settings.place(job), (), settings.overwrite)
    mark = tag(job, settings)
    options = {k: v for k, v in job.options.items() if k not in ('face', 'crop')}
    with self._voice(job, output) as audio:
      made = talk.make(
        settings.source(job.image) if job.image else None, audio, output, settings.checkpoint,
        generator=self._generator, picture=self._picture(job), seed=job.seed, job=mark,
        overwrite=settings.overwrite, provenance=self._provenance.numbered(mark),
        **settings.making, **options,
      )  # fmt: skip
    return MADE, made.frames

  @functools.cached_property
  def _generator(self):
    try:
      return ifm.load(self.settings.checkpoint, **self.settings.loading)
    except InputError as error:
      raise _Stop(str(error)) from error

  @functools.cached_property
  def _provenance(self):
    wanted = self.settings.provenance
    return origin.chosen(**wanted) if wanted else origin.Options(wanted=False)

  def _picture(self, job):
    if not job.image:
      return None
    if self._last[0] != job.portrait:
      made = self.settings.making
      picture = talk.read_picture(
        self.settings.source(job.image), made.get('paste_back', False),
        crop=job.options.get('crop') or 'auto', face=job.options.get('face'),
        max_pixels=made.get('max_pixels', image.MAX_PIXELS),
      )  # fmt: skip
      self._last = job.portrait, picture
    return self._last[1]

  @contextlib.contextmanager
  def _voice(self, job, output):
    """Yields the file of a job's voice; one that is spoken goes afterwards."""
    if job.audio:
      yield self.settings.source(job.audio)
      return
    with errors.explained('a folder to write into', output.parent):
      output.parent.mkdir(parents=True, exist_ok=True)
    path = files.temporary(output.with_suffix('.wav'))
    try:
      spoken.write(path, job.text, spoken.speaker(job.speaker or None), job.voice, job.seed)
      yield path
    finally:
      path.unlink(missing_ok=True)


class _Stop(InputError):
  """Nothing can be made."""


def _stops(error):
  """Says whether the next job would fail of the same: no weights, no room."""
  while error is not None:
    if isinstance(error, _Stop) or (isinstance(error, OSError) and error.errno in errors.FULL):
      return True
    error = error.__cause__ or error.__context__
  return False


def _digest(path):
  """Hashes a file's contents; many jobs share a portrait or a voice."""
  with errors.explained('a file', path):
    found = os.stat(path)
    return _digest_of(str(path), found.st_size, found.st_mtime_ns)


@functools.lru_cache(REMEMBERED)
def _digest_of(path, *_):
  with open(path, 'rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()
