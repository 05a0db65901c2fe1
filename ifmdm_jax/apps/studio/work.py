"""Work of the studio: one video at a time, watched while it is made, stopped when asked.

A `Job` is a thread that waits for its turn, makes something, and keeps what the page shows of it.
"""

import contextlib
import sys
import threading
import traceback

import numpy as np

import ifmdm_jax as ifm
from ifmdm_jax import errors, extras
from ifmdm_jax.errors import InputError
from ifmdm_jax.generator import Compiles, Dubs

MOST_WAITING = 8  # jobs that wait for their turn
WAITING, PREPARING, READING, DRAWING, FINISHING = (
  'Waiting for another video', 'Preparing', 'Looking at the film', 'Drawing', 'Finishing',
)  # fmt: skip
BROKEN = 'Something went wrong in the studio itself; its terminal says what'


class Stopped(BaseException):
  """Somebody has stopped the work; no error, and nothing that catches errors may swallow it."""


class Model:
  """Loads a generator beside the page, and lets one job at a time use it."""

  def __init__(self, load=ifm.load):
    """`load`: () -> `generator.Generator`."""
    self._load, self._lock = load, threading.Lock()
    self._turns, self._changed = [], threading.Condition()
    self._generator = None

  def begin(self):
    """Begins to load and compile beside the caller; what fails then is said to who asks for it."""
    threading.Thread(target=self._warm, daemon=True).start()

  def _warm(self):
    with contextlib.suppress(Exception):  # `get` meets it again, and says it
      generator = self.get()
      if isinstance(generator, Compiles):
        generator.compile_ahead()

  def get(self):
    """Returns the generator, loaded once."""
    with self._lock:
      if self._generator is None:
        self._generator = self._load()
      return self._generator

  @contextlib.contextmanager
  def turn(self, job):
    """Waits until no job is before this one, first come first served.

    Raises:
      InputError: too many wait already.
      Stopped: the job was stopped meanwhile.
    """
    with self._changed:
      if len(self._turns) > MOST_WAITING:
        raise InputError('expected a free studio, many videos are waiting: try again in a minute')
      self._turns.append(job)
    try:
      with self._changed:
        while self._turns[0] is not job:
          job.say(WAITING, self._turns.index(job))
          self._changed.wait(0.1)
      job.say(PREPARING)
      yield
    finally:
      with self._changed:
        self._turns.remove(job)
        self._changed.notify_all()


class Job:
  """Something that is being made.

  Attributes:
    stage: what happens now, in words.
    done, total: frames; total 0: nobody knows.
    frame: uint8 [H, W, 3], the last that was drawn, or None.
    notes: lines that the user should know.
    result: what `make` returned; None while it works, and where it failed.
    error: one line, or ''.
    stopped: whether it ended because `stop` was called.
    finished: `threading.Event`.
  """

  def __init__(self, model, make):
    """Begins.

    Args:
      model: `Model` whose turn is waited for.
      make: (job) -> result.
    """
    self.model, self.make = model, make
    self.stage, self.done, self.total, self.frame = WAITING, 0, 0, None
    self.notes, self.result, self.error, self.stopped = [], None, '', False
    self.finished, self._stop = threading.Event(), threading.Event()
    self._thread = threading.Thread(target=self._run, daemon=True)
    self._thread.start()

  def stop(self):
    """Asks it to end; it does at the next frame, and leaves no file."""
    self._stop.set()

  def say(self, stage, done=0, total=0):
    """Says what happens now; raises Stopped if the job is to end."""
    if self._stop.is_set():
      raise Stopped
    self.stage, self.done, self.total = stage, done, total

  def drew(self, frames, total=None):
    """Counts frames uint8 [t, H, W, 3] and shows the last of them."""
    frames = np.asarray(frames)
    self.say(DRAWING, self.done + len(frames), self.total if total is None else total)
    self.frame = frames[-1] if len(frames) else self.frame

  def _run(self):
    try:
      with self.model.turn(self), errors.notes_to(self.notes.append):
        result = self.make(self)
        self.say(FINISHING, self.done, self.total)
      self.result = result
    except Stopped:
      self.stopped = True
    except InputError as error:
      self.error = str(error)
    except (OSError, MemoryError) as error:
      self.error = errors.system(error)
    except Exception as error:
      self.error = extras.missing(error) or BROKEN
      if self.error == BROKEN:
        traceback.print_exc(file=sys.stderr)
    finally:
      self.finished.set()


class Watched:
  """A generator that shows a job each frame that it draws, and ends where the job is stopped."""

  def __init__(self, generator, job, total=0):
    """`total`: frames that are expected."""
    self._generator, self._job, self._total = generator, job, total
    self.name, self.needs = generator.name, getattr(generator, 'needs', frozenset())
    self.size, self.fps = generator.size, getattr(generator, 'fps', 25.0)

  def compile_ahead(self, *args, **options):
    """Begins to compile where the generator can; see `generator.Compiles`."""
    able = isinstance(self._generator, Compiles)
    return self._generator.compile_ahead(*args, **options) if able else []

  def generate(self, clip, *, seed=0, **options):
    """Yields what the generator does."""
    for block in self._generator.generate(clip, seed=seed, **options):
      self._job.drew(block, self._total)
      yield block
    self._job.say(FINISHING, self._job.done, self._total)

  def dub(self, shot, *, seed=0, **options):
    """Yields what the generator does, where it dubs."""
    if not isinstance(self._generator, Dubs):
      raise InputError(f'expected weights that dub, {self.name} does not: choose others')
    for painted in self._generator.dub(shot, seed=seed, **options):
      frames = np.asarray(painted.frames)
      self._job.frame = frames[-1] if len(frames) else self._job.frame
      yield painted
