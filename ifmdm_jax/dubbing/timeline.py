"""Says which frame of a film is shown when, also where the voice goes on after its end."""

from typing import NamedTuple

import numpy as np

LONGER = 'hold', 'loop', 'pingpong', 'cut'


class Timeline(NamedTuple):
  """The frames of a result.

  Attributes:
    numbers: int [N], of the film's frames, in the order in which they are shown.
    times: float64 [N], seconds at which they appear.
    end: seconds at which the last one ends.
  """

  numbers: np.ndarray
  times: np.ndarray
  end: float


def plan(times, end, voice, longer='hold'):
  """Plans the result of a film and a voice.

  A film that is longer than the voice keeps its length. One that is shorter: 'hold' shows its last
  frame until the voice ends, 'loop' begins again, 'pingpong' runs back and forth, and 'cut' ends
  with the film.

  Args:
    times: float64 [T], of the film's frames, seconds.
    end: of its last one.
    voice: seconds.
    longer: of LONGER.

  Returns:
    `Timeline`.
  """
  count, spacing = len(times), end - times[-1]
  numbers, shown = [np.arange(count)], [times]
  if longer == 'cut' or voice <= end + spacing / 2:
    return Timeline(numbers[0], times, end)
  if longer == 'hold':
    more = int(np.ceil((voice - end) / spacing - 1e-6))
    numbers.append(np.full(more, count - 1))
    shown.append(end + spacing * np.arange(more))
  ends, start, back = np.append(times[1:], end), end, longer == 'pingpong'
  while longer != 'hold' and start < voice:
    numbers.append(np.arange(count)[::-1] if back else np.arange(count))
    # Backwards a frame appears as long before the turn as it ended before the film's end.
    shown.append(start + (end - ends[::-1] if back else times - times[0]))
    start += end - times[0]
    back = longer == 'pingpong' and not back
  numbers, shown = np.concatenate(numbers), np.concatenate(shown)
  kept = max(count, int(np.searchsorted(shown, voice - 1e-6)))
  last = shown[kept] if kept < len(shown) else max(voice, shown[-1] + spacing)
  return Timeline(numbers[:kept], shown[:kept], float(last))
