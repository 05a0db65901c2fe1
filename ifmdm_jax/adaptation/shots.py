"""Reads pictures of one person: files, folders, or varied frames of a video."""

import collections
import dataclasses
import pathlib

import cv2
import numpy as np

from ifmdm_jax import read
from ifmdm_jax.errors import InputError, note
from ifmdm_jax.face import crop, points
from ifmdm_jax.face.landmarker import FaceLandmarker
from ifmdm_jax.perception import sface
from ifmdm_jax.video import read as films

SIZE = 512  # side of the pictures, pixels
MOST = 32  # pictures that are learned from
CANDIDATES = 160  # frames of a video that are looked at, spread over it
SAME = 0.363  # cosine of SFace from which on two faces are one person's (OpenCV's figure)
ALIKE = 1.0  # mean difference of two pictures below which one is a copy of the other, of 255
LOOK = 64  # pixels of the copies that are compared
PICTURES = set('.jpg .jpeg .png .webp .avif .heic .heif .bmp .tif .tiff .jp2 .ppm'.split())


@dataclasses.dataclass(frozen=True)
class Shots:
  """Pictures of one person.

  Attributes:
    pictures: uint8 RGB [K, 512, 512, 3], cut as a portrait is.
    landmarks: [K, 468, 2], fractions of the side.
    names: of the K, for messages.
    left_out: {name: why} of those that cannot be used.
  """

  pictures: np.ndarray
  landmarks: np.ndarray
  names: tuple[str, ...]
  left_out: dict[str, str]


def gather(places, *, count=None, mixed=False):
  """Reads the shots in files, folders and videos.

  Args:
    places: paths.
    count: of the pictures at most, the most varied; None: 8 of a video, else 32.
    mixed: take several people.

  Returns:
    `Shots`.

  Raises:
    InputError: there is no path, none of the pictures can be used, all are the same, or they show
      different people.
  """
  paths = _listed(places)
  read_ones, left_out = [], {}
  for path in paths:
    try:
      if path.suffix.lower() in films.SUFFIXES:
        read_ones += _of_film(path, count or 8)
      else:
        picture = read.read_portrait(path, size=SIZE)
        found = _landmarks(picture)
        if found is None:
          raise InputError(f'expected a face, {path} shows none')
        read_ones.append((path.name, picture, found))
    except InputError as error:
      left_out[path.name] = str(error)
  different = _without_copies(read_ones, left_out)
  for name, why in left_out.items():
    note(f'{name} is left out: {why}')
  if not different:
    first = next(iter(left_out.values()), 'there are no pictures in it')
    raise InputError(
      f'expected pictures of a face in {", ".join(map(str, places))}, none of {len(paths)} can be '
      f'used; the first: {first}'
    )
  if len(different) == 1 and len(read_ones) > 1:
    raise InputError(
      f'expected different pictures, all {len(read_ones)} are copies of {different[0][0]}: pass '
      'that one alone, or others'
    )
  if not mixed:
    _check_one_person(different)
  names, pictures, landmarks = zip(*different, strict=True)
  chosen = varied(np.stack(landmarks), min(count or MOST, MOST, len(names)))
  pick = lambda values: np.stack([values[each] for each in chosen])
  return Shots(pick(pictures), pick(landmarks), tuple(names[each] for each in chosen), left_out)


def _listed(places):
  """Lists the files of `places`, those of folders by name."""
  paths = []
  for place in map(pathlib.Path, places):
    if place.is_dir():
      wanted = PICTURES | films.SUFFIXES
      paths += sorted(each for each in place.iterdir() if each.suffix.lower() in wanted)
    elif place.exists():
      paths.append(place)
    else:
      raise InputError(f'expected pictures or a video, there is no {place}: check the path')
  return paths


def _of_film(path, count):
  """Cuts varied frames out of a video: a list of (name, picture, landmarks)."""
  kept, step = collections.deque(), 1
  for number, frame in enumerate(films.frames(path)):
    if number % step == 0:
      kept.append((number, frame))
    if len(kept) > 2 * CANDIDATES:
      kept, step = collections.deque(list(kept)[::2]), 2 * step
  while len(kept) > CANDIDATES:
    kept = collections.deque(list(kept)[::2])
  track = FaceLandmarker().track(frame for _, frame in kept)
  seen = np.flatnonzero(np.isfinite(track).all((1, 2)))
  if not len(seen):
    raise InputError(f'expected a clearly visible face, {path} shows none')
  x0, y0, side = crop.crop_square(track[seen], kept[0][1].shape)
  if side < 2 * read.SMALLEST_FACE:
    raise InputError(
      f'expected a face of {read.SMALLEST_FACE} pixels or more, {path} has one of {side // 2}'
    )
  places = (track - (x0, y0)) / side
  inside = [t for t in seen if (places[t] > 0).all() and (places[t] < 1).all()]
  if not inside:
    raise InputError(f'expected a whole face, the one in {path} is cut by the border')
  chosen = [inside[each] for each in varied(places[inside], min(count, len(inside)))]
  cut = lambda t: crop.cut(kept[t][1], (x0, y0, side), SIZE)
  return [(f'{path.name}, frame {kept[t][0]}', cut(t), places[t]) for t in chosen]


def _landmarks(picture):
  """Finds the face of a portrait [R, R, 3]: [468, 2], fractions of the side, or None."""
  track = FaceLandmarker().track([picture])[0] / len(picture)
  return track if np.isfinite(track).all() else None


def varied(landmarks, count):
  """Chooses faces [N, 468, 2] that differ in lips and pose: numbers, the most usual one first.

  Each next one is the furthest from all that are chosen.
  """
  track = landmarks.astype(np.float64)
  height = np.linalg.norm(track[:, points.FOREHEAD] - track[:, points.CHIN_TIP], axis=-1)
  centred = lambda of: (
    (track[:, of] - track[:, points.RIGID].mean(1, keepdims=True)) / height[:, None, None]
  )
  lips = centred(points.LIPS)
  lips = lips - lips.mean(1, keepdims=True)
  seen = np.concatenate([lips.reshape(len(track), -1) / np.sqrt(lips.shape[1]),
                         0.3 * centred([points.NOSE_TIP])[:, 0]], 1)  # fmt: skip
  away = lambda to: np.linalg.norm(seen - to[None], axis=1)
  chosen = [int(away(np.median(seen, axis=0)).argmin())]
  nearest = away(seen[chosen[0]])
  while len(chosen) < count:
    chosen.append(int(nearest.argmax()))
    nearest = np.minimum(nearest, away(seen[chosen[-1]]))
  return chosen


def _without_copies(shots, left_out):
  """Leaves out what repeats another picture, by name."""
  kept, small = [], []
  for name, picture, landmarks in shots:
    look = cv2.resize(picture, (LOOK, LOOK), interpolation=cv2.INTER_AREA).astype(np.float32)
    twin = next((k for k, other in enumerate(small) if np.abs(look - other).mean() < ALIKE), None)
    if twin is None:
      kept.append((name, picture, landmarks))
      small.append(look)
    else:
      left_out[name] = f'it is a copy of {kept[twin][0]}'
  return kept


def _check_one_person(shots):
  """Raises InputError where a face is not that of the others."""
  if len(shots) < 2:
    return
  try:
    network = sface.SFace()
  except InputError as error:
    note(f'nobody checks whether the pictures show one person: {error}')
    return
  faces = network(np.stack([crop.chip(p, marks * len(p)) for _, p, marks in shots]))
  faces = faces / np.linalg.norm(faces, axis=1, keepdims=True)
  alike = faces @ faces.T
  centre = int(alike.sum(1).argmax())  # most like the others
  others = [f'{shots[k][0]} ({alike[centre, k]:.2f})' for k in np.flatnonzero(alike[centre] < SAME)]
  if others:
    raise InputError(
      f'expected pictures of one person; held against {shots[centre][0]}, another seems to be in '
      f'{", ".join(others)}: the cosine of SFace is below {SAME}. Take them away, or pass --mixed'
    )
