"""Tells the people of a film apart, and chooses the one who gets new lips."""

import dataclasses

import numpy as np
import scipy.ndimage

from ifmdm_jax.audio import sound
from ifmdm_jax.dubbing.faces import Reading, Track
from ifmdm_jax.errors import InputError, note
from ifmdm_jax.face import points
from ifmdm_jax.face.track import overlap
from ifmdm_jax.rates import SAMPLE_RATE

WHO = 'left', 'right', 'largest', 'speaking'
PIECE = 1000  # records that are read at a time
STAYED, AWAY = 0.3, 75  # overlap and frames within which a lost face that comes back is the same
LEVELS = 50  # of the sound, a second
SPREAD = 0.2  # seconds over which movement and loudness are smoothed


@dataclasses.dataclass
class Person:
  """One person of a film.

  Attributes:
    tracks: of the face.
    identity: sum of their identities, weighted by their lengths.
    seen: frames, each counted by the height of the face in it, pixels.
    middle: of the face across the film as shown, median, pixels.
    speaking: how well the mouth moves with the sound of the film, any unit.
  """

  tracks: list[Track]
  identity: np.ndarray
  seen: float = 0.0
  middle: float = 0.0
  speaking: float = 0.0


def tell_apart(reading: Reading):
  """Lists the people of a film, the one who is seen most and largest first."""
  people = []
  for track in sorted(reading.tracks, key=lambda track: -len(track.rows)):
    best, likeness = None, reading.recognised
    for person in people:
      score = _likeness(person, track)
      if score >= likeness:
        best, likeness = person, score
    if best is None:
      best = Person([], np.zeros_like(track.identity))
      people.append(best)
    best.tracks.append(track)
    best.identity = best.identity + len(track.rows) * track.identity
  for person in people:
    _measure(person, reading)
  return sorted(people, key=lambda person: -person.seen)


def _likeness(person, track):
  """Returns the cosine, 1 for a face that comes back to its place, -1 for two faces at once."""
  if any(t.start < track.stop and track.start < t.stop for t in person.tracks):
    return -1.0
  for other in person.tracks:
    first, then = sorted((other, track), key=lambda t: t.start)
    near = first.take == then.take and then.start - first.stop < AWAY
    if near and overlap(first.last, then.first) > STAYED:
      return 1.0
  return float(person.identity @ track.identity / max(np.linalg.norm(person.identity), 1e-6))


def _measure(person, reading):
  middles, seen = [], 0.0
  for _, landmarks in _pieces(person, reading):
    face = landmarks[:, : points.POINTS, :2]
    across = face[:, points.FOREHEAD] - face[:, points.CHIN_TIP]
    seen += float(np.linalg.norm(across, axis=1).sum())
    middles.append((face[..., 0].min(1) + face[..., 0].max(1)) / 2)
  person.seen, person.middle = seen, float(np.median(np.concatenate(middles)))


def _pieces(person, reading):
  """Yields (number of the first frame, landmarks [n, 478, 3]) of all tracks."""
  for track in person.tracks:
    for start in range(0, len(track.rows), PIECE):
      yield track.start + start, reading.landmarks(track.rows[start : start + PIECE])


def choose(people, reading, film, face=None, who=None):
  """Chooses whose lips are new.

  Args:
    people: of `tell_apart`.
    reading: of the film.
    film: `film.Film`.
    face: its number, 1 is the first of `people`; None: as `who` says.
    who: of WHO; None: the first of `people`.

  Returns:
    The number of one of `people`, from 0 on; None: nobody is there, and nobody was asked for.

  Raises:
    InputError: there is no such one, or the film has no sound to speak to.
  """
  if not people and face is None and who is None:
    return None  # all passes as it is
  if not people:
    raise InputError(
      f'expected a face in {film.path}, none is found in any frame: use another film'
    )
  count = len(people)
  if face is not None and not 1 <= face <= count:
    raise InputError(
      f'expected --face 1 to {count}, got {face}: {film.path} shows {count} '
      f'{"person" if count == 1 else "people"}, the one who is seen most first'
    )
  if face is not None:
    return face - 1
  if who is None and count > 1:
    note(
      f'{count} people found, taking the one who is seen most; --face 1 to {count}, or --who '
      f'{", ".join(WHO)}, picks another'
    )
  if who == 'speaking':
    _listen(people, reading, film)
  key = {'left': lambda p: p.middle, 'right': lambda p: -p.middle,
         'speaking': lambda p: -p.speaking}.get(who, lambda p: -p.seen)  # fmt: skip
  return min(range(count), key=lambda number: key(people[number]))


def listed(people, film, chosen):
  """Lists the people of a film for a report: {face, seconds, chosen} of each."""
  return [
    dict(
      face=number + 1,
      seconds=round(sum(len(track.rows) for track in person.tracks) / float(film.rate), 2),
      chosen=number == chosen,
    )
    for number, person in enumerate(people)
  ]


def _listen(people, reading, film):
  """Measures for each person how well the mouth moves with the sound of the film."""
  level = _level(film.path)
  for person in people:
    moved, heard = [], []
    for track in person.tracks:
      opening = np.concatenate([
        points.mouth_opening(reading.landmarks(track.rows[start : start + PIECE])[..., :2])
        for start in range(0, len(track.rows), PIECE)
      ])  # fmt: skip
      times = film.times[track.start : track.stop]
      rate = float(film.rate)
      moved.append(scipy.ndimage.gaussian_filter1d(
        np.abs(np.gradient(opening)) if len(opening) > 1 else np.zeros(1), SPREAD * rate
      ))  # fmt: skip
      heard.append(np.interp(times, np.arange(len(level)) / LEVELS, level))
    moved, heard = np.concatenate(moved), np.concatenate(heard)
    # How much more it moves while there is sound, weighted by how long the person is seen.
    together = ((moved - moved.mean()) * (heard - level.mean())).mean()
    person.speaking = float((together + 0.5 * (moved * heard).mean()) * np.sqrt(len(moved)))


def _level(path):
  """Measures how loud a film is, LEVELS numbers a second, smoothed."""
  hop, rest, levels = SAMPLE_RATE // LEVELS, np.zeros(0, np.float32), []
  for block in sound.mono_blocks(path):
    block = np.concatenate([rest, block])
    whole = len(block) // hop * hop
    levels.append(np.sqrt((block[:whole].reshape(-1, hop) ** 2).mean(1)))
    rest = block[whole:]
  level = np.concatenate(levels) if levels else np.zeros(1)
  return scipy.ndimage.gaussian_filter1d(level if len(level) else np.zeros(1), SPREAD * LEVELS)
