"""TensorBoard's files, written at once by the caller, so that a full disk is an error there."""

import os
import time

import numpy as np
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog


class Board:
  """Figures, pictures and histograms of a run in a folder; OSError where it cannot be written.

  Args:
    folder: made where it is not there.
    start: the step that was restored: what an earlier run wrote of later steps is hidden.
  """

  def __init__(self, folder, start):
    os.makedirs(folder, exist_ok=True)
    self._writer = EventsWriter(os.path.join(folder, 'events'))
    if start:
      log = SessionLog(status=SessionLog.START)
      self._writer.write_event(Event(step=start + 1, wall_time=time.time(), session_log=log))

  def scalar(self, name, value, step):
    self._write(summary.scalar(name, float(value)), step)

  def picture(self, name, picture, step):
    """Writes uint8 [H, W, 3]."""
    self._write(summary.image(name, np.asarray(picture), dataformats='HWC'), step)

  def histogram(self, name, values, step):
    self._write(summary.histogram(name, np.asarray(values).ravel(), bins=64), step)

  def flush(self):
    self._writer.flush()

  def close(self):
    self._writer.close()

  def _write(self, content, step):
    self._writer.write_event(Event(step=step, wall_time=time.time(), summary=content))
