"""The container: what its Dockerfile promises, read from it, as there need be no Docker here."""

import fnmatch
import json
import pathlib
import re
import shlex
import tomllib

import pytest

ROOT = pathlib.Path(__file__).parents[2]
KNOWN = {'FROM', 'ARG', 'ENV', 'RUN', 'WORKDIR', 'COPY', 'VOLUME', 'USER', 'EXPOSE', 'STOPSIGNAL',
         'HEALTHCHECK', 'ENTRYPOINT'}  # fmt: skip
SECRET = re.compile(r'(?i)(token|secret|passw|api_?key|credential|private_?key)\w*\s*[=:]\s*\S')
RUNS_AS = 'ifmdm_jax.serve'


def instructions(text):
  """Reads a Dockerfile: [(instruction, the rest of it)], lines that go on joined."""
  lines = [line for line in text.splitlines() if not line.lstrip().startswith('#')]
  joined = re.sub(r'\\\n\s*', ' ', '\n'.join(lines))
  found = [line.split(None, 1) for line in joined.splitlines() if line.strip()]
  return [(name.upper(), rest.strip()) for name, rest in found]


@pytest.fixture(scope='module')
def steps():
  return instructions((ROOT / 'Dockerfile').read_text())


@pytest.fixture(scope='module')
def last(steps):
  """The steps of the image that is shipped."""
  start = max(k for k, (name, _) in enumerate(steps) if name == 'FROM')
  return steps[start:]


def of(steps, name):
  return [rest for each, rest in steps if each == name]


def test_it_is_made_of_instructions_that_there_are(steps):
  assert {name for name, _ in steps} <= KNOWN
  for name in ('ENTRYPOINT', 'HEALTHCHECK'):
    (rest,) = of(steps, name)
    assert json.loads(rest[rest.index('[') :])  # no shell, which would keep SIGTERM to itself


def test_bases_have_a_version(steps):
  stages = [rest.partition(' AS ')[2] for rest in of(steps, 'FROM')]
  for rest in of(steps, 'FROM'):
    base = rest.split()[0]
    image, _, tag = base.partition(':')
    assert base in stages or re.match(r'\d+\.\d+\.\d+', tag), f'{image} of no version'


def test_it_never_runs_as_root(last):
  names = [name for name, _ in last]
  (user,) = of(last, 'USER')
  assert all(part.isdigit() and int(part) > 0 for part in user.split(':'))  # as Kubernetes wants it
  after = names[names.index('USER') :]
  assert 'RUN' not in after and 'COPY' not in after and 'ENTRYPOINT' in after


def test_what_is_needed_is_installed_before_the_source_is_copied(steps):
  order = [f'{name} {rest}' for name, rest in steps]
  where = lambda text: next(k for k, line in enumerate(order) if text in line)
  assert (
    where('COPY requirements.txt') < where('pip install --constraint') < where('COPY ifmdm_jax')
  )


def test_versions_are_those_that_were_tested_together(steps):
  installs = [rest for rest in of(steps, 'RUN') if 'pip install' in rest]
  assert any('--constraint requirements.txt' in rest for rest in installs)
  assert all('--constraint' in rest or '--no-deps' in rest for rest in installs)
  assert 'serve' in tomllib.loads((ROOT / 'pyproject.toml').read_text())['project'][
    'optional-dependencies']  # fmt: skip


def test_a_gpu_is_an_argument_of_the_build(steps):
  assert of(steps, 'ARG') == ['JAX=jax']
  assert any('"$JAX"' in rest for rest in of(steps, 'RUN'))


def test_nothing_is_written_but_to_two_folders(last):
  (volume,) = of(last, 'VOLUME')
  settings = dict(word.split('=', 1) for rest in of(last, 'ENV') for word in shlex.split(rest))
  homes = {settings[name] for name in ('HOME', 'XDG_CACHE_HOME', 'XDG_CONFIG_HOME')}
  assert homes == {volume} and settings['PYTHONDONTWRITEBYTECODE'] == '1'
  assert of(last, 'WORKDIR') == ['/tmp']
  assert f'--mode=0700 {volume}' in of(last, 'RUN')[0]  # or compiled programs are not kept there


def test_no_secret_is_in_the_image(steps):
  for name, rest in steps:
    assert name in ('ENTRYPOINT', 'HEALTHCHECK') or not SECRET.search(rest), rest
    assert '--token' not in rest
  assert SECRET.search('API_KEY=abc') and SECRET.search('token: abc')


def test_it_starts_the_server_where_its_health_is_asked(last):
  entry = json.loads(of(last, 'ENTRYPOINT')[0])
  assert entry[:3] == ['python', '-m', RUNS_AS]
  flags = dict(zip(entry[3::2], entry[4::2]))
  command = (ROOT / 'ifmdm_jax' / 'serve.py').read_text()
  assert all(f"'{flag[2:]}', " in command for flag in flags)  # read, as it needs the extra
  (port,) = of(last, 'EXPOSE')
  assert flags == {'--host': '0.0.0.0', '--port': port}
  assert f'127.0.0.1:{port}/healthz' in of(last, 'HEALTHCHECK')[0]
  assert of(last, 'STOPSIGNAL') == ['SIGTERM']


def test_only_what_the_image_is_made_of_is_sent_to_the_engine(steps):
  lines = [line for line in (ROOT / '.dockerignore').read_text().splitlines()
           if line and not line.startswith('#')]  # fmt: skip
  sent = {line[1:] for line in lines if line.startswith('!')}
  assert lines[0] == '*'
  copied = {
    word for rest in of(steps, 'COPY') if '--from' not in rest for word in rest.split()[:-1]
  }
  assert copied == sent and all((ROOT / name).exists() for name in sent)
  kept_out = [line.removeprefix('**/') for line in lines if line.startswith('**/')]
  for name in ('signing.pem', '.env', '__pycache__'):
    assert any(fnmatch.fnmatch(name, pattern) for pattern in kept_out)
