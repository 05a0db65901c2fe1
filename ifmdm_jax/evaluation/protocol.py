"""Which clips a table is about: read from a JSON file, opened, checked by their hashes.

  {"name": "val_shared", "root": "../../clips", "size": 512, "crop": "none", "seeds": [0, 1],
   "clips": [{"video": "a.mp4", "start": 0, "seconds": 5, "person": "p01", "sha256": "..."}]}

`root` is absolute or relative to the file, `video` relative to the root, and a pattern where the
name itself should not be published ("clips/005_*.mp4"). Optional: `crop` ("none": the clips are
square already; "face": a fixed square around the face), `start` (0), `seconds` (to the end), `name`
(the file's stem), `sha256`; for generators that need them, `text` (what is said) and `shots` (a
pattern of square pictures of the person). Of the seeds the first makes the videos that are scored,
all of them the spread over samples. `voices`, see `Voices`, says what else is listened to. `kind`
("talk"): "dub" scores films that get new lips, see `suite`.
"""

import dataclasses
import hashlib
import itertools
import pathlib
import re

import numpy as np

from ifmdm_jax import errors, files, media
from ifmdm_jax.audio import waveform as waveforms
from ifmdm_jax.clip import Clip
from ifmdm_jax.errors import InputError
from ifmdm_jax.evaluation.types import Reference
from ifmdm_jax.face.crop import crop_square, cut, resized
from ifmdm_jax.rates import FPS, SAMPLE_RATE
from ifmdm_jax.video import image
from ifmdm_jax.video import read as video

KINDS = ('talk', 'dub')  # the first is the default
LARGEST = 4096  # pixels of a side
# ISO 639-1
LANGUAGES = {
  'en': 'English', 'de': 'German', 'fr': 'French', 'es': 'Spanish', 'it': 'Italian',
  'pt': 'Portuguese', 'ru': 'Russian', 'ja': 'Japanese', 'zh': 'Mandarin',
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Entry:
  """One line of a protocol."""

  video: str
  person: str
  name: str
  start: float = 0.0
  seconds: float | None = None
  sha256: str | None = None
  text: str | None = None
  shots: str | None = None


@dataclasses.dataclass(frozen=True)
class Voices:
  """Sounds besides the clips' own that portraits are moved by, without drawing it; see `undrawn`.

  Attributes:
    seconds: of a long voice, the clips' own one after the other.
    piece: seconds of what is compared within it.
    silence: seconds of silence.
    streaming: sample as for a voice that is still arriving.
    languages: {code: sound files}, relative to the root; 'en' is what the others are held against.
  """

  seconds: float = 60.0
  piece: float = 20.0
  silence: float = 20.0
  streaming: bool = False
  languages: dict[str, list[str]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Protocol:
  """A protocol file, checked; `root` is absolute."""

  name: str
  root: pathlib.Path
  size: int
  crop: str
  seeds: tuple[int, ...]
  clips: tuple[Entry, ...]
  voices: Voices = Voices()
  kind: str = KINDS[0]


def read(path):
  """Reads a `Protocol` from a JSON file.

  Raises:
    InputError: no such file, not JSON, or a field that is missing, unknown or of the wrong kind.
  """
  path = pathlib.Path(path)
  content = files.read_json(path, 'a protocol file, as those in data/protocols')
  known = {'name': str, 'root': str, 'size': int, 'crop': str, 'seeds': list, 'clips': list,
           'voices': dict, 'kind': str}  # fmt: skip
  content = _checked(content, known, ('root', 'clips'), path)
  if '\0' in content['root']:
    raise InputError(f'expected a folder of clips as "root" in {path}, got {content["root"]!r}')
  with errors.explained('a folder of clips'):
    root = (path.parent / content['root']).resolve()
    found = root.is_dir()
  if not found:
    raise InputError(
      f'expected a folder of clips at {root}, there is none: change "root" in {path}, it is '
      'absolute or relative to that file'
    )
  size, crop, seeds = (
    content.get('size', 512),
    content.get('crop', 'none'),
    content.get('seeds', [0]),
  )
  if not 64 <= size <= LARGEST or crop not in ('none', 'face') or not content['clips']:
    raise InputError(
      f'expected size from 64 to {LARGEST}, crop "none" or "face", and one clip or more in {path}'
    )
  kind = content.get('kind', KINDS[0])
  if kind not in KINDS:
    raise InputError(f'expected {" or ".join(KINDS)} as "kind" in {path}, got {kind!r:.100}')
  if not seeds or not all(type(seed) is int and abs(seed) < 2**63 for seed in seeds):
    raise InputError(
      f'expected whole numbers, one or more, as "seeds" in {path}, got {seeds!r:.100}'
    )
  clips = tuple(_entry(clip, f'clip {i} of {path}') for i, clip in enumerate(content['clips'], 1))
  doubled = [a.name for a, b in itertools.combinations(clips, 2) if a.name == b.name]
  if doubled:
    raise InputError(f'{path} has two clips named {doubled[0]}: give them different "name"s')
  voices = _voices(content.get('voices', {}), f'"voices" of {path}')
  name = content.get('name', path.stem)
  return Protocol(name, root, size, crop, tuple(seeds), clips, voices, kind)


def _voices(content, where):
  number = (int, float)
  known = dict(seconds=number, piece=number, silence=number, streaming=bool, languages=dict)
  voices = Voices(**_checked(content, known, (), where))
  if not 2 <= voices.piece <= voices.seconds <= 3600 or not 2 <= voices.silence <= 3600:
    raise InputError(
      f'expected 2 <= piece <= seconds and silence of 2 or more, an hour at most, in {where}: '
      'change them'
    )
  for code, sounds in voices.languages.items():
    text = isinstance(sounds, list) and sounds and all(isinstance(each, str) for each in sounds)
    if code not in LANGUAGES or not text:
      raise InputError(
        f'expected lists of sound files under {", ".join(LANGUAGES)} as languages of {where}, '
        f'got {code!r}: {sounds!r:.200}'
      )
    for each in sounds:
      _check_inside(each, where)
  if voices.languages and 'en' not in voices.languages:
    raise InputError(f'expected "en", which the others are held against, in languages of {where}')
  return voices


def _entry(content, where):
  number = (int, float)
  known = dict(
    video=str, person=str, name=str, start=number, seconds=number, sha256=str, text=str, shots=str
  )
  fields = _checked(content, known, ('video', 'person'), where)
  for key in ('video', 'shots'):
    if fields.get(key) is not None:
      _check_inside(fields[key], where)
  fields.setdefault('name', re.sub(r'[^\w-]', '_', pathlib.PurePath(fields['video']).stem))
  if not re.fullmatch(r'[\w-]+', fields['name']):
    raise InputError(
      f'expected a "name" of letters, digits, - and _, {where} has {fields["name"]!r}: change it'
    )
  return Entry(**fields)


def _check_inside(pattern, where):
  """Raises InputError unless a pattern of files stays below the root."""
  parts = pathlib.PurePosixPath(pattern.replace('\\', '/')).parts
  if not parts or pathlib.PurePath(pattern).is_absolute() or '..' in parts or parts[0] == '/':
    raise InputError(f'expected files below the root in {where}, got {pattern!r}: change "root"')
  if '\0' in pattern:
    raise InputError(f'{pattern!r} of {where} is no name of a file: change it')


def _checked(content, known, required, where):
  if not isinstance(content, dict):
    raise InputError(f'expected {{...}} with {", ".join(known)}, {where} is none: repair it')
  for key in required:
    if key not in content:
      raise InputError(f'expected "{key}" in {where}: add it')
  for key, value in content.items():
    if key not in known:
      raise InputError(f'{where} has an unknown "{key}", expected {", ".join(known)}: remove it')
    if not isinstance(value, known[key]) or isinstance(value, bool) != (known[key] is bool):
      raise InputError(f'"{key}" of {where} is {value!r}, of the wrong kind: repair it')
  return dict(content)


def find(protocol, entry):
  """Returns the file of an entry.

  Raises:
    InputError: none or several files fit, or its hash is another one than the protocol's.
  """
  paths = sorted(protocol.root.glob(entry.video))
  if len(paths) != 1:
    raise InputError(
      f'expected one file {entry.video} under {protocol.root}, found {len(paths)}: check "video"'
    )
  if entry.sha256 and sha256(paths[0]) != entry.sha256:
    raise InputError(
      f'{entry.video} is not the file that the protocol was written for (sha256 differs): '
      'its figures could not be compared'
    )
  return paths[0]


def sounds(protocol):
  """Lists the sounds of a protocol that are there: [(clip's name or language, path, its Entry)];
  the entry of a language's voice is None."""
  found = []
  for entry in protocol.clips:
    try:
      found.append((entry.name, find(protocol, entry), entry))
    except InputError:  # the clip is missing in the table as well, with the reason
      continue
  for code, patterns in protocol.voices.languages.items():
    paths = [path for each in patterns for path in sorted(protocol.root.glob(each))]
    found += [(code, path, None) for path in paths]
  return found


def listen(path, entry=None):
  """Reads a sound, or the excerpt of an entry: float32 [L] at 16 kHz.

  Raises:
    InputError: there is none.
  """
  sound = waveforms.prepare(*waveforms.read(path))
  if entry is None:
    return sound
  start = round(entry.start * SAMPLE_RATE)
  end = None if entry.seconds is None else start + round(entry.seconds * SAMPLE_RATE)
  return sound[start:end]


def sha256(path):
  """Hashes a file, hexadecimal."""
  with open(path, 'rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()


def load(protocol, entry, track, encode_audio):
  """Reads the `Reference` of an entry.

  Args:
    track: frames -> landmarks [T, 468, 2] in pixels.
    encode_audio: (waveform, sample rate) -> speech features [2T, A].

  Raises:
    InputError: no such file, another file, not a video, or shorter than `start`.
  """
  path, notes = find(protocol, entry), []
  first = round(entry.start * FPS)
  last = None if entry.seconds is None else first + round(entry.seconds * FPS)
  flaws = {'pictures': media.Flaws(), 'sound': media.Flaws()}
  frames = list(itertools.islice(video.frames(path, flaws=flaws['pictures']), first, last))
  if not frames:
    raise InputError(f'{entry.video} ends before {entry.start} s: check "start"')
  if last is not None and len(frames) < last - first:
    notes.append(f'ends after {len(frames)} of {last - first} frames')
  if flaws['pictures'].damaged:  # what is between would be compared with a frame that stands
    raise InputError(f'{entry.video} is damaged: {flaws["pictures"].sentence("pictures")}')
  if last is not None and len(frames) == last - first:
    flaws['pictures'].promised = None  # what follows was not read
  shape = frames[0].shape[:2]
  square = None
  if protocol.crop == 'face':
    square = crop_square(track(frames), shape)
  elif shape[0] != shape[1]:
    notes.append(f'{shape[1]} x {shape[0]} pixels are not square: cut around the face')
    square = crop_square(track(frames), shape)
  if square is None and shape[0] < protocol.size:
    notes.append(f'{shape[0]} pixels enlarged to {protocol.size}')
  frames = fit(frames, protocol.size, square)
  waveform = features = None
  try:
    waveform = _voice(path, first, len(frames), flaws['sound'])
    if flaws['sound'].damaged or flaws['sound'].broken:  # sync would be that of silence
      raise InputError(f'it is damaged: {flaws["sound"].sentence()}')
    features = encode_audio(waveform, SAMPLE_RATE)
  except InputError as error:
    notes.append(f'no sound ({error})')
    waveform = None
  else:
    notes += [said] if (said := flaws['sound'].sentence()) else []
  notes += [said] if (said := flaws['pictures'].sentence('pictures')) else []
  clip = Clip(
    name=entry.name,
    person=entry.person,
    image=frames[0].copy(),  # a view would lead to all frames
    waveform=waveform,
    frames=frames,
    landmarks=track(frames),
    features=features,
    shots=_shots(protocol, entry),
    text=entry.text,
    notes=tuple(notes),
  )
  frames.setflags(write=False)  # what a generator draws into is not the reference
  return Reference(clip, str(path), shape, square)


def fit(frames, size, square=None):
  """Brings frames of any one shape to uint8 [T, size, size, 3]; cuts a square first if given."""
  if square is not None:
    return np.stack([cut(frame, square, size) for frame in frames])
  if frames[0].shape[:2] == (size, size):
    return frames if isinstance(frames, np.ndarray) else np.stack(list(frames))
  return np.stack([resized(frame, size) for frame in frames])


def _voice(path, first, count, flaws):
  """Reads the sound of `count` frames from the first on, float32 [640 count]."""
  waveform = video.audio(path, SAMPLE_RATE, flaws=flaws)[first * SAMPLE_RATE // FPS :]
  length = count * SAMPLE_RATE // FPS
  return np.pad(waveform, (0, max(0, length - len(waveform))))[:length]


def _shots(protocol, entry):
  """Pictures uint8 [K, R, R, 3] of the person, or None."""
  if entry.shots is None:
    return None
  paths = sorted(protocol.root.glob(entry.shots))
  if not paths:
    raise InputError(f'expected pictures {entry.shots} under {protocol.root}, found none')
  return np.concatenate([fit([image.read_image(path)], protocol.size) for path in paths])
