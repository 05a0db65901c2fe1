"""Does the wheel do all that the checkout does? Builds it, installs it apart, runs each command.

  python tests/wheel.py

The environment starts empty. What it gets are the wheel and the distributions that the wheel
declares, and theirs in turn, linked from the environment of this interpreter; so what is imported
and not declared is missing, and nothing is downloaded twice. Commands run in a folder of their own,
without this checkout. Pictures, networks and trainings are tiny; it takes a minute or two.
"""

import argparse
import importlib.metadata
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import venv
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
FIXTURES = ROOT / 'data' / 'fixtures'
SECONDS = 2.0  # of film


def requirements(lines, extras):
  """Yields (name, extras) of requirement lines that hold for `extras` on this machine."""
  from packaging.requirements import Requirement  # of this environment: pytest needs it

  for line in lines or ():
    each = Requirement(line)
    if each.marker is None or any(each.marker.evaluate({'extra': e}) for e in ('', *extras)):
      yield re.sub(r'[-_.]+', '-', each.name).lower(), tuple(sorted(each.extras))


def closure(lines, extras):
  """Names of all distributions that requirement lines bring, directly or not."""
  found, waiting = set(), list(requirements(lines, extras))
  while waiting:
    each = waiting.pop()
    if each not in found:
      try:
        waiting += requirements(importlib.metadata.requires(each[0]), each[1])
        found.add(each)
      except importlib.metadata.PackageNotFoundError:
        print(f'{each[0]} is declared, but not in this environment: the walk does without')
  return {name for name, _ in found}


def environment(folder, wheel, extras=()):
  """Makes an environment of the wheel and what it declares; returns its interpreter."""
  venv.create(folder, with_pip=False)
  python = folder / ('Scripts' if os.name == 'nt' else 'bin') / 'python'
  ask = [python, '-c', 'import sysconfig; print(sysconfig.get_path("purelib"))']
  site = pathlib.Path(subprocess.check_output(ask, text=True).strip())
  with zipfile.ZipFile(wheel) as file:
    file.extractall(site)
    (name,) = (each for each in file.namelist() if each.endswith('.dist-info/METADATA'))
    about = importlib.metadata.Distribution.at(site / pathlib.Path(name).parent)
  for name in closure(about.requires, extras):
    files = importlib.metadata.distribution(name).files or ()
    for top in {file.parts[0] for file in files if file.parts[0] not in ('..', '__pycache__')}:
      source = pathlib.Path(importlib.metadata.distribution(name).locate_file(top))
      if not (site / top).exists():
        try:
          os.symlink(source, site / top)
        except OSError:  # Windows, without the right to link
          copy = shutil.copytree if source.is_dir() else shutil.copy
          copy(source, site / top)
  return python


class Walk:
  """Runs commands in a folder far from the checkout."""

  def __init__(self, folder):
    self.folder, shared = folder, os.environ.get('XDG_CACHE_HOME')
    if (
      shared and (pathlib.Path(shared) / 'ifmdm_jax').exists()
    ):  # the same source: the same programs
      shutil.copytree(pathlib.Path(shared) / 'ifmdm_jax', folder / 'cache' / 'ifmdm_jax')
    keep = {k: v for k, v in os.environ.items() if k in ('PATH', 'SYSTEMROOT', 'TMPDIR', 'TEMP')}
    self.variables = {**keep, 'HOME': str(folder), 'XDG_CACHE_HOME': str(folder / 'cache'),
                      'USERPROFILE': str(folder), 'JAX_PLATFORMS': 'cpu'}  # fmt: skip

  def __call__(self, python, *words, status=(0,), says=''):
    began, variables = time.monotonic(), dict(self.variables)
    if words[0] in ('ifmdm_jax.train', 'ifmdm_jax.sweep'):  # one cache for all runs
      variables['JAX_COMPILATION_CACHE_DIR'] = str(self.folder / 'cache' / 'jax')
    done = subprocess.run(
      [python, '-m', *map(str, words)], cwd=self.folder, env=variables, text=True,
      capture_output=True, check=False,
    )  # fmt: skip
    print(f'{time.monotonic() - began:6.1f} s  {" ".join(map(str, words))}', flush=True)
    said = done.stdout + done.stderr
    if done.returncode not in status or says not in said or 'Traceback' in said:
      sys.exit(f'{said}\nended with {done.returncode}, expected {status} and "{says}"')
    return done.stderr

  def lacks(self, python, *words):
    """The command ends in one line that names the extra."""
    said = self(python, *words, status=(1, 2), says="pip install 'ifmdm_jax[train]'")
    assert said.count('\n') == 1, said


def walk(run, base, train):
  """All commands, each with the environment that its row in the README asks for."""
  folder = run.folder
  (folder / 'clips').mkdir()
  voice, portrait = folder / 'voice.wav', FIXTURES / 'portrait.jpg'
  cut_sound(FIXTURES / 'speech.wav', voice)

  run.lacks(base, 'ifmdm_jax.train', '--config', 'motion:tiny', '--workdir', 'runs/none')
  film = folder / 'clips' / 'one.mp4'
  run(base, 'ifmdm_jax.sample', '--image', portrait, '--audio', voice, '--output', film)
  run(base, 'ifmdm_jax.verify', film, says='manifest  present')
  assert list((folder / 'cache' / 'ifmdm_jax').glob('*/*.trace')), 'nothing was kept'
  shutil.copy(film, film.with_stem('two'))
  manifest = 'file,identity,split\none.mp4,one,train\ntwo.mp4,two,val\n'
  (folder / 'clips' / 'MANIFEST.csv').write_text(manifest, encoding='utf-8')
  run.lacks(base, 'ifmdm_jax.prepare', '--source', 'clips', '--format', 'folder', '--output', 'no')
  run(base, 'ifmdm_jax.bench', '--sizes', 'tiny', '--parts', 'parts', '--repeats', '2')

  run(train, 'ifmdm_jax.prepare', '--source', 'clips', '--format', 'folder', '--size', '64',
      '--output', 'set', '--workers', '1')  # fmt: skip
  run(train, 'ifmdm_jax.prepare', '--output', 'set', '--codes', '--audio', 'whisper_tiny')
  data = ('--config.data.cache=set', '--config.train.batch=1')
  run(train, 'ifmdm_jax.train', '--config', 'autoencoder:tiny', '--workdir', 'runs/ae', *data)
  copy = folder / 'mine.py'
  shutil.copy(next(pathlib.Path(train).parents[1].rglob('ifmdm_jax/configs/motion.py')), copy)
  run(train, 'ifmdm_jax.train', '--config', 'mine.py:tiny', '--dry_run')
  motion = (*data, '--config.model.audio=whisper_tiny', '--config.data.autoencoder=runs/ae')
  run(train, 'ifmdm_jax.train', '--config', 'motion:tiny', '--workdir', 'runs/no', *motion,
      status=(2,), says='pass --config.model.audio_width=384')  # fmt: skip
  run(train, 'ifmdm_jax.train', '--config', 'motion:tiny', '--workdir', 'runs/motion', *motion,
      '--config.model.audio_width=384')  # fmt: skip
  run(train, 'ifmdm_jax.sweep', '--config', 'sweeps/motion_statistics:tiny', '--index', '0',
      '--set', 'data.cache=set', '--set', 'train.batch=1', '--set', 'train.steps=1',
      '--set', 'model.audio_width=384')  # fmt: skip

  run(base, 'ifmdm_jax.export', '--checkpoint', 'runs/motion', '--output', 'talking.zip')
  protocol = dict(name='one', root='clips', size=64, crop='none', seeds=[0],
                  clips=[dict(video='one.mp4', person='p', start=0, seconds=1.0)])  # fmt: skip
  (folder / 'protocol.json').write_text(json.dumps(protocol), encoding='utf-8')
  run(train, 'ifmdm_jax.evaluate', '--protocol', 'protocol.json', '--generate', 'first_frame',
      '--output', 'evaluation')  # fmt: skip


def cut_sound(source, target):
  import soundfile  # of this environment

  samples, rate = soundfile.read(source)
  soundfile.write(target, samples[: round(SECONDS * rate)], rate)


def main():
  options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  options.add_argument('--wheel', help='a wheel that is there already')
  wheel = options.parse_args().wheel
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    if wheel is None:
      for left in ('build', 'ifmdm_jax.egg-info'):  # of before: files that are gone would come back
        shutil.rmtree(ROOT / left, ignore_errors=True)
      build = [sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--wheel-dir', folder]
      subprocess.run([*build, ROOT], check=True)
      (wheel,) = folder.glob('ifmdm_jax-*.whl')
    base = environment(folder / 'base', wheel)
    train = environment(folder / 'train', wheel, extras=('train',))
    (folder / 'walk').mkdir()
    walk(Walk(folder / 'walk'), base, train)
  print('The wheel does what the checkout does.')


if __name__ == '__main__':
  main()
