"""A sweep: a config file, and the changes to its config that are each a run."""

import contextlib
import importlib.util
import json
import pathlib
import sys
import time

from ifmdm_jax import configs, files
from ifmdm_jax.errors import InputError

RESULT = 'result.json'


class Sweep:
  """A file with `get_config` and `sweep`, and the changes that it adds.

  Attributes:
    name: of the file.
    changes: [{path in the config: value}], one per run.
  """

  def __init__(self, config, settings=()):
    """Reads the file and checks all changes.

    Args:
      config: name or path, and :size; see `ifmdm_jax.configs`.
      settings: 'name=value' of all runs.

    Raises:
      InputError: there is no such file, it has no sweep, or a change does not fit its config.
    """
    path, _, self._size = configs.find(config).partition(':')
    self._module = _load(path)
    self.name = pathlib.Path(path).stem
    self._words = ['--config', config, *(word for text in settings for word in ('--set', text))]
    self.settings = dict(map(_setting, settings))
    self.changes = []
    with _running(path):
      self._module.sweep(self.changes.append)
    if not all(isinstance(change, dict) for change in self.changes):
      raise InputError(f'{path}: expected add({{name: value}}), got {self.changes!r:.200}')
    for change in self.changes:
      self._changed(change)  # a wrong name is refused before anything runs

  def config(self, index):
    """Returns the config of a run; InputError where there is no such run."""
    if index >= len(self.changes):
      raise InputError(f'--index is {index}, {self.name} has runs 0 to {len(self.changes) - 1}')
    return self._changed(self.changes[index])

  def _changed(self, change):
    with _running(self.name):
      config = self._module.get_config(*filter(None, [self._size]))
    for name, value in {**self.settings, **change}.items():
      try:
        _put(config, name, value)
      except (KeyError, TypeError, ValueError) as error:
        raise InputError(
          f'{self.name}: {name}={value!r} does not fit its config: {error}'
        ) from error
    return config

  def command(self, index, workdir):
    """Returns the words that do run `index`."""
    words = [sys.executable, '-m', 'ifmdm_jax.sweep', *self._words]
    return [*words, '--workdir', str(workdir), '--index', str(index)]

  def run(self, index, workdir):
    """Does run `index` in `workdir`, leaves result.json there and returns its figures."""
    config, workdir = self.config(index), pathlib.Path(workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    figures = self._runner()(config, workdir)
    if figures is None:
      return None
    result = dict(change=_plain(self.changes[index]), figures=figures)
    result['minutes'] = round((time.monotonic() - begin) / 60, 2)
    files.write_text(workdir / RESULT, json.dumps(result, indent=1))
    return figures

  def _runner(self):
    if hasattr(self._module, 'run'):
      return self._module.run
    from ifmdm_jax.sweeps import training  # Orbax takes a second: what trains nothing does without

    return training.train


def _put(config, name, value):
  """Sets config.a.b, where it exists; ConfigDict checks the type."""
  *sections, last = name.split('.')
  for section in sections:
    config = config[section]
  if last not in config:
    raise KeyError(f'there is no {last}')
  config[last] = tuple(value) if isinstance(value, list) else value


def _setting(text):
  name, equals, value = text.partition('=')
  if not equals:
    raise InputError(f'expected --set name=value, got {text!r}')
  try:
    return name, json.loads(value)
  except json.JSONDecodeError:
    return name, value


def _plain(change):
  return {name: list(v) if isinstance(v, tuple) else v for name, v in change.items()}


def _load(path):
  if not pathlib.Path(path).is_file():
    known = ', '.join(name for name in configs.names() if '/' in name)
    raise InputError(f'--config: expected a file, or one of {known}; there is no {path}')
  spec = importlib.util.spec_from_file_location(f'sweep_{pathlib.Path(path).stem}', path)
  if spec is None:
    raise InputError(f'--config: expected a Python file, {path} is none: name one that ends in .py')
  module = importlib.util.module_from_spec(spec)
  with _running(path):
    spec.loader.exec_module(module)
  if not callable(getattr(module, 'sweep', None)) or not callable(
    getattr(module, 'get_config', None)
  ):
    raise InputError(f'{path} has no get_config() and sweep(add): see ifmdm_jax/configs/sweeps')
  return module


@contextlib.contextmanager
def _running(path):
  """Turns what the user's own program raises into an InputError that names its file."""
  try:
    yield
  except (InputError, ModuleNotFoundError):
    raise
  except Exception as error:
    raise InputError(f'--config: {path} fails: {type(error).__name__}: {error}') from error
