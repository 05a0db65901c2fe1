"""The flags of every command that writes a video: what the video says about its origin.

flags.adopt_module_key_flags(provenance)     of absl: --help of the command shows them
options = provenance.chosen()                `origin.Options`
"""

from absl import flags

from ifmdm_jax.errors import SHARED
from ifmdm_jax.trust import origin

NO_PROVENANCE = flags.DEFINE_bool(
  'no_provenance', False, 'Leave out the signed manifest, the mark in the pixels and the AIGC tag: '
  'then only a comment says that it is synthetic.', **SHARED,
)  # fmt: skip
SIGN = flags.DEFINE_list(
  'sign', None, 'CERTIFICATE.pem,KEY.pem to sign with; default: made on first use.', **SHARED
)
TIME_AUTHORITY = flags.DEFINE_string(
  'time_authority', None, 'Address of a service (RFC 3161) that stamps the time of signing; '
  'default: none.', **SHARED,
)  # fmt: skip
LABEL = flags.DEFINE_bool(
  'label', False, 'Write "AI-generated" into the first two seconds.', **SHARED
)
SPOKEN_LABEL = flags.DEFINE_bool(
  'spoken_label', False, 'Speak it over the start of the sound, where a program that speaks is '
  'installed.', **SHARED,
)  # fmt: skip


def chosen():
  """Reads the flags: `origin.Options`; see `origin.chosen`."""
  notices = LABEL.value, SPOKEN_LABEL.value
  return origin.chosen(not NO_PROVENANCE.value, SIGN.value, TIME_AUTHORITY.value, *notices)
