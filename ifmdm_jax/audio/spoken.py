"""Text -> speech, sentence by sentence, by a program that is installed.

  hibari      English, American or British: pip install 'ifmdm_jax[tts]'. One voice is inside the
              package, others are downloaded by it when they are first asked for.
  espeak-ng   about a hundred languages, less like a person; run as a process where it is installed.

Another one registers itself:

  [project.entry-points."ifmdm_jax.speakers"]
  mine = "my_package:speak"           # (text, voice, seed) -> (float32 [L], rate in Hz)
"""

import functools
import importlib.metadata
import importlib.util
import io
import re
import shutil
import subprocess
import unicodedata
from typing import Protocol

import numpy as np
import soundfile
import soxr
from tqdm import tqdm

from ifmdm_jax import extras
from ifmdm_jax.errors import InputError, note

ENTRY_POINTS = 'ifmdm_jax.speakers'  # group
HIBARI, ESPEAK = OWN = 'hibari', 'espeak-ng'
PAUSE = 0.2  # seconds of silence between sentences
LONG, A_MINUTE = 1_500, 160  # words of a text that its length is noted of; words in a minute
FOREIGN = 0.05  # share of letters that English does not have, from which on a text is not English
JOINT = '\ue000'  # stands for a space at which no sentence ends
LONGEST = 400  # characters that are spoken at once: longer sentences are cut at their clauses
_ENDS = re.compile(r'(?:(?<=[.!?…])|(?<=[.!?…]["”’)\]]))\s+(?![a-z])|\n\s*\n|(?<=[。！？])')
_NOT_YET = re.compile(r'(?<!\w)(?:Dr|Mr|Mrs|Ms|Prof|St|vs|No|[A-Z])\.\s+(?=\w)')  # no end
_CLAUSES = re.compile(r'(?<=[,;:—])\s+')


class Speaker(Protocol):
  """Speaks a sentence."""

  def __call__(self, text: str, voice: str, seed: int) -> tuple[np.ndarray, int]:
    """Returns float32 [L] from -1 to 1, and the rate in Hz; '' is the voice that is advised."""
    ...


def speaker(name=None):
  """Returns the `Speaker` of a name; None: the first one that is installed.

  Raises:
    InputError: it is not installed, or nothing is.
  """
  installed = {each.name: each for each in importlib.metadata.entry_points(group=ENTRY_POINTS)}
  if name is None:
    present = [*installed]
    present += [HIBARI] if importlib.util.find_spec('hibari') else []
    present += [ESPEAK] if shutil.which(ESPEAK) else []
    name = present[0] if present else HIBARI
  if name in installed:
    return installed[name].load()
  if name == HIBARI:
    extras.require('hibari')
    return _hibari
  if name == ESPEAK:
    if not shutil.which(ESPEAK):
      raise InputError(f'expected the program {ESPEAK}, which is not installed: use {HIBARI}')
    return _espeak
  raise InputError(
    f'expected a speaker of {", ".join([*installed, *OWN])}, got {name!r}: install its package'
  )


def sentences(text):
  """Cuts a text into what is spoken at once.

  Raises:
    InputError: there is nothing in it that can be spoken.
  """
  if not any(letter.isalnum() for letter in text):
    raise InputError('expected a text to speak, got none: pass at least a word')
  found = []
  for sentence in _ENDS.split(_NOT_YET.sub(lambda found: found[0].rstrip() + JOINT, text)):
    part = ''
    for clause in _CLAUSES.split(' '.join(sentence.replace(JOINT, ' ').split())):
      if part and len(part) + len(clause) >= LONGEST:
        found.append(part)
        part = ''
      part = f'{part} {clause}'.strip()
    found.append(part)
  return [each for each in found if any(letter.isalnum() for letter in each)]


def blocks(text, speak=None, voice='', seed=0):
  """Speaks a text, yields (float32 [l], rate) a sentence; all at the rate of the first.

  Args:
    text: in a language that the speaker reads.
    speak: `Speaker`; None: of `speaker`.
    voice: its name of one; '' is the voice that is advised.
    seed: the same seed gives the same sound.

  Raises:
    InputError: the text cannot be read, or there is no such voice.
  """
  parts, speak, rate = sentences(text), speak or speaker(), None
  if len(text.split()) > LONG:
    note(f'about {len(text.split()) / A_MINUTE:.0f} minutes of speech: --stream keeps memory flat')
  for number, part in enumerate(tqdm(parts, unit='sentence', desc='speaking', disable=None)):
    samples, own_rate = speak(part, voice, seed + number)
    samples = np.asarray(samples, np.float32)
    if samples.ndim != 1 or not np.isfinite(samples).all():
      raise InputError(f'expected finite samples [L] from the speaker, got {samples.shape}')
    rate = rate or own_rate
    if own_rate != rate:
      samples = soxr.resample(samples, own_rate, rate)
    silence = np.zeros(round(PAUSE * rate), np.float32)
    yield np.concatenate([samples, silence]), rate


def write(path, text, speak=None, voice='', seed=0):
  """Writes a text as a sound file, sentence by sentence; see `blocks`."""
  spoken = blocks(text, speak, voice, seed)
  first, rate = next(spoken)
  with soundfile.SoundFile(path, 'w', rate, 1) as file:
    file.write(first)
    for block, _ in spoken:
      file.write(block)


@functools.cache
def _loaded(voice):
  import hibari  # an extra

  try:
    return hibari.Hibari(**({'voice': voice} if voice else {}))
  except (ValueError, RuntimeError) as error:  # there is none, or it could not be downloaded
    raise InputError(f'expected a voice of {HIBARI}, {error}') from error


def _hibari(text, voice, seed):
  letters = [letter for letter in text if letter.isalpha()]
  foreign = [letter for letter in letters if not unicodedata.normalize('NFC', letter).isascii()]
  if len(foreign) > FOREIGN * len(letters):
    raise InputError(
      f'expected English, which {HIBARI} reads, got letters as '
      f'{"".join(dict.fromkeys(foreign))[:8]}: use --speaker {ESPEAK}, or a sound file'
    )
  reader = _loaded(voice)
  made = reader(text, seed=seed)
  if not len(made):
    raise InputError(f'expected words that {HIBARI} can read, got {text!r:.60}: spell them out')
  return made, reader.sample_rate


def _espeak(text, voice, seed):
  del seed
  command = [ESPEAK, '--stdin', '--stdout', *(['-v', voice] if voice else [])]
  done = subprocess.run(command, input=text.encode(), capture_output=True, check=False)
  if done.returncode or not done.stdout:
    said = (done.stderr.decode(errors='replace').splitlines() or ['no sound'])[-1]
    raise InputError(f'expected speech from {ESPEAK}, got {said:.200}: check --voice')
  samples, rate = soundfile.read(io.BytesIO(done.stdout), dtype='float32', always_2d=True)
  return samples.mean(1), rate
