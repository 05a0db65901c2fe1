"""Reads what people have: a picture with a face in it, and a file with sound."""

from typing import NamedTuple

import cv2
import numpy as np

from ifmdm_jax import media
from ifmdm_jax.audio import sound, waveform
from ifmdm_jax.errors import InputError, note
from ifmdm_jax.face.crop import crop_square, cut
from ifmdm_jax.face.detect import FaceDetector
from ifmdm_jax.face.mesh import FaceMesh
from ifmdm_jax.rates import SAMPLE_RATE
from ifmdm_jax.video import image as images

SILENCE = 1e-4  # peak, -80 dB
SMALLEST_FACE = 32  # pixels
PRESENT = 0.2  # probability of a face under which what was found is none
CUT = 0.2  # share of a face beyond the border from which it is said to be cut
EYES_NOSE_MOUTH = [33, 263, 1, 61, 291]  # points of the mesh that have to be in the picture
LOOK = 160  # pixels: copy of a face and what is around it that is turned four ways
UPRIGHT = 0.02  # score by which a turned face has to be better seen than the one as it is


class Picture(NamedTuple):
  """A picture and the square of it that is animated."""

  pixels: np.ndarray  # uint8 [H, W, 3]
  square: tuple[int, int, int]  # x0, y0, side
  faces: int = 1  # that can be chosen from

  def portrait(self, size=512):
    """Cuts the square out: uint8 [size, size, 3]."""
    return cut(self.pixels, self.square, size)


def read_portrait(path, *, face=None, crop='auto', size=512, max_pixels=images.MAX_PIXELS):
  """Reads the square around a face.

  Args:
    path: a picture, see `video.image.read_image`.
    face: which one, 1 is the largest; None: the largest.
    crop: 'auto', or 'none': the picture is square and is taken as it is.
    size: side of the result, pixels.
    max_pixels: of a picture that is read.

  Returns:
    uint8 RGB [size, size, 3].

  Raises:
    InputError: there is no picture or too large a one, no such face in it, or the face is too
      small, lies on its side or is cut by the border.
  """
  return read_picture(path, face=face, crop=crop, max_pixels=max_pixels).portrait(size)


def read_picture(path, *, face=None, crop='auto', largest=None, max_pixels=images.MAX_PIXELS):
  """Reads a `Picture`; see `read_portrait`.

  Args:
    path, face, crop, max_pixels: as there.
    largest: side that a larger picture is brought to, pixels.
  """
  pixels = images.read_image(path, max_pixels)
  scale = (largest or np.inf) / max(pixels.shape[:2])
  if scale < 1:
    pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
  height, width = pixels.shape[:2]
  if crop == 'auto':
    return Picture(pixels, *_find(pixels, face, path))
  if height != width:
    raise InputError(
      f'expected a square picture with --crop none, {path} is {width} x {height}: '
      'cut it to a square, or use --crop auto'
    )
  return Picture(pixels, (0, 0, width))


def find_square(pixels, face=None, name='the picture'):
  """Finds the square (x0, y0, side) around a face of a picture uint8 RGB [H, W, 3].

  Args:
    pixels: the picture.
    face: which one, 1 is the largest; None: the largest.
    name: of the picture, in messages.
  """
  return _find(pixels, face, name)[0]


def _find(pixels, face, name):
  """Returns the same, and how many faces there are."""
  detector, mesh = FaceDetector(smallest=SMALLEST_FACE), FaceMesh()
  boxes = detector(pixels)
  if not boxes:
    raise InputError(
      f'expected a clearly visible face, {name} shows none that the detector finds: '
      'use another picture, or --crop none if it is a square portrait'
    )
  if face is None and len(boxes) > 1:
    note(f'{len(boxes)} faces found, taking the largest; --face 1 to {len(boxes)} picks another')
  if not 1 <= (face or 1) <= len(boxes):
    raise InputError(
      f'expected --face 1 to {len(boxes)}, got {face}: {name} shows '
      f'{len(boxes)} face{"s" * (len(boxes) > 1)}, the largest first'
    )
  box = boxes[(face or 1) - 1]
  _check_upright(pixels, box, detector, name)
  points, presence = mesh.landmarks(pixels, box)
  if presence < PRESENT:
    raise InputError(
      f'expected a clearly visible face, what looks like one in {name} is none, or is covered: use '
      'another picture, or --crop none if it is a square portrait'
    )
  beyond = ((points < 0) | (points > pixels.shape[1::-1])).any(1)
  if beyond.mean() > CUT or beyond[EYES_NOSE_MOUTH].any():
    raise InputError(
      f'expected a whole face, the one in {name} is cut by the border of the picture: use one '
      'with all of the face'
    )
  x0, y0, side = crop_square(points, pixels.shape)
  if side < 2 * SMALLEST_FACE:
    raise InputError(
      f'expected a face of {SMALLEST_FACE} pixels or more, {name} has one of {side // 2}: use a '
      'larger picture'
    )
  if side < 256:
    note(f'the face is only {side // 2} pixels high: the result will be soft')
  return (x0, y0, side), len(boxes)


def _check_upright(pixels, face, detector, name):
  """Raises InputError where a face is seen better when the picture is turned."""
  side = round(3 * max(face.box[2:]))
  x, y = np.round(face.box[:2] + face.box[2:] / 2 - side / 2).astype(int).tolist()
  around = cut(pixels, (x, y, side), min(side, LOOK))
  found = [detector.look(np.rot90(around, turns), LOOK) for turns in range(4)]
  scores = [faces[0].score if faces else 0.0 for faces in found]
  turns = int(np.argmax(scores))
  if turns and scores[turns] > scores[0] + UPRIGHT:
    way = ('by 90 degrees to the left', 'by 180 degrees', 'by 90 degrees to the right')[turns - 1]
    raise InputError(
      f'expected an upright face, the one in {name} is turned: turn the picture {way}'
    )


def read_voice(path, rate=None, *, track=None):
  """Reads a sound file, or the sound of a video; a silent one is allowed, with a note.

  Notes also say what is missing or damaged, and stands as silence; what comes after it is heard at
  its time.

  Args:
    path: any file that FFmpeg decodes.
    rate: Hz, to have it mono at this rate; None: as it was recorded.
    track: which of several sound tracks, 1 is the first; None: the one that is marked as default.

  Returns:
    (float32 [L] or [L, 2], its rate in Hz).

  Raises:
    InputError: there is no sound, or it cannot be used.
  """
  flaws = media.Flaws()
  if rate:
    voice = sound.audio(path, rate, track, flaws)
  else:
    voice, rate = sound.read(path, track, flaws)
  voice = waveform.check(voice, rate)
  _say(path, track, flaws, float(np.abs(voice).max()))
  return voice, rate


def voice_length(path, *, track=None):
  """Counts a voice's samples at 16 kHz, checked like `read_voice` in memory that is bounded."""
  count, peak, flaws = 0, 0.0, media.Flaws()
  for block in sound.mono_blocks(path, SAMPLE_RATE, track, flaws):
    count, peak = count + len(block), max(peak, float(np.abs(block).max(initial=0)))
  if count < SAMPLE_RATE or peak > 64:  # it has to be said
    return len(read_voice(path, SAMPLE_RATE, track=track)[0])
  _say(path, track, flaws, peak)
  return count


def _say(path, track, flaws, peak):
  """Notes what somebody should know about a voice before its video is made."""
  if flaws.tracks > 1 and track is None:
    note(f'{path} has {flaws.tracks} sound tracks, taking number {flaws.track}; --track picks one')
  if flaws.sentence():
    note(f'{path}: {flaws.sentence()}; silence stands there')
  if peak < SILENCE:
    note(f'{path} is silent: the lips will rest')
