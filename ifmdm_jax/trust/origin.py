"""What a video says about where it comes from: settings of the mark, the manifest and the tags."""

import dataclasses
import hashlib
import json
import pathlib
from typing import NamedTuple

import numpy as np

from ifmdm_jax import __version__, errors
from ifmdm_jax.audio import spoken as speech
from ifmdm_jax.errors import InputError
from ifmdm_jax.trust import certificate, mark
from ifmdm_jax.trust import label as notices
from ifmdm_jax.trust.certificate import Certificate

CREATED, EDITED = 'created', 'edited'
SOURCES = 'http://cv.iptc.org/newscodes/digitalsourcetype/'
TRAINED = f'{SOURCES}trainedAlgorithmicMedia'
COMPOSITE = f'{SOURCES}compositeWithTrainedAlgorithmicMedia'
SOFTWARE = 'ifmdm_jax'
AIGC = 'AIGC'  # name of the tag that GB 45438-2025 asks for


class Input(NamedTuple):
  """A file that a video was made from.

  Attributes:
    role: 'portrait', 'voice', 'film' or 'motion'.
    path: of it, which nobody learns.
  """

  role: str
  path: str

  def digest(self):
    """Computes its SHA-256, hexadecimal."""
    path = pathlib.Path(self.path)
    with errors.explained(f'the {self.role}', path), open(path, 'rb') as file:
      return hashlib.file_digest(file, 'sha256').hexdigest()


@dataclasses.dataclass(frozen=True)
class Origin:
  """Says what a video is.

  Attributes:
    action: CREATED, or EDITED where it was a film before.
    real_pixels: whether a part of the picture is that of a photograph or film.
    inputs: files that it was made from; of an edited one the first is the film.
    number: of the mark, 28 bits; drawn anew for each video, unless `Options.numbered` says it.
    marked: whether the mark is written into the pixels: False where a film has `number` already.
    certificate: that signs; None: this user's.
    time_authority: address of a service that stamps the time of signing; None: none does.
    label: text that is drawn over the first two seconds, or ''.
    spoken: (float32 [L], rate in Hz), laid over the start of the sound, or None.
  """

  action: str = CREATED
  real_pixels: bool = False
  inputs: tuple[Input, ...] = ()
  number: int = dataclasses.field(default_factory=mark.random_number)
  marked: bool = True
  certificate: Certificate | None = None
  time_authority: str | None = None
  label: str = ''
  spoken: tuple | None = None

  @property
  def source(self):
    """The IPTC's word for it."""
    return COMPOSITE if self.real_pixels or self.action == EDITED else TRAINED

  def tags(self):
    """Returns the container tag {'AIGC': JSON}; Label 1: it is synthetic."""
    producer = f'{SOFTWARE} {__version__}'
    fields = dict(
      Label='1', ContentProducer=producer, ProduceID=number_text(self.number), ReservedCode1='',
      ContentPropagator='', PropagateID='', ReservedCode2='',
    )  # fmt: skip
    return {AIGC: json.dumps(fields)}


def number_text(number):
  """Writes the number of a mark as manifests and tags hold it, seven hexadecimal digits."""
  return f'{number:07x}'


class Options(NamedTuple):
  """Says what a user wants of it.

  Attributes:
    wanted: False: neither mark nor manifest nor AIGC tag.
    certificate, time_authority, label, spoken: see `Origin`.
    number: see `Origin`; None: it is drawn.
  """

  wanted: bool = True
  certificate: Certificate | None = None
  time_authority: str | None = None
  label: str = ''
  spoken: tuple | None = None
  number: int | None = None

  def numbered(self, text):
    """Returns these with a mark's number that follows from a text and the key that signs.

    So the same video, made again by the same user, has the same pixels; without the key nobody can
    tell the number of a text, or a text by its number.
    """
    if not self.wanted:
      return self
    signing = self.certificate or certificate.local()
    return self._replace(number=mark.number_of(signing.key, text))

  def origin(self, **facts):
    """Returns an `Origin` with these facts, or False."""
    if not self.wanted:
      return False
    if self.number is not None:
      facts = {'number': self.number, **facts}
    return Origin(certificate=self.certificate, time_authority=self.time_authority,
                  label=self.label, spoken=self.spoken, **facts)  # fmt: skip


DEFAULT = Options()


def chosen(wanted, sign, time_authority, label, spoken=False):
  """Reads what the flags of a command say.

  Args:
    wanted: bool.
    sign: [certificate, key], files, or None.
    time_authority: see `Origin`.
    label, spoken: whether a notice is drawn, and spoken.

  Raises:
    InputError: there is no such certificate, or flags contradict each other.
  """
  flags = dict(sign=sign, time_authority=time_authority, label=label, spoken_label=spoken)
  given = [name for name, value in flags.items() if value]
  if given and not wanted:
    raise InputError(f'expected --{given[0]} without --no_provenance, got both: leave one out')
  if sign and len(sign) != 2:
    raise InputError(
      f'expected --sign CERTIFICATE.pem,KEY.pem, got {",".join(sign)!r}: name two files'
    )
  if time_authority and not time_authority.startswith(('http://', 'https://')):
    raise InputError(f'expected --time_authority http://..., got {time_authority!r}')
  own = certificate.read(*sign) if sign else None
  notice = _spoken() if spoken else None
  return Options(wanted, own, time_authority, notices.TEXT if label else '', notice)


def _spoken():
  blocks = list(speech.blocks(notices.SPOKEN))
  return np.concatenate([block for block, _ in blocks]), blocks[0][1]
