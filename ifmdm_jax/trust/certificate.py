"""The certificate that videos are signed with: the user's own, or one that is made on first use.

One that is made lies in the user's configuration folder, readable by the user alone, and names the
software, not the user. Nobody vouches for it: it shows that a file was not changed since it was
signed, and that files with one certificate come from one place, not whose place that is.
"""

import datetime
import os
import pathlib
from typing import NamedTuple

from ifmdm_jax import errors, files
from ifmdm_jax.errors import InputError, note

FILE = 'signing.pem'
NAME = 'ifmdm_jax on one computer'
YEARS = 10
LARGEST = 2**20  # bytes


class Certificate(NamedTuple):
  """A key and who it belongs to.

  Attributes:
    chain: PEM of the certificate and of those above it.
    key: PEM of the private key, PKCS #8.
    own: whether the user brought it.
    files: of chain and key, where they were read: other processes and machines read them again, and
      the key travels nowhere.
  """

  chain: bytes
  key: bytes
  own: bool = False
  files: tuple[str, str] | None = None

  def __reduce__(self):  # of pickle
    return (read, self.files) if self.files else (type(self), tuple(self))


def folder():
  """Returns where this operating system wants an application's settings."""
  of_windows, others = ('APPDATA', 'Roaming'), ('XDG_CONFIG_HOME', '.config')
  return files.user_folder(of_windows, 'Application Support', others)


def read(certificate, key):
  """Reads the user's own, two files of PEM.

  Raises:
    InputError: they are none, or do not belong together.
  """
  from cryptography import x509  # here: networks and their training run without
  from cryptography.hazmat.primitives import serialization  # see above

  chain = read_file(certificate, 'a certificate (PEM)')
  secret = read_file(key, 'a private key (PEM)')
  try:
    leaf = x509.load_pem_x509_certificates(chain)[0]
    loaded = serialization.load_pem_private_key(secret, None)
  except (ValueError, TypeError, IndexError) as error:
    raise InputError(
      f'expected a certificate and a private key without a password, both PEM, got {certificate} '
      f'and {key}: {str(error).splitlines()[0] if str(error) else type(error).__name__}'
    ) from error
  if _public(leaf.public_key()) != _public(loaded.public_key()):
    raise InputError(f'expected the private key of {certificate}, {key} belongs to another')
  places = tuple(str(pathlib.Path(each).expanduser().absolute()) for each in (certificate, key))
  return Certificate(chain, _plain(loaded), True, places)


def read_file(path, what):
  """Reads a small file, bytes.

  Raises:
    InputError: there is none.
  """
  path = files.check(pathlib.Path(path).expanduser(), what, LARGEST)
  with errors.explained(what, path):
    return path.read_bytes()


def known():
  """Returns the chain (PEM) of this user's certificate, or None where none was made yet."""
  try:
    return (folder() / FILE).read_bytes().split(b'-----BEGIN PRIVATE KEY-----')[0]
  except OSError:
    return None


def local():
  """Returns the certificate of this user, and makes it where there is none.

  Where nothing can be kept, one is made for this process, with a note.
  """
  path = folder() / FILE
  try:
    if not path.exists():
      _keep(path, made())
    data = path.read_bytes()
    start = data.index(b'-----BEGIN PRIVATE KEY-----')
    return Certificate(data[:start], data[start:])
  except (OSError, ValueError) as error:
    why = errors.system(error, path) if isinstance(error, OSError) else f'{path} holds no key'
    note(f'the certificate is made for this run alone, as none can be kept: {why}')
    return made()


def _keep(path, certificate):
  path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
  half = files.temporary(path)
  half.unlink(missing_ok=True)
  with open(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), 'wb') as file:
    file.write(certificate.chain + certificate.key)
  try:
    if path.exists():  # another process was first
      half.unlink()
    else:
      os.replace(half, path)
  finally:
    half.unlink(missing_ok=True)


def made():
  """Makes a certificate, and one above it whose key is thrown away, as C2PA wants no lone one."""
  from cryptography import x509  # here: networks and their training run without
  from cryptography.hazmat.primitives import hashes, serialization  # see above
  from cryptography.hazmat.primitives.asymmetric import ec  # see above
  from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID  # see above

  def named(name):
    return x509.Name([
      x509.NameAttribute(NameOID.COMMON_NAME, name),
      x509.NameAttribute(NameOID.ORGANIZATION_NAME, 'ifmdm_jax (self-made)'),
    ])  # fmt: skip

  now = datetime.datetime.now(datetime.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
  above, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())

  def begun(subject, issuer, public):
    return (
      x509.CertificateBuilder()
      .subject_name(named(subject))
      .issuer_name(named(issuer))
      .public_key(public)
      .serial_number(x509.random_serial_number())
      .not_valid_before(now - datetime.timedelta(days=1))
      .not_valid_after(now + datetime.timedelta(days=365 * YEARS))
      .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
      .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(above.public_key()), False)
    )

  def usage(**allowed):
    names = ('digital_signature', 'content_commitment', 'key_encipherment', 'data_encipherment',
             'key_agreement', 'key_cert_sign', 'crl_sign', 'encipher_only',
             'decipher_only')  # fmt: skip
    return x509.KeyUsage(**{name: allowed.get(name, False) for name in names})

  root = (
    begun(f'root of {NAME}', f'root of {NAME}', above.public_key())
    .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
    .add_extension(usage(key_cert_sign=True, crl_sign=True), True)
    .sign(above, hashes.SHA256())
  )
  leaf = (
    begun(NAME, f'root of {NAME}', own.public_key())
    .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
    .add_extension(usage(digital_signature=True), True)
    .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
    .sign(above, hashes.SHA256())
  )
  pem = serialization.Encoding.PEM
  return Certificate(leaf.public_bytes(pem) + root.public_bytes(pem), _plain(own))


def algorithm(key):
  """Names what a private key (PEM) signs with, as C2PA does.

  Raises:
    InputError: C2PA has no such kind.
  """
  from cryptography.hazmat.primitives import serialization  # here: networks run without
  from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # see above

  loaded = serialization.load_pem_private_key(key, None)
  if isinstance(loaded, ec.EllipticCurvePrivateKey):
    name = {256: 'es256', 384: 'es384', 521: 'es512'}.get(loaded.key_size)
    if name:
      return name
  if isinstance(loaded, ed25519.Ed25519PrivateKey):
    return 'ed25519'
  if isinstance(loaded, rsa.RSAPrivateKey) and loaded.key_size >= 2048:
    return 'ps256'
  raise InputError(
    'expected a private key of P-256, P-384, P-521, Ed25519 or RSA from 2048 bits, got another kind'
  )


def _public(key):
  from cryptography.hazmat.primitives import serialization  # here: networks run without

  return key.public_bytes(
    serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
  )


def _plain(key):
  from cryptography.hazmat.primitives import serialization  # here: networks run without

  return key.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
  )
