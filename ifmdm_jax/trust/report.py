"""Examines what a file says about its origin, layer by layer, whoever made it."""

import json
import os

from ifmdm_jax import media
from ifmdm_jax.errors import InputError
from ifmdm_jax.trust import certificate, fingerprint, manifest, mark_reader, origin
from ifmdm_jax.video import provenance

PRESENT, ABSENT, BROKEN, OTHER, UNKNOWN = 'present', 'absent', 'broken', 'not ours', 'unknown'
ALIKE = 8  # bits of 64 in which the codes of one video may differ
UNTRUSTED = 'signingCredential.untrusted'
SYNTHETIC, CHANGED, STRANGER, SILENT = 'synthetic', 'changed', 'says something else', 'says nothing'
VERDICTS = {
  SYNTHETIC: 'says that it is synthetic, made with ifmdm_jax; nothing in it contradicts that',
  CHANGED: 'was changed after it was signed, or its statements contradict each other',
  STRANGER: 'carries a statement of other software, and nothing of ifmdm_jax',
  SILENT: 'says nothing about its origin, which proves nothing: statements can be removed',
}
STATUS = {SYNTHETIC: 0, SILENT: 1, STRANGER: 1, CHANGED: 3}  # 2 is bad input


def examine(path, trusted=None, seconds=60.0):
  """Examines one video.

  Args:
    path: of a file.
    trusted: PEM of certificates to trust besides this user's own, or None.
    seconds: in which the mark is looked for.

  Returns:
    A dictionary that JSON can hold: `file`, `verdict` of VERDICTS, `layers`; each layer has a
    `state` (PRESENT, ABSENT, BROKEN, OTHER or UNKNOWN) and what it says.

  Raises:
    InputError: it is no video.
  """
  tags = _tags(path)
  layers = dict(
    manifest=_manifest(path, trusted), mark=_mark(path, seconds), aigc=_aigc(tags),
    notice=_notice(tags),
  )  # fmt: skip
  layers['iscc'] = _fingerprint(path, layers['manifest'])
  number = layers['manifest'].get('number')
  for name in ('mark', 'aigc'):
    layer = layers[name]
    if number and layer['state'] == PRESENT and layer['number'] != number:
      layer.update(state=BROKEN, why=f'it carries the number {layer["number"]}, the manifest says '
                   f'{number}')  # fmt: skip
  if number and layers['mark']['state'] == ABSENT:
    layers['mark']['why'] = f'the manifest says that there was one, {number}'
  states = {name: layer['state'] for name, layer in layers.items()}
  if BROKEN in states.values():
    verdict = CHANGED
  elif PRESENT in states.values():
    verdict = SYNTHETIC
  else:
    verdict = STRANGER if OTHER in states.values() else SILENT
  return dict(file=os.path.basename(path), verdict=verdict, layers=layers)


def lines(found):
  """Says a result of `examine` in lines."""
  yield f'{found["file"]}: {VERDICTS[found["verdict"]]}'
  for name, layer in found['layers'].items():
    said = '; '.join(
      f'{key.replace("_", " ")}: {_plain(value)}' for key, value in layer.items() if key != 'state'
    )
    yield f'  {name:9} {layer["state"]}{f" ({said})" if said else ""}'


def _plain(value):
  if isinstance(value, list):
    return ', '.join(map(_plain, value))
  if isinstance(value, dict):
    return ' '.join(map(str, value.values()))
  return {True: 'yes', False: 'no'}.get(value, value) if isinstance(value, bool) else str(value)


def _tags(path):
  with media.opened(path, 'video') as (container, _):
    return {name.lower(): value for name, value in container.metadata.items()}


def _manifest(path, trusted):
  if not manifest.available():
    return dict(state=UNKNOWN, why='the package c2pa-python cannot be used on this computer')
  own = certificate.known()
  anchors = '\n'.join(each for each in (trusted, own and own.decode()) if each)
  found = manifest.read(path, anchors or None)
  if found is None:
    return dict(state=ABSENT)
  store = found['store']
  active = store.get('manifests', {}).get(store.get('active_manifest'), {})
  software = [each.get('name', '?') for each in active.get('claim_generator_info') or ()]
  signature = active.get('signature_info') or {}
  says = dict(software=software, signed_by=signature.get('common_name', '?'),
              trusted=found['state'] == 'Trusted')  # fmt: skip
  if signature.get('time'):
    says['signed_at'] = signature['time']
  failures = [code for code in found['failures'] if code != UNTRUSTED]
  if found['state'] == 'Invalid' or failures:
    return dict(state=BROKEN, failures=failures or ['unreadable'], **says)
  if software[:1] != [origin.SOFTWARE]:
    return dict(state=OTHER, **says)
  try:
    says.update(_said(active))
  except (AttributeError, IndexError, KeyError, TypeError):  # a stranger may sign anything
    return dict(state=BROKEN, failures=['it is not what ifmdm_jax writes'], **says)
  return dict(state=PRESENT, **says)


def _said(active):
  """Reads the assertions of a manifest of this software."""
  says = {}
  for each in active.get('assertions') or ():
    data = each.get('data') or {}
    if each['label'].startswith('c2pa.actions'):
      types = [action.get('digitalSourceType') for action in data.get('actions') or ()]
      says['source'] = [each.rpartition('/')[2] for each in types if each]
    elif each['label'].startswith('c2pa.soft-binding') and data.get('alg') == manifest.MARK:
      says['number'] = str(data['blocks'][0]['value'])
    elif each['label'].startswith('c2pa.soft-binding'):
      if data.get('alg') == fingerprint.ALGORITHM:
        says['fingerprint'] = str(data['blocks'][0]['value'])
    elif each['label'] == manifest.INPUTS:
      says['inputs'] = [dict(role=str(one['role']), sha256=str(one['sha256']))
                        for one in data['inputs']]  # fmt: skip
  return says


def _mark(path, seconds):
  try:
    found = mark_reader.look(path, seconds)
  except media.Damaged as error:
    return dict(state=UNKNOWN, why=str(error))
  if found is None:
    return dict(state=UNKNOWN, why=f'shorter than {mark_reader.FEWEST:.0f} seconds')
  if not found.found:
    return dict(state=ABSENT, score=round(found.score, 1))
  number = origin.number_text(found.number)
  return dict(state=PRESENT, number=number, score=round(found.score, 1))


def _aigc(tags):
  text = tags.get(origin.AIGC.lower())
  if text is None:
    return dict(state=ABSENT)
  try:
    fields = json.loads(text)
    producer, number = str(fields['ContentProducer']), str(fields['ProduceID'])
    says = dict(label=str(fields['Label']), producer=producer, number=number)
  except (ValueError, KeyError, TypeError):
    return dict(state=BROKEN, why='it is not what the standard asks for')
  return dict(state=PRESENT if producer.startswith(origin.SOFTWARE) else OTHER, **says)


def _fingerprint(path, signed):
  """Compares the code in a manifest with that of the pictures, where both can be had."""
  said = signed.pop('fingerprint', None)
  code = fingerprint.compute(path) if fingerprint.available() else None
  own = {} if code is None else dict(code=code)
  if said is None:
    return dict(state=ABSENT, **own)
  if code is None:
    return dict(state=PRESENT, signed=said)
  try:
    bits = fingerprint.distance(said, code)
  except ValueError:
    return dict(state=BROKEN, why='the manifest holds no code', **own)
  return dict(state=PRESENT if bits <= ALIKE else BROKEN, signed=said, differs_by_bits=bits)


def _notice(tags):
  text = tags.get('comment', '')
  if any(text.startswith(each) for each in (provenance.NOTICE, provenance.DUBBED)):
    return dict(state=PRESENT, says=text)
  return dict(state=ABSENT)


def check_trusted(path):
  """Reads certificates to trust, PEM.

  Raises:
    InputError: the file holds none.
  """
  from cryptography import x509  # here: networks and their training run without

  data = certificate.read_file(path, 'certificates to trust (PEM)')
  try:
    x509.load_pem_x509_certificates(data)
  except ValueError as error:
    raise InputError(f'expected certificates to trust (PEM), {path} holds none') from error
  return data.decode()
