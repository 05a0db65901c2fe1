"""When the loop does what: after so many steps, after so many minutes, or on a signal."""

import dataclasses
import signal
import threading
import time


@dataclasses.dataclass(frozen=True)
class Due:
  """What is to be done after a step, by config.train's `..._every`."""

  log: bool
  validate: bool
  pictures: bool
  videos: bool
  save: bool

  @classmethod
  def after(cls, done, settings, *, last, stop, late):
    """Decides after `done` steps.

    Args:
      settings: config.train.
      last: whether all steps are done: everything that is ever done is done once more.
      stop: whether the run stops here, to go on later: what it has is logged and saved.
      late: whether the last checkpoint is older than it may be.
    """
    every = lambda steps: steps > 0 and done % steps == 0
    or_last = lambda steps: steps > 0 and (last or done % steps == 0)
    validate = or_last(settings.eval_every)
    save = last or stop or late or every(settings.save_every_steps)
    return cls(
      log=last or stop or every(settings.log_every),
      validate=validate,
      pictures=or_last(settings.pictures_every),
      videos=or_last(settings.videos_every),
      save=save or bool(validate and settings.keep_best),
    )

  def __bool__(self):
    return any(dataclasses.astuple(self))


class Clock:
  """How long a run has lasted, with the runs before it, and what that asks for."""

  def __init__(self, began, before, max_minutes, save_every_minutes):
    self._began, self._before = began, before
    self._most, self._save_every = max_minutes, save_every_minutes
    self.saved()

  def seconds(self):
    """Seconds trained, in this run and those before it."""
    return self._before + time.monotonic() - self._began

  def saved(self):
    """Notes that a checkpoint was just written."""
    self._saved_at = time.monotonic()

  def late(self):
    """Says whether the last checkpoint is older than it may be."""
    return time.monotonic() - self._saved_at >= 60 * self._save_every

  def over(self):
    """Says why the time of this run is over, or ''."""
    if self._most is None or time.monotonic() - self._began < 60 * self._most:
      return ''
    return f'{self._most:g} minutes are over'


class StopSignals:
  """`seen` names the first SIGTERM (preemption), SIGHUP (a closed terminal) or Ctrl-C; a second one
  acts as ever."""

  def __init__(self):
    self.seen = None
    self._before = {}

  def __enter__(self):
    if threading.current_thread() is threading.main_thread():
      for name in ('SIGTERM', 'SIGINT', 'SIGHUP'):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # nohup
          self._before[number] = signal.signal(number, self._note)
    return self

  def __exit__(self, *_):
    for number, handler in self._before.items():
      signal.signal(number, handler)

  def _note(self, number, _):
    self.seen = signal.Signals(number).name
    signal.signal(number, self._before[number])
