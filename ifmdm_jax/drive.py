"""From files to a file: a film, or a track of face units, drives the face of a picture.

`make` takes a film, of a picture or of a person who is known; `enact` a track, see `track`.
"""

import inspect
import itertools
import pathlib
import time

import numpy as np
from tqdm import tqdm

import ifmdm_jax as ifm
from ifmdm_jax import files, media, read, talk
from ifmdm_jax import track as units
from ifmdm_jax.clip import Clip
from ifmdm_jax.errors import InputError, note
from ifmdm_jax.face.crop import Paster, crop_square, cut
from ifmdm_jax.face.landmarker import FaceLandmarker
from ifmdm_jax.files import check_output
from ifmdm_jax.generator import Reenacts
from ifmdm_jax.systems.vlogger import flame as flames
from ifmdm_jax.trust.origin import DEFAULT
from ifmdm_jax.video import image as images
from ifmdm_jax.video import provenance as says
from ifmdm_jax.video import read as films

SIZE = 512  # side of the squares, pixels


class Film:
  """Squares around the largest face of a film, a sequence that is cut anew each time it is read.

  Frames without a face are the last one before that has one, or, at the start, the first.

  Attributes:
    landmarks: float32 [T, 468, 2], pixels of the squares.
  """

  def __init__(self, path):
    """Reads where the face is.

    Raises:
      InputError: there is no film, no face in it, or too small a one.
    """
    self._path, shapes = path, []

    def seen():
      for frame in tqdm(films.frames(path), unit='frame', desc='reading', disable=None):
        shapes[:] = [frame.shape]
        yield frame

    track = FaceLandmarker().track(seen())
    found = np.flatnonzero(np.isfinite(track).all((1, 2)))
    if not len(found):
      raise InputError(f'expected a clearly visible face, {path} shows none: use another film')
    self._square = x0, y0, side = crop_square(track, shapes[0])
    if side < 2 * read.SMALLEST_FACE:
      raise InputError(
        f'expected a face of {read.SMALLEST_FACE} pixels or more, {path} has one of {side // 2}: '
        'use a larger film'
      )
    before = np.maximum(np.searchsorted(found, np.arange(len(track)), side='right') - 1, 0)
    self._shown = found[before]
    if len(found) < len(track):
      note(
        f'{len(track) - len(found)} of {len(track)} frames of {path} show no face: the one before '
        'is held there'
      )
    places = (track[self._shown] - (x0, y0)) / side
    self.landmarks = np.float32(places * SIZE)

  def __len__(self):
    return len(self._shown)

  def __iter__(self):
    """Yields uint8 [512, 512, 3]."""
    square, wanted = None, iter(self._shown)  # which never goes back
    ahead = next(wanted)
    for number, frame in enumerate(films.frames(self._path)):
      if number == ahead:
        square = cut(frame, self._square, SIZE)
      while ahead is not None and ahead <= number:
        yield square
        ahead = next(wanted, None)

  def __getitem__(self, which):
    """Returns a frame, or an array of those of a slice; all before them are read, too."""
    if isinstance(which, slice):
      frames = itertools.islice(self, *which.indices(len(self)))
      return np.stack(list(frames))
    number = range(len(self))[which]
    return next(itertools.islice(self, number, None))


def make(
  film, output=None, image=None, checkpoint=None, *, load=None, own=False, crop='auto', face=None,
  paste_back=False, overwrite=False, max_pixels=images.MAX_PIXELS, provenance=DEFAULT, **options,
):  # fmt: skip
  """Writes a video of a face that moves as the one in a film does, with the film's sound.

  Args:
    film: file of the driver; any that FFmpeg decodes. The largest face of every frame counts.
    output: file to write, *.mp4; by default beside the film.
    image: file of the portrait; not needed by weights that know a person.
    checkpoint: weights, see `ifmdm_jax.load`.
    load: options of that, a mapping.
    own: whether the film shows the person of the portrait.
    crop, face: see `ifmdm_jax.read_portrait`.
    paste_back: put the moving square back into the whole picture.
    overwrite: whether the output may exist.
    max_pixels: of a picture that is read.
    provenance: what the video says about its origin, `trust.origin.Options`.
    options: of the generator's `reenact`.

  Returns:
    `talk.Result`.
  """
  film, image = (each and pathlib.Path(each).expanduser() for each in (film, image))
  files.check(film, 'a film')
  if image:
    files.check(image, 'a picture')
  output = check_output(output or talk.beside(film), [film, *filter(None, [image])], overwrite)
  talk.check_checkpoint(checkpoint)
  generator = ifm.load(checkpoint, **(load or {}))
  if not isinstance(generator, Reenacts):
    raise InputError(
      f'expected weights that a film can drive, {generator.name} cannot be: pass --audio, or '
      'another --checkpoint'
    )
  _check_options(generator, generator.reenact, 'film', options)
  picture = talk.read_picture(image, paste_back, crop=crop, face=face, max_pixels=max_pixels)
  talk.check_picture(generator, picture)
  driver = Film(film)
  portrait = None if picture is None else picture.portrait()
  clip = Clip(name=film.name, image=portrait, frames=driver, landmarks=driver.landmarks)
  blocks = generator.reenact(clip, own=own, **options)
  sound = (film, None) if _has_sound(film) else None
  used = talk.inputs(portrait=image, motion=film)
  pasted = picture if paste_back else None
  return _write(output, blocks, len(driver), pasted, sound, checkpoint, provenance, used)


def enact(
  driver, output=None, image=None, checkpoint=None, *, load=None, sound=None, track=None, fps=None,
  flame=None, crop='auto', face=None, paste_back=False, overwrite=False,
  max_pixels=images.MAX_PIXELS, provenance=DEFAULT, **options,
):  # fmt: skip
  """Writes a video of a face that does what a track of face units says.

  Args:
    driver: file of the track, see `track.read`; with `flame` of FLAME's numbers.
    output: file to write, *.mp4; by default beside the track.
    image: file of the portrait.
    checkpoint: weights, see `ifmdm_jax.load`.
    load: options of that, a mapping.
    sound: file whose sound the video gets; None: it is silent.
    track: which sound track of it.
    fps: moments of the track a second; None: as its file says.
    flame: folder that `import_weights --kind flame` wrote.
    crop, face, paste_back, overwrite, max_pixels, provenance: see `make`.
    options: of the generator's `enact`.

  Returns:
    `talk.Result`.

  Raises:
    InputError: a file is not what it should be, or the weights cannot be driven by a track.
  """
  paths = [each and pathlib.Path(each).expanduser() for each in (driver, image, sound)]
  driver, image, sound = paths
  files.check(driver, 'a track of face units')
  for path, what in ((image, 'a picture'), (sound, 'a file with sound')):
    if path:
      files.check(path, what)
  output = check_output(output or driver.with_suffix('.mp4'), list(filter(None, paths)), overwrite)
  talk.check_checkpoint(checkpoint)
  played = (
    units.read(driver, fps) if flame is None else flames.read(flames.load(flame), driver, fps)
  )
  generator = ifm.load(checkpoint, **(load or {}))
  if not isinstance(generator, units.Enacts):
    raise InputError(
      f'expected weights that face units can drive, {generator.name} cannot be: pass --system '
      'vlogger'
    )
  _check_options(generator, generator.enact, 'track', options)
  picture = talk.read_picture(image, paste_back, crop=crop, face=face, max_pixels=max_pixels)
  talk.check_picture(generator, picture)
  blocks = generator.enact(None if picture is None else picture.portrait(), played, **options)
  voice = (sound, track) if sound else None
  used = talk.inputs(portrait=image, motion=driver, voice=sound)
  pasted = picture if paste_back else None
  return _write(output, blocks, len(played.units), pasted, voice, checkpoint, provenance, used)


def _write(output, blocks, count, pasted, sound, checkpoint, provenance, used):
  """Writes the video of a driven face, pasted back into a `read.Picture` if there is one."""
  start = time.monotonic()
  paster = None if pasted is None else Paster(pasted.pixels, pasted.square)
  tags = says.metadata(checkpoint=str(checkpoint or 'bundled'))
  origin = provenance.origin(real_pixels=pasted is not None, inputs=used)
  written = talk.write(output, blocks, paster, sound, count, tags, origin)
  return talk.Result(output, written, time.monotonic() - start)


def _has_sound(path):
  try:
    with media.opened(path, 'audio'):
      return True
  except media.MissingStream:
    return False


def _check_options(generator, draw, driver, options):
  """Raises InputError where `draw`, `reenact` or `enact` of a generator, takes no such option."""
  known = inspect.signature(draw).parameters
  unknown = [name for name in options if name not in known]
  if unknown:
    raise InputError(
      f'expected options that {generator.name} has when a {driver} drives it, got '
      f'--{", --".join(unknown)}: leave that out'
    )
