"""Writes and reads C2PA manifests: signed statements inside a video about how it was made.

The manifest says that and how a video is synthetic, by which software, from which files (their
hashes), and which number its mark carries. A signature covers it and the whole file.
"""

import dataclasses
import io
import json
import os

from ifmdm_jax import __version__, errors
from ifmdm_jax.errors import note
from ifmdm_jax.trust import certificate, origin
from ifmdm_jax.trust import fingerprint as fingerprints

FORMATS = {'.mp4': 'video/mp4', '.m4v': 'video/mp4', '.mov': 'video/quicktime'}
INGREDIENTS = {'.mp4': 'video/mp4', '.m4v': 'video/mp4', '.mov': 'video/quicktime',
               '.jpg': 'image/jpeg', '.jpeg': 'image/jpeg', '.png': 'image/png',
               '.webp': 'image/webp', '.heic': 'image/heic', '.avif': 'image/avif',
               '.wav': 'audio/wav', '.mp3': 'audio/mpeg'}  # fmt: skip
MARK = 'io.github.ifmdm-jax.mark.1'  # of the soft binding; on no list of the C2PA
INPUTS = 'io.github.ifmdm-jax.inputs'
SIGNING = {'builder': {'thumbnail': {'enabled': False}}, 'verify': {'verify_after_sign': False}}
# A stranger's file makes this computer ask no address on the network.
READING = {'verify': {'verify_trust': True, 'remote_manifest_fetch': False, 'ocsp_fetch': False}}


def available():
  """Tells whether the package c2pa can be used on this computer."""
  try:
    import c2pa  # noqa: F401  here: networks run without, and it is not there for every system
  except (ImportError, OSError, RuntimeError):
    return False
  return True


def statement(says, fingerprint=None):
  """Composes the manifest of an `origin.Origin`, a dictionary.

  Args:
    fingerprint: an ISCC, or None.
  """
  agent = dict(name=origin.SOFTWARE, version=__version__)
  made = dict(
    action=f'c2pa.{says.action}', digitalSourceType=says.source, softwareAgent=agent,
    description='The face was animated by a computer.' if says.action == origin.CREATED else
                'The lips of a person were changed by a computer to another voice.',
  )  # fmt: skip
  actions = [made, dict(action='c2pa.watermarked.bound', softwareAgent=agent)]
  bindings = [(MARK, origin.number_text(says.number))]
  if fingerprint:
    bindings.append((fingerprints.ALGORITHM, fingerprint))
  assertions = [dict(label='c2pa.actions', data=dict(actions=actions))]
  for name, value in bindings:
    data = dict(alg=name, blocks=[dict(scope={}, value=value)])
    assertions.append(dict(label='c2pa.soft-binding', data=data))
  inputs = [dict(role=each.role, sha256=each.digest()) for each in says.inputs]
  if inputs:
    assertions.append(dict(label=INPUTS, data=dict(inputs=inputs)))
  return dict(claim_generator_info=[agent], title='synthetic video', assertions=assertions)


def sign(source, target, says, fingerprint=None, form='.mp4'):
  """Copies a video, with its manifest.

  Args:
    source, target: files.
    says: an `origin.Origin`.
    fingerprint: see `statement`.
    form: suffix of the kind of file.

  Returns:
    Whether it was done; otherwise there is a note, and nothing of use at `target`.

  Raises:
    OSError: the target cannot be written.
  """
  if form not in FORMATS:
    note(f'{form} files hold no signed manifest: what remains are the mark and the tags')
    return False
  if not available():
    note('no signed manifest, as the package c2pa-python cannot be used on this computer')
    return False
  import c2pa  # here: networks run without, and it is not there for every system

  signing = says.certificate or certificate.local()
  info = c2pa.C2paSignerInfo(
    certificate.algorithm(signing.key).encode(), signing.chain, signing.key,
    says.time_authority.encode() if says.time_authority else None,
  )  # fmt: skip
  with open(source, 'rb') as whole, open(target, 'w+b') as file:
    watched = _Watched(file)
    try:
      with (
        c2pa.Context.from_dict(SIGNING) as context,
        c2pa.Builder(statement(says, fingerprint), context) as builder,
        c2pa.Signer.from_info(info) as signer,
      ):
        if says.action == origin.EDITED:
          builder.set_intent(c2pa.C2paBuilderIntent.EDIT)
        for number, each in enumerate(says.inputs):
          _add(builder, each, says.action == origin.EDITED and number == 0)
        builder.sign(signer, FORMATS[form], whole, watched)
    except c2pa.C2paError as error:
      if watched.failure:
        raise watched.failure from error
      why = ' '.join(str(error).split())[:300]
      if not says.time_authority:
        note(f'no signed manifest: {why}')
        return False
      note(f'no stamp of the time by {says.time_authority}: {why}')
    else:
      return True
  unstamped = dataclasses.replace(says, time_authority=None)
  return sign(source, target, unstamped, fingerprint, form)


def _add(builder, each, parent):
  """Adds an ingredient; where its kind cannot be read, it is only named."""
  import c2pa  # here: see `sign`

  about = dict(title=each.role, relationship='parentOf' if parent else 'inputTo')
  kind = INGREDIENTS.get(os.path.splitext(each.path)[1].lower())
  try:
    with open(each.path, 'rb') as file:
      builder.add_ingredient(about, kind or 'application/octet-stream', file)
  except c2pa.C2paError:
    builder.add_ingredient(about, 'application/octet-stream', io.BytesIO(b'not readable here'))


class _Watched:
  """A file that keeps the error which C2PA would swallow: of a full disk."""

  def __init__(self, file):
    self.file, self.failure = file, None

  def write(self, data):
    try:
      return self.file.write(data)
    except OSError as error:
      self.failure = error
      raise

  def flush(self):
    try:
      self.file.flush()
    except OSError as error:
      self.failure = error
      raise

  def __getattr__(self, name):
    return getattr(self.file, name)


def read(path, trusted=None):
  """Reads the manifest of a file as its bytes are, whoever made it.

  Args:
    path: of a video, or of any other file that C2PA knows.
    trusted: PEM of certificates to trust, or None.

  Returns:
    None where there is none, else a dictionary: `state` ('Trusted', 'Valid' or 'Invalid'),
    `failures` (codes), and `store`, what C2PA's reader gives.
  """
  import c2pa  # here: see `sign`

  settings = READING | ({'trust': {'user_anchors': trusted}} if trusted else {})
  suffix = os.path.splitext(path)[1].lower()
  with errors.explained('a file', path), open(path, 'rb') as file:
    try:
      with (
        c2pa.Context.from_dict(settings) as context,
        c2pa.Reader(FORMATS.get(suffix, suffix.lstrip('.') or 'video/mp4'), file,
                    context=context) as reader,
      ):  # fmt: skip
        store, state = json.loads(reader.json()), reader.get_validation_state()
    except c2pa.C2paError as error:
      text = str(error)
      if text.startswith(('ManifestNotFound', 'NotSupported', 'RemoteManifest')):
        return None
      return dict(state='Invalid', failures=[text.split(':')[0]], store={})
  failures = [each['code'] for each in store.get('validation_status') or ()]
  return dict(state=state, failures=failures, store=store)
