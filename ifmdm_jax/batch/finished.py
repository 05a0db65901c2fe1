"""Which job a video is of: a digest of what it is made from, kept in the video itself.

So there is no list beside the videos that could be lost, or say something else than they do: a
video that has its name is whole, and tells what it was made from.
"""

import functools
import hashlib
import json
import pathlib
import re

from ifmdm_jax import errors, media
from ifmdm_jax.errors import InputError

TAG = re.compile(r'(?:^|; )job=([0-9a-f]{32})(?:;|$)')
KEPT = 256  # digests of files that are remembered


def key(facts, **paths):
  """Computes the digest of a job.

  Args:
    facts: what else than files it depends on, as JSON can say it.
    paths: files that it is made from, or None, by their roles.

  Returns:
    32 hexadecimal digits.

  Raises:
    InputError: a file cannot be read.
  """
  inputs = {role: path and digest(path) for role, path in paths.items()}
  text = json.dumps([facts, inputs], sort_keys=True)
  return hashlib.sha256(text.encode(errors='surrogateescape')).hexdigest()[:32]


def digest(path):
  """Computes the SHA-256 of a file; the last few hundred are remembered while they stay."""
  path = pathlib.Path(path)
  with errors.explained('a file', path):
    about = path.stat()
    return _digest(str(path), about.st_size, about.st_mtime_ns, about.st_ino)


@functools.lru_cache(KEPT)
def _digest(path, *_):
  with open(path, 'rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()


def of_weights(folder):
  """Computes the digest of all files in or under a folder, their names among it."""
  whole, folder = hashlib.sha256(), pathlib.Path(folder)
  for path in sorted(path for path in folder.rglob('*') if path.is_file()):
    whole.update(f'{path.relative_to(folder).as_posix()} {digest(path)}\n'.encode())
  return whole.hexdigest()


def read(path):
  """Reads a video's job and counts its frames: (32 digits, or None where it is no job's; frames).

  What cannot be read is no job's either.
  """
  try:
    with media.opened(path, 'video') as (container, stream):
      found = TAG.search(container.metadata.get('description', ''))
      return found and found[1], stream.frames
  except (InputError, OSError):
    return None, 0
