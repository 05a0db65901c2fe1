"""Faces that sessions may have: those of a folder by name, and those that clients upload."""

import asyncio
import pathlib
import secrets
import tempfile
import time

from ifmdm_jax import read
from ifmdm_jax.errors import InputError
from ifmdm_jax.server.limits import Refused

SUFFIXES = {'.jpg', '.jpeg', '.png', '.webp', '.avif', '.heic'}
UPLOADED = 'up_'  # what the names of uploads begin with
FLAGS = ', or --crop none if it is a square portrait', ', or raise --max_pixels'


class Portraits:
  """Pictures by name.

  What a client says is looked up, and never becomes a path. An upload is decoded at once; only its
  pixels are kept, for the session that takes it or until a time has passed.
  """

  def __init__(self, folder, size, limits, clock=time.monotonic):
    """Reads the folder's list.

    Args:
      folder: of pictures, each named as its file without the suffix; None: there are none.
      size: side that they are brought to, pixels.
      limits: `limits.Limits`.
      clock: () -> seconds.

    Raises:
      InputError: there is no such folder, or no picture in it.
    """
    self.size, self.limits, self.clock = size, limits, clock
    self._paths, self._read, self._uploads = _listed(folder), {}, {}
    self._one = asyncio.Lock()  # decoding takes memory

  @property
  def names(self):
    """Names of the folder's pictures."""
    return sorted(self._paths)

  @property
  def waiting(self):
    """Number of uploads that no session has taken."""
    self._forget()
    return len(self._uploads)

  async def add(self, body, face=None):
    """Takes an uploaded picture; returns its name, and how many faces it shows.

    Args:
      body: bytes of a picture.
      face: which one, 1 is the largest; None: the largest.

    Raises:
      InputError: it is none, or shows no face that can be used.
      Refused: too many are waiting.
    """
    self._check_room()
    pixels, faces = await self.decoded(body, face)
    self._check_room()  # others may have been quicker
    name = UPLOADED + secrets.token_urlsafe(16)
    self._uploads[name] = pixels, self.clock()
    return name, faces

  async def decoded(self, body, face=None):
    """Decodes a picture of a client: uint8 [size, size, 3], and how many faces it shows.

    Raises:
      InputError: see `add`.
    """
    async with self._one:
      return await asyncio.to_thread(self._decode, body, face)

  async def get(self, name):
    """Returns the pixels of a portrait by its name, uint8 [size, size, 3].

    Raises:
      Refused: there is none of that name.
    """
    self._forget()
    if not isinstance(name, str):
      raise Refused(400, 'expected the name of a portrait, got none: GET /portraits lists them')
    if name in self._uploads:
      return self._uploads[name][0]
    if name not in self._paths:
      raise Refused(
        404,
        'expected a portrait that is there, this one is not, or not any more: GET /portraits '
        'lists names, POST /portraits uploads one',
      )
    if name not in self._read:
      async with self._one:
        path = self._paths[name]
        self._read[name] = await asyncio.to_thread(read.read_portrait, path, size=self.size)
    return self._read[name]

  def drop(self, name):
    """Forgets an upload; says whether there was one."""
    return self._uploads.pop(name, None) is not None

  def _check_room(self):
    if self.waiting >= self.limits.portraits:
      raise Refused(503, f'{self.limits.portraits} portraits are waiting already: try again later')

  def _forget(self):
    now = self.clock()
    for name, (_, since) in list(self._uploads.items()):
      if now - since > self.limits.keep:
        del self._uploads[name]

  def _decode(self, body, face):
    with tempfile.TemporaryDirectory(prefix='ifmdm_upload_') as folder:
      path = pathlib.Path(folder) / 'upload'
      path.write_bytes(body)
      try:
        picture = read.read_picture(path, face=face, max_pixels=self.limits.pixels)
        return picture.portrait(self.size), picture.faces
      except InputError as error:
        line = str(error).replace(str(path), 'the upload')
    for flag in FLAGS:  # clients of a server have none
      line = line.replace(flag, '')
    line = line.replace('--face', 'face')
    raise InputError(line)


def _listed(folder):
  if folder is None:
    return {}
  folder = pathlib.Path(folder).expanduser()
  if not folder.is_dir():
    raise InputError(f'expected a folder of portraits, {folder} is none: check --portraits')
  found = {
    path.stem: path
    for path in sorted(folder.iterdir())
    if path.suffix.lower() in SUFFIXES and path.name[0] != '.' and path.is_file()
  }
  if not found:
    raise InputError(f'expected portraits, the folder {folder} holds none: check --portraits')
  return found
