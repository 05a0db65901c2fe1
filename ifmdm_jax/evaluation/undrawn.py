"""How a portrait moves to sounds that no clip has: a long voice, silence, other languages.

Nothing is drawn; the generator says how it would move (`generator.Moves`). A generator that cannot,
and videos that were made elsewhere, have none of these figures.
"""

import dataclasses
import functools

import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.evaluation import drift, protocol, sync
from ifmdm_jax.evaluation.types import Absent, Metric
from ifmdm_jax.face import lag
from ifmdm_jax.rates import SAMPLE_RATE

OTHERS = {code: name for code, name in protocol.LANGUAGES.items() if code != 'en'}
METRICS = drift.METRICS | {
  'language_en': Metric('truth', '', '`sync_ridge` of undrawn motion to English voices', 2),
  'language_en_mel': Metric('truth', '', 'the same by a regression on the log-mel spectrum', 2),
}
for _code, _name in OTHERS.items():
  METRICS[f'language_{_code}'] = Metric('up', '', f'{_name}: `language_en` over that', 2)
  METRICS[f'language_{_code}_mel'] = Metric('up', '', 'the same by the log-mel spectrum', 2)


@dataclasses.dataclass(frozen=True)
class Sounds:
  """The sounds of a protocol, read when they are asked for.

  Attributes:
    clips: `protocol.Protocol`.
    encode_audio: (waveform, sample rate) -> Whisper-tiny features.
    encode_mel: the same of the log-mel spectrum.
  """

  clips: protocol.Protocol
  encode_audio: object
  encode_mel: object

  @functools.cached_property
  def files(self):
    return protocol.sounds(self.clips)

  @functools.cached_property
  def state(self):
    """What the figures depend on besides the generator: names, sizes and times of files."""
    stats = [(name, path.stat()) for name, path, _ in self.files]
    return [(name, each.st_size, each.st_mtime_ns) for name, each in stats]

  @functools.cached_property
  def voices(self):
    """{clip: its voice [L]} of those that have one."""
    found = {}
    for name, path, entry in self.files:
      if entry is not None:
        try:
          found[name] = protocol.listen(path, entry)
        except InputError:
          continue  # a clip without sound
    return found

  @functools.cached_property
  def languages(self):
    """{code: [voice [L] of each file]}."""
    found = {}
    for name, path, entry in self.files:
      if entry is None:
        found.setdefault(name, []).append(protocol.listen(path))
    return found

  def another(self, name, length):
    """Joins the voices of the clips that follow clip `name`, not its own: [length] samples."""
    names = list(self.voices)
    start = names.index(name) + 1 if name in names else 0
    others = [self.voices[each] for each in names[start:] + names[:start] if each != name]
    if not others:
      raise InputError('no other clip of the protocol has a voice')
    return np.resize(np.concatenate(others), length)

  def long(self, first):
    """Joins the clips' voices, that of clip `first` first, without repeats: [L] of whole pieces."""
    names = list(self.voices)
    start = names.index(first) if first in names else 0
    sound = np.concatenate([self.voices[name] for name in names[start:] + names[:start]])
    asked = self.clips.voices
    piece = round(asked.piece * SAMPLE_RATE)
    count = min(round(asked.seconds * SAMPLE_RATE), len(sound)) // piece
    if not count:
      raise InputError(f'the clips have less than {asked.piece:g} s of voice together')
    return sound[: count * piece]


@functools.cache
def judges():
  """Loads the regressions that predict an opening: of Whisper's features, of the spectrum."""
  return lag.load(), lag.load(lag.MEL)


def score(row, reference, sounds):
  """Measures a row on one portrait: {name of METRICS: value or Absent}.

  Args:
    row: of `generators`.
    reference: whose first frame is the portrait.
    sounds: `Sounds`.

  Raises:
    InputError: the row is no generator that says how it moves.
  """
  asked, clip = sounds.clips.voices, reference.clip

  def move(sound):
    heard = dataclasses.replace(clip, waveform=sound, rate=SAMPLE_RATE, features=None)
    return row.motion(heard, asked.streaming)

  silence = np.zeros(round(asked.silence * SAMPLE_RATE), np.float32)
  values = {'silence_rest': drift.silence_rest(move(silence).opening)}
  values |= _drift(move, sounds, sounds.long(clip.name))
  return {name: Absent('no such voices in the protocol') for name in METRICS} | values | (
    _languages(move, sounds)
  )  # fmt: skip


def _drift(move, sounds, sound):
  """Compares pieces of a long voice with each begun anew."""
  seconds = sounds.clips.voices.piece
  size, ridge = round(seconds * SAMPLE_RATE), judges()[0]
  parts = [sound[start : start + size] for start in range(0, len(sound), size)]
  predicted = [ridge.predict(sounds.encode_audio(part, SAMPLE_RATE)) for part in parts]
  whole = drift.table(move(sound), np.concatenate(predicted), seconds)
  anew = [drift.table(move(part), own, seconds) for part, own in zip(parts, predicted)]
  return drift.score(whole, drift.joined(anew))


def _languages(move, sounds):
  """Finds how well lips follow each language, over how well they follow English."""
  found = {}
  for code, voices in sounds.languages.items():
    scores = [_sync(move(voice).opening, voice, sounds) for voice in voices]
    found[code] = np.mean(scores, axis=0)
  values = {}
  for code, both in found.items():
    by_english = both if code == 'en' else both / np.maximum(found['en'], 0.05)
    values |= dict(zip((f'language_{code}', f'language_{code}_mel'), map(float, by_english)))
  return values


def _sync(opening, voice, sounds):
  encoders = sounds.encode_audio, sounds.encode_mel
  return [
    judge.lag(encode(voice, SAMPLE_RATE)[: 2 * len(opening)], opening, sync.MOST).r
    for judge, encode in zip(judges(), encoders)
  ]
