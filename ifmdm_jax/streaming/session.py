"""One voice, window by window: the core of offline and of live sampling."""

from collections.abc import Iterable

from ifmdm_jax.errors import InputError


def windows(blocks, listener, advance, submit):
  """Yields `advance(window)` for each window of a voice, as soon as its sound is there.

  The next window is under way while the caller uses the last one, if its sound has arrived; one at
  a time, since each begins where the last one ended.

  Args:
    blocks: iterable of waveforms [l] or [l, C].
    listener: a `windows.Listener`.
    advance: (Window) -> anything.
    submit: starts a call and returns its future, see `device.Pool`.
  """

  def start():
    return submit(lambda: advance(listener.take())) if listener.ready() else None

  def ready():
    job = start()
    while job:
      result = job.result()
      job = start()
      yield result

  if isinstance(blocks, str | bytes) or not isinstance(blocks, Iterable):
    raise InputError(
      f'expected blocks of sound, an iterable of waveforms [l] or [l, C], got '
      f'{type(blocks).__name__}: pass e.g. [waveform]'
    )
  for block in blocks:
    listener.add(block)
    yield from ready()
  listener.close()
  listener.check_heard()
  yield from ready()
