"""Makes the video of one job after another, with weights and a portrait that stay in memory."""

import contextlib
import dataclasses
import io
import json
import pathlib
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import ifmdm_jax as ifm
from ifmdm_jax import bundle, compile_cache, errors, extras, files, talk
from ifmdm_jax.audio import spoken
from ifmdm_jax.batch import finished
from ifmdm_jax.errors import InputError
from ifmdm_jax.trust.origin import DEFAULT, Options
from ifmdm_jax.video import image as images

MADE, KEPT, FAILED = 'made', 'kept', 'failed'


class Outcome(NamedTuple):
  """What became of a job.

  Attributes:
    number: see `jobs.Job`.
    status: MADE; KEPT: it was there already; or FAILED.
    frames: of the video.
    reason: why it failed, one line.
    notes: what its user should know, lines.
    full: whether it failed as there is no room, so that the next one could not be made either.
  """

  number: int
  status: str
  frames: int = 0
  reason: str = ''
  notes: tuple[str, ...] = ()
  full: bool = False


@dataclasses.dataclass(frozen=True)
class Settings:
  """What all jobs of a batch have in common.

  Attributes:
    base: folder from which jobs name their portraits and voices.
    folder: of the videos.
    checkpoint, load: folder of weights, None: the bundled; and options of `ifmdm_jax.load`.
    weights: `finished.of_weights` of them.
    stream, paste_back, max_pixels: see `talk.make`.
    overwrite: replace videos that are there and of no such job.
    provenance: `trust.origin.Options`.
    compile_cache: see `compile_cache.keep`.
  """

  base: str
  folder: str
  checkpoint: str | None = None
  load: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  weights: str = ''
  stream: bool = False
  paste_back: bool = False
  max_pixels: int = images.MAX_PIXELS
  overwrite: bool = False
  provenance: Options = DEFAULT
  compile_cache: str | None = None

  def digested(self):
    """Returns these with the digest of their weights.

    Raises:
      InputError: there are none.
    """
    talk.check_checkpoint(self.checkpoint)
    folders = [self.checkpoint or bundle.BUNDLED, self.load.get('drawn_by')]
    digests = [finished.of_weights(folder) for folder in folders if folder]
    return dataclasses.replace(self, weights=' '.join(digests))


class Maker:
  """Calls with a `jobs.Job` make its video, or find it made, and return an `Outcome`.

  Weights are loaded by the first job that needs them. A job's fault is its outcome, no exception.
  """

  def __init__(self, settings):
    compile_cache.keep(settings.compile_cache)
    self.settings = settings
    self._generator = self._refused = None
    self._last = None, None

  def __call__(self, job):
    said = io.StringIO()
    with contextlib.redirect_stderr(said):  # progress of one job is nobody's, its notes are
      outcome = self._guarded(job)
    lines = [line.strip() for line in said.getvalue().splitlines()]
    notes = tuple(line[6:] for line in lines if line.startswith('note: '))
    return outcome._replace(notes=notes)

  def _guarded(self, job):
    failed = lambda reason: Outcome(job.number, FAILED, reason=' '.join(str(reason).split()))
    try:
      return self._finish(job)
    except InputError as error:
      return failed(error)._replace(full=_full(error))
    except ModuleNotFoundError as error:
      return failed(extras.missing(error) or error)
    except (OSError, MemoryError) as error:
      return failed(errors.system(error))._replace(full=_full(error))
    except Exception as error:  # one job's fault stops no other
      return failed(f'{type(error).__name__}: {str(error)[:300]}')

  def _finish(self, job):
    settings, base = self.settings, pathlib.Path(self.settings.base)
    image, audio = (each and base / pathlib.Path(each).expanduser()
                    for each in (job.image, job.audio))  # fmt: skip
    if image:
      files.check(image, 'a picture')
    if audio:
      files.check(audio, 'a file with sound')
    key = finished.key(self._facts(job), image=image or None, audio=audio or None)
    output = _below(settings.folder, job.output)
    if output.exists():
      of_job, frames = finished.read(output)
      if of_job == key:
        return Outcome(job.number, KEPT, frames)
      if not settings.overwrite:
        raise InputError(
          f'expected a new file, {job.output} exists and was made of something else: remove it, '
          'name another output, or pass --overwrite'
        )
    with self._sound(job, audio, output) as voice:
      result = talk.make(
        image or None, voice, output, settings.checkpoint, seed=job.seed,
        generator=self._loaded(), picture=self._read(job, image), paste_back=settings.paste_back,
        stream=settings.stream, max_pixels=settings.max_pixels, overwrite=settings.overwrite,
        provenance=settings.provenance.numbered(key), job=key, **job.options,
      )  # fmt: skip
    return Outcome(job.number, MADE, result.frames)

  def _facts(self, job):
    """What the video depends on besides files, as JSON can say it."""
    s, says = self.settings, self.settings.provenance
    chain = says.certificate.chain.decode() if says.certificate else ''
    told = [says.wanted, chain, says.time_authority, says.label, says.spoken is not None]
    ours = [s.weights, sorted(s.load), s.stream, s.paste_back, told]
    own = [job.text, job.speaker, job.voice, job.seed, dict(job.options)]
    return json.loads(json.dumps([ours, own]))

  @contextlib.contextmanager
  def _sound(self, job, audio, output):
    """Yields the file of the voice, spoken if there is only a text."""
    if audio:
      yield audio
      return
    # Beside the video, where the next command finds what a killed one left.
    path = files.temporary(output.with_suffix('.wav'))
    with errors.explained('a folder to write into', path.parent):
      path.parent.mkdir(parents=True, exist_ok=True)
    try:
      spoken.write(path, job.text, spoken.speaker(job.speaker or None), job.voice, job.seed)
      yield path
    finally:
      path.unlink(missing_ok=True)

  def _read(self, job, image):
    """Reads a job's picture, or takes the last one, if it is the same."""
    wanted = {name: job.options[name] for name in ('face', 'crop') if name in job.options}
    about = image and (finished.digest(image), *wanted.items())
    if about != self._last[0] or not about:
      said = io.StringIO()
      with contextlib.redirect_stderr(said):
        picture = talk.read_picture(
          image or None, self.settings.paste_back, max_pixels=self.settings.max_pixels, **wanted
        )
      self._last = about, (picture, said.getvalue())
    picture, said = self._last[1]
    sys.stderr.write(said)  # to each of its jobs
    return picture

  def _loaded(self):
    """Loads the weights, once, and does not try again where they cannot be."""
    if self._refused:
      raise InputError(self._refused)
    if self._generator is None:
      try:
        self._generator = ifm.load(self.settings.checkpoint, **self.settings.load)
      except InputError as error:
        self._refused = str(error)
        raise
    return self._generator


def _full(error):
  """Says whether there was no room on a disk."""
  while error is not None:
    if isinstance(error, OSError) and error.errno in errors.FULL:
      return True
    error = error.__cause__ or error.__context__
  return False


def _below(folder, output):
  """Returns an output's path, which no link may lead out of its folder."""
  folder = pathlib.Path(folder)
  path = folder / output
  with errors.explained('a file to write', path):
    inside = path.resolve().is_relative_to(folder.resolve())
  if not inside:
    raise InputError(
      f'expected an output below the folder of --output, a link of {output} leads out'
    )
  return path
