"""What a server counts, as Prometheus reads it."""

import asyncio
import collections
import contextlib
import time

NAMES = {  # name: (kind, meaning)
  'sessions': ('gauge', 'Sessions that go on, by the way they came.'),
  'sessions_most': ('gauge', 'Sessions that there is room for.'),
  'sessions_begun_total': ('counter', 'Sessions that began.'),
  'sessions_ended_total': ('counter', 'Sessions that ended.'),
  'fps': ('gauge', 'Frames a second that a session got of late, the least of all.'),
  'frames_total': ('counter', 'Frames that were sent.'),
  'frames_late_total': ('counter', 'Frames that were late by more than two.'),
  'windows_total': ('counter', 'Windows that were made.'),
  'stage_seconds_total': ('counter', 'Seconds of work, by its stage.'),
  'first_frame_seconds': ('gauge', 'Until the first frame of the last window was there.'),
  'queue_seconds': ('gauge', 'Seconds of speech that wait, of all sessions.'),
  'portraits': ('gauge', 'Uploaded portraits that no session has taken.'),
  'refused_total': ('counter', 'Requests that were refused, by their status.'),
  'tasks': ('gauge', 'Tasks of asyncio.'),
  'failures_total': ('counter', 'What failed here, and not by a client.'),
}


class Metrics:
  """Counts of a server.

  Attributes:
    seconds: of work, by stage: portrait, begin, encode.
    refused: by status.
  """

  def __init__(self):
    self.seconds, self.refused = collections.Counter(), collections.Counter()

  def refuse(self, status):
    """Counts a refusal."""
    self.refused[status] += 1

  @contextlib.contextmanager
  def stage(self, name):
    """Adds the time of a block to a stage."""
    begun = time.perf_counter()
    try:
      yield
    finally:
      self.seconds[name] += time.perf_counter() - begun

  def text(self, calls, portraits):
    """Writes all of it in Prometheus' text format."""
    live, of = calls.live, list(calls.of.values())
    kinds = collections.Counter({'webrtc': 0, 'avatar': 0, 'realtime': 0})
    kinds.update(call.kind for call in of)
    stages = {'make': live.seconds['making'], 'portrait': 0.0, 'begin': 0.0, 'encode': 0.0}
    values = {
      'sessions': {f'{{kind="{kind}"}}': count for kind, count in kinds.items()},
      'sessions_most': calls.most,
      'sessions_begun_total': calls.counts['begun'],
      'sessions_ended_total': calls.counts['ended'],
      'fps': min([call.fps for call in of if call.fps], default=0.0),
      'frames_total': calls.counts['frames'],
      'frames_late_total': calls.counts['late'],
      'windows_total': live.seconds['windows'],
      'stage_seconds_total': {
        f'{{stage="{stage}"}}': spent for stage, spent in {**stages, **self.seconds}.items()
      },
      'first_frame_seconds': live.seconds['first'],
      'queue_seconds': sum(call.session.timeline.waiting for call in of),
      'portraits': portraits.waiting,
      'refused_total': {f'{{status="{key}"}}': count for key, count in self.refused.items()},
      'tasks': len(asyncio.all_tasks()),
      'failures_total': calls.counts['failures'],
    }
    lines = []
    for name, (kind, meaning) in NAMES.items():
      lines += [f'# HELP ifmdm_{name} {meaning}', f'# TYPE ifmdm_{name} {kind}']
      rows = values[name] if isinstance(values[name], dict) else {'': values[name]}
      lines += [f'ifmdm_{name}{labels} {value:.6g}' for labels, value in rows.items()]
    return '\n'.join(lines) + '\n'
