"""What decides a result, and the folder that is left of one source.

output/videos/KEY/               appears at once and whole, so a killed run goes on from here
  result.json                      source, its checksum, kept and dropped tracks with numbers
  000.frames                       the frames of track 0, see `pipeline.frames`
  000.npz                          landmarks, squares; 000.flac: the sound, 16 kHz mono, in sync
  000.matte                        with --matte: where the person is
  000.jpg, d000.jpg                pictures of a kept and a dropped track, for the report
"""

import contextlib
import dataclasses
import json
import pathlib
import shutil

from ifmdm_jax import files
from ifmdm_jax.errors import InputError
from ifmdm_jax.pipeline import frames as codec
from ifmdm_jax.pipeline.prep import filters


@dataclasses.dataclass(frozen=True)
class Settings:
  """What decides the result; a source is done anew when one of these changes."""

  size: int = 512  # side of the stored frames, pixels
  face_fraction: float = 0.5  # height of the face as a share of the square
  smoothing: float = 0.0  # seconds over which the square follows the head; 0: it stands still
  longest: float = 20.0  # seconds of a track; longer takes become several
  quality: int = codec.QUALITY  # of the stored frames, see `pipeline.frames`
  keep_silent: bool = False  # keep tracks without sound, for stage 1
  correct_sync: bool = True
  matte: bool = False  # find the person in every frame, for training that blurs the background
  limits: filters.Limits = filters.Limits()
  reader: str = 'landmarker'  # what of `ifmdm_jax.face` reads the landmarks; before, 'mesh'


def folder_of(output, source):
  """Returns the folder of a source in the folder of the whole set."""
  return pathlib.Path(output) / 'videos' / source.key


def describe(source, settings):
  """Describes what a result depends on; another size of file or other settings make it stale."""
  return dict(
    source=source.name,
    key=source.key,
    person=source.person,
    split=source.split,
    licence=source.licence,
    settings=dataclasses.asdict(settings),
    bytes=source.bytes,
    **source.about(),
  )


def finished(output, source, settings, again=False):
  """Returns the result in the folder of a source if it is of this file and these settings.

  One that is to be tried again is finished only if `again`.
  """
  path = folder_of(output, source) / 'result.json'
  if not path.exists():
    return None
  try:
    result = files.read_json(path)
  except InputError:  # it is done anew
    return None
  if not isinstance(result, dict) or (result.get('again') and not again):
    return None
  wanted = json.loads(json.dumps(describe(source, settings)))
  same = result.get('kind', 'film') == source.kind
  return result if same and all(result.get(k) == v for k, v in wanted.items()) else None


def save(folder, result):
  """Writes result.json of a folder."""
  (pathlib.Path(folder) / 'result.json').write_text(json.dumps(result, indent=1) + '\n')


def failed(output, source, settings, reason, value, detail='', again=False):
  """Writes the result of a source that gave nothing: why, and the number behind it.

  With `again` the reason is the machine's, such as a full disk: the next run tries it again, and
  nothing is written where there is no room for it.
  """
  dropped = [dict(source=source.name, reason=reason, value=value, detail=detail)]
  result = dict(describe(source, settings), kept=[], dropped=dropped)
  result |= dict(again=True) if again else {}
  try:
    with fresh_folder(folder_of(output, source)) as folder:
      save(folder, result)
  except (OSError, InputError):
    if not again:
      raise
  return result


@contextlib.contextmanager
def fresh_folder(folder):
  """Yields an empty folder that takes the place of `folder` once all that is in it is written."""
  with files.atomic(folder) as half:
    half.mkdir()
    yield half


def sweep(output):
  """Removes what killed runs left half-made; to be called by who holds the folder alone."""
  places = [*(pathlib.Path(output) / 'videos').glob('.*'), *pathlib.Path(output).glob('.*.tmp*')]
  for path in places:
    if path.is_dir():
      shutil.rmtree(path, ignore_errors=True)
    else:
      path.unlink(missing_ok=True)
