"""A bundle of weights: a folder of named parts as safetensors, and the config.json that names them.

  python -m ifmdm_jax.bundle --describe DIR
  python -m ifmdm_jax.bundle --system ifmdm --output DIR --version 1.0 \
      --parts autoencoder=runs/autoencoder,motion=runs/motion,student=runs/student

config.json holds

  {"format": 1, "system": "ifmdm", "version": "1.0", "licence": "...", "data": "...",
   "parts": {"motion": {"file": "motion.safetensors", "settings": {...}}, ...}}

The system is one that is installed, see `generator.system`. No file ever names Python to import: a
bundle, or a training run, that somebody else made is read as data, and what does not fit is one
clear line.
"""

import dataclasses
import json
import math
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import flax.traverse_util
import ml_collections
import numpy as np
from absl import flags

from ifmdm_jax import errors, files, generator
from ifmdm_jax.errors import InputError

LARGEST = 2**14  # of any whole number of a part's settings
BUNDLED = pathlib.Path(__file__).parent / 'weights' / 'lite'
FORMAT = 1
FIELDS = {'format': int, 'system': str, 'version': str, 'licence': str, 'data': str, 'parts': dict}
FILE = re.compile(r'\w[\w-]*\.(safetensors|npz)', re.ASCII)  # beside config.json, nowhere else


@dataclasses.dataclass(frozen=True)
class Part:
  """One network, or table of constants.

  Attributes:
    settings: what its system needs to build it, as JSON can say it.
    params: nested dict of arrays; float32 when read, written as they are.
    file: where it was read from.
  """

  settings: Mapping[str, Any]
  params: Mapping[str, Any]
  file: pathlib.Path | None = None


@dataclasses.dataclass(frozen=True)
class Bundle:
  """Weights of a system.

  Attributes:
    system: its name.
    parts: by name.
    version: of the weights.
    licence: terms, one line.
    data: what they were trained on, one line.
    name: of the folder that they were read from.
  """

  system: str
  parts: Mapping[str, Part]
  version: str = ''
  licence: str = ''
  data: str = ''
  name: str = ''


def trained(workdir):
  """Returns (module, config.model, params) of a workdir of `ifmdm_jax.train`."""
  from ifmdm_jax.training import checkpoints  # Orbax takes a second: bundles do without

  config, params = checkpoints.load(workdir)
  system, module = generator.trainable(config.model.module)
  return module, system.current(config.model), params


def half(params):
  """Brings parameters, nested dicts of arrays, to half precision."""
  flat = flax.traverse_util.flatten_dict(dict(params), sep='/')
  halves = {path: np.asarray(leaf, np.float16) for path, leaf in flat.items()}
  return flax.traverse_util.unflatten_dict(halves, sep='/')


def load(path=None, **options):
  """Returns the `generator.Generator` of a bundle or of a training run.

  Args:
    path: folder; None for the bundled weights.
    options: of the system; IF-MDM's is teacher=True, the network that the bundled student of four
      evaluations learned from: slower, any number of steps and any guidance.

  Raises:
    InputError: nothing of the kind is there, or it is not as it should be.
  """
  folder = pathlib.Path(path) if path else BUNDLED
  if (folder / 'config.json').exists():
    bundle = read(folder)
    return generator.system(bundle.system).load(bundle, **options)
  system, config, params = _run(folder)
  if system.load_run is None:
    raise InputError(f'{folder} is a training run, expected a bundle: make one of it first')
  config.model = system.current(config.model)
  return system.load_run(folder, config, params, **options)


def _run(folder):
  """Returns (system, config, params) of a training run."""
  if not (folder / 'checkpoints').is_dir():
    raise InputError(
      f'{folder} should be a bundle or a run of stage 2, found no config.json and '
      'no checkpoints in it: check the path, or leave it out for the bundled weights'
    )
  from ifmdm_jax.training import checkpoints  # see `trained`

  config, params = checkpoints.load(folder)
  return generator.trainable(config.model.module)[0], config, params


def opened(path):
  """Returns the `Bundle` in a folder, or of a training run that is all of one by itself; float32.

  Raises:
    InputError: nothing of the kind is there, or a bundle takes more than one run.
  """
  folder = pathlib.Path(path)
  if (folder / 'config.json').exists():
    return read(folder)
  system = _run(folder)[0]
  if not system.alone:
    raise InputError(
      f'{folder} is a training run, expected a bundle: make one of it with ifmdm_jax.bundle'
    )
  packed = system.pack({system.alone: folder})
  parts = {name: _singles(part) for name, part in packed.parts.items()}
  return dataclasses.replace(packed, parts=parts, name=folder.resolve().name)


def _singles(part):
  flat = flax.traverse_util.flatten_dict(dict(part.params), sep='/')
  singles = {path: np.asarray(leaf, np.float32) for path, leaf in flat.items()}
  return dataclasses.replace(part, params=flax.traverse_util.unflatten_dict(singles, sep='/'))


def chosen(checkpoint, system):
  """Returns the folder of the weights that are asked for; None: the bundled ones.

  Raises:
    InputError: no weights of that system are bundled, or these are another's.
  """
  if system is None:
    return checkpoint
  if checkpoint is not None:
    found = _system(pathlib.Path(checkpoint))
    if found not in (None, system):
      raise InputError(
        f'expected weights of {system}, {checkpoint} has those of {found}: leave --system out'
      )
    return checkpoint
  for folder in sorted(BUNDLED.parent.iterdir()):
    if _system(folder) == system:
      return folder
  raise InputError(
    f'expected a system whose weights are bundled, {system} has none here: pass --checkpoint'
  )


def _system(folder):
  """Reads whose weights are in a folder; None where it does not say."""
  config = folder / 'config.json'
  return files.read_json(config).get('system') if config.is_file() else None


# ------------------------------------------------------------------------------- files


def read(folder):
  """Returns the `Bundle` in a folder; arrays of any precision come as float32."""
  folder = pathlib.Path(folder)
  config = _config(folder)
  parts = {
    name: Part(part['settings'], files.read_arrays(folder / part['file']), folder / part['file'])
    for name, part in config['parts'].items()
  }
  rest = {name: config.get(name, '') for name in ('version', 'licence', 'data')}
  return Bundle(config['system'], parts, **rest, name=folder.resolve().name)


def save(folder, bundle):
  """Writes a `Bundle`: config.json, and one safetensors file a part."""
  folder = pathlib.Path(folder)
  parts = {
    name: {'file': f'{name}.safetensors', 'settings': dict(part.settings)}
    for name, part in bundle.parts.items()
  }
  config = dict(
    format=FORMAT, system=bundle.system, version=bundle.version, licence=bundle.licence,
    data=bundle.data, parts=parts,
  )  # fmt: skip
  text = json.dumps(config, indent=1) + '\n'
  _check(json.loads(text), folder)
  folder.mkdir(parents=True, exist_ok=True)
  for name, part in bundle.parts.items():
    files.write_arrays(folder / parts[name]['file'], part.params)
  with files.atomic(folder / 'config.json') as half:
    half.write_text(text)


def describe(folder):
  """Says in a few lines what a bundle is made of."""
  bundle = read(folder)
  lines = [f'{bundle.system} {bundle.version}'.strip()]
  for name, part in bundle.parts.items():
    leaves = flax.traverse_util.flatten_dict(part.params).values()
    count = sum(math.prod(np.shape(leaf)) for leaf in leaves)
    size = part.file.stat().st_size
    kind = part.settings.get('kind', '')
    lines.append(f'  {name:<12} {kind:<8} {count:>12,} numbers {size / 1e6:8.1f} MB')
  lines += [f'{field}: {getattr(bundle, field)}' for field in ('licence', 'data')]
  return '\n'.join(line for line in lines if not line.endswith(': '))


def _config(folder):
  path = folder / 'config.json'
  try:
    config = json.loads(path.read_text(encoding='utf-8'))
  except (OSError, ValueError, RecursionError) as error:
    raise InputError(f'expected a bundle in {folder}, cannot read config.json: {error}') from error
  if isinstance(config, dict) and 'format' not in config:  # from before bundles had one
    config = generator.upgraded(config)
  _check(config, folder)
  return config


def _check(config, folder):
  """Raises InputError where a config.json is not as this file's docstring says."""
  where = f'{folder / "config.json"}'
  fields(config, FIELDS, ('format', 'system', 'parts'), where)
  if config['format'] != FORMAT:
    raise InputError(
      f'expected format {FORMAT} in {where}, got {config["format"]}: update ifmdm_jax'
    )
  if not config['parts']:
    raise InputError(f'expected parts in {where}, it names none: download it again')
  for name, part in config['parts'].items():
    fields(part, {'file': str, 'settings': dict}, ('file', 'settings'), f'part {name!r} of {where}')
    if not FILE.fullmatch(part['file']):
      raise InputError(
        f'expected the name of a file beside {where}, *.safetensors, part {name!r} has '
        f'{part["file"]!r}: only files of the same folder are read'
      )


def fields(given, kinds, required, where):
  """Raises InputError unless `given` is a dict with `required` names, all of them of `kinds`."""
  if not isinstance(given, dict):
    raise InputError(f'expected names and values in {where}, got {type(given).__name__}')
  unknown, missing = sorted(set(given) - set(kinds)), sorted(set(required) - set(given))
  if unknown or missing:
    what = f'unknown {", ".join(unknown)}' if unknown else f'no {", ".join(missing)}'
    raise InputError(f'expected {", ".join(kinds)} in {where}, got {what}')
  for name, value in given.items():
    if not _is(value, kinds[name]):
      raise InputError(f'expected {name} in {where} to be {kinds[name].__name__}, got {value!r}')


def _is(value, kind):
  if isinstance(value, bool) or kind is bool:
    return isinstance(value, bool) and kind is bool
  if kind is float:
    return isinstance(value, (int, float)) and math.isfinite(value)
  if kind is tuple:  # of numbers or words
    return isinstance(value, (list, tuple)) and all(_is(x, float) or _is(x, str) for x in value)
  return isinstance(value, kind)


def settings(part, schema, where):
  """Returns a part's settings as a ConfigDict with the attributes of a dataclass `schema`.

  Raises:
    InputError: one is unknown, missing without a default, or of another type.
  """
  kinds = {field.name: field.type for field in dataclasses.fields(schema)}
  required = [
    field.name for field in dataclasses.fields(schema) if field.default is dataclasses.MISSING
  ]
  fields(part, kinds, required, where)
  whole = dataclasses.asdict(schema(**part))
  return ml_collections.ConfigDict(
    {name: tuple(value) if kinds[name] is tuple else value for name, value in whole.items()}
  )


def check_sizes(config, where, zero=()):
  """Refuses whole numbers, alone or in tuples, of a size that no network has had.

  Args:
    config: ConfigDict of `settings`; what is neither is not looked at.
    where: for the message.
    zero: names of those that may be 0.

  Raises:
    InputError: one is below 1 or above `LARGEST`, or stands in a tuple and is no whole number.
  """
  for name, value in config.items():
    least = 0 if name in zero else 1
    for number in value if isinstance(value, tuple) else (value,):
      whole = isinstance(number, int) and least <= number <= LARGEST
      if not whole and (isinstance(value, tuple) or type(number) is int):
        raise InputError(
          f'expected {name} of {where} from {least} to {LARGEST}, got {number!r:.80}'
        )


def define_flags():
  """Defines the command's flags, not on import: `load` of a script has to leave its flags alone."""
  flags.DEFINE_string('describe', None, 'Bundle to say what is in it.')
  flags.DEFINE_string('system', 'ifmdm', 'Whose runs they are.')
  flags.DEFINE_list('parts', [], 'PART=WORKDIR of ifmdm_jax.train, ...')
  flags.DEFINE_string('output', None, 'Folder to write.')
  flags.DEFINE_string('version', '', 'Of the weights.')
  flags.DEFINE_string('licence', '', 'Of the weights, one line.')
  flags.DEFINE_string('data', '', 'What they were trained on, one line.')


def main(_):
  asked = flags.FLAGS
  if asked.describe:
    print(describe(asked.describe))
    return
  runs = dict(word.partition('=')[::2] for word in asked.parts)
  if not runs or not all(runs.values()) or not asked.output:
    raise InputError(
      'expected --describe DIR, or --parts PART=WORKDIR,... and --output DIR: --help has an example'
    )
  chosen = generator.system(asked.system)
  if chosen.pack is None:
    raise InputError(
      f'{asked.system} makes no bundles of training runs, expected a system that does'
    )
  facts = dict(version=asked.version, licence=asked.licence, data=asked.data)
  save(asked.output, dataclasses.replace(chosen.pack(runs), **facts))
  print(describe(asked.output))


if __name__ == '__main__':
  define_flags()
  errors.run(main)
