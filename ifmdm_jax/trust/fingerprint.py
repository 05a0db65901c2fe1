"""Computes the fingerprint of a video: the ISCC Video-Code, which alike pictures have alike.

Unlike the mark it is not in the pixels, and so cannot be washed out of them: who keeps codes finds
the video again that one was made of. Needs the extra `fingerprint`: FFmpeg's filter of MPEG-7
signatures, which the FFmpeg inside `av` is built without, and the package iscc-lib.
"""

import importlib.util
import pathlib
import re
import subprocess
import tempfile

from ifmdm_jax import errors
from ifmdm_jax.errors import note

ALGORITHM = 'io.iscc.v0'  # its name on the list of the C2PA
FPS = 5  # of the frames that are looked at, as the standard's reference does
ELEMENTS = 380  # of a frame's signature, each 0, 1 or 2
_FRAME = re.compile(r'<FrameSignature>([\d\s]+)</FrameSignature>')


def available():
  """Tells whether the extra is installed."""
  return all(importlib.util.find_spec(name) for name in ('iscc_lib', 'imageio_ffmpeg'))


def compute(path):
  """Computes the code of a video, 'ISCC:...' of 64 bits, or None, with a note, where it fails."""
  import imageio_ffmpeg  # an extra

  with tempfile.TemporaryDirectory() as folder:
    with errors.explained('a video', path):
      source = pathlib.Path(path).resolve(strict=True)
    # A name without a path: the filter's words have signs of their own for what paths may hold.
    words = [
      imageio_ffmpeg.get_ffmpeg_exe(), '-hide_banner', '-loglevel', 'error', '-nostdin',
      '-i', f'file:{source}', '-an',
      '-vf', f'fps={FPS},signature=format=xml:filename=signature.xml', '-f', 'null', '-',
    ]  # fmt: skip
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    result = pathlib.Path(folder) / 'signature.xml'
    frames = signatures(result.read_text()) if result.exists() else []
  if done.returncode or not frames:
    said = (done.stderr.splitlines() or ['no signature'])[-1]
    note(f'no fingerprint of {source.name}: {said:.200}')
    return None
  return code(frames)


def signatures(text):
  """Reads the signatures of frames out of FFmpeg's XML: [T] of 380 numbers."""
  found = [tuple(map(int, each.split())) for each in _FRAME.findall(text)]
  return [each for each in found if len(each) == ELEMENTS]


def code(frames):
  """Computes the Video-Code of `signatures`."""
  import iscc_lib  # an extra

  return iscc_lib.gen_video_code_v0(frames, bits=64).iscc


def distance(one, other):
  """Counts the bits of 64 in which two codes differ."""
  import iscc_lib  # an extra

  first, second = (int.from_bytes(iscc_lib.iscc_decode(each)[4], 'big') for each in (one, other))
  return (first ^ second).bit_count()
