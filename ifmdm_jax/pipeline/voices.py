"""Cuts voices into pieces, as many and as different as there are faces to be animated."""

import dataclasses
import pathlib

import numpy as np

from ifmdm_jax import media
from ifmdm_jax.audio import sound
from ifmdm_jax.errors import InputError, note
from ifmdm_jax.pipeline import records
from ifmdm_jax.pipeline.prep import filters, layouts
from ifmdm_jax.pipeline.prep.sound import PER_FRAME
from ifmdm_jax.rates import FPS, SAMPLE_RATE
from ifmdm_jax.video import read

SUFFIXES = {'.aac', '.aiff', '.flac', '.m4a', '.mp3', '.oga', '.ogg', '.opus', '.wav', '.wma'}


@dataclasses.dataclass(frozen=True)
class Voice:
  """A recording, or a piece of one.

  Attributes:
    name: of its file or clip, and for a piece the second where it begins.
    split: of the faces that it may animate; '': all.
    licence: or provenance.
    waveform: mono float32 [L] at 16 kHz.
  """

  name: str
  split: str
  licence: str
  waveform: np.ndarray


def of_set(folder, licence=''):
  """Returns the voices of a prepared set: list of `Voice`.

  Args:
    folder: of the set.
    licence: pattern that has to be found in a clip's licence or provenance.
  """
  clips = records.clips(folder, licence=licence)
  return [
    Voice(entry.name, entry.split, entry.licence, clips[i].waveform)
    for i, entry in enumerate(clips.entries)
    if entry.sound
  ]


def of_folder(root, licence=''):
  """Returns the voices of the recordings and films under a folder, at any depth: list of `Voice`.

  Where the folder has a MANIFEST.csv it tells their split and licence, see `layouts.find`.

  Args:
    root: folder.
    licence: pattern that has to be found in a licence or provenance.

  Raises:
    InputError: no such folder, or nothing in it that fits has sound.
  """
  root = pathlib.Path(root)
  manifest, fits = layouts.read_manifest(root), records.licence_filter(licence)
  found = []
  for path in sorted(root.rglob('*')):
    name = path.relative_to(root).as_posix()
    row = manifest.get(name, {})
    terms = row.get('licence_or_provenance') or ''
    if path.suffix.lower() not in SUFFIXES | read.SUFFIXES or not path.is_file() or not fits(terms):
      continue
    try:
      found.append(Voice(name, row.get('split') or '', terms, sound.audio(path, SAMPLE_RATE)))
    except media.MissingStream:
      continue
    except InputError as error:
      note(f'a voice is left out: {error}')
  if not found:
    fitting = f' with a licence like {licence!r}' if licence else ''
    raise InputError(
      f'{root} should hold recordings of voices{fitting}, found none: check --voices'
    )
  return found


def pieces(voices, split, seconds, quietest):
  """Cuts voices into pieces that half overlap, in an order that is the same every time.

  Args:
    voices: list of `Voice`.
    split: of the faces that are to be animated.
    seconds: length of a piece; a shorter voice is one piece.
    quietest: level in dB of full scale under which a piece is left out.

  Returns:
    List of `Voice`, in whole frames.
  """
  length, cut = round(seconds * FPS) * PER_FRAME, []
  for voice in voices:
    if voice.split not in ('', split):
      continue
    last = max(0, len(voice.waveform) - length)
    for start in range(0, last + 1, length // 2):
      piece = voice.waveform[start : start + length]
      piece = piece[: len(piece) // PER_FRAME * PER_FRAME]
      if len(piece) and filters.loudness(piece) >= quietest:
        name = f'{voice.name}@{start / SAMPLE_RATE:.2f}'
        cut.append(dataclasses.replace(voice, name=name, waveform=piece))
  order = np.random.default_rng(0).permutation(len(cut))
  return [cut[i] for i in order]
