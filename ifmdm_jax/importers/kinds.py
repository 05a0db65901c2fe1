"""Every kind of foreign weights: its table, where the files come from, under which licence."""

import dataclasses
import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

from ifmdm_jax.errors import InputError
from ifmdm_jax.importers import engine, files


def _rules(table, model, params):
  del params
  return table.rules(model) if hasattr(table, 'rules') else table.RULES


@dataclasses.dataclass(frozen=True)
class Kind:
  """A kind of weights.

  Attributes:
    table: module of importers/ with RULES (or `rules`), IGNORED and `convert(state) -> (model,
      params)`; `config(model)`, `build(config)` and `unused(model)` where a network is trained on.
    origin, licence: of the files; for people.
    network: module that config.model names, where the table has no `config`.
    entries: under which names a checkpoint keeps the state dict, best first.
    part: name of these parameters in a model of several.
    rules: (table, model, params) -> rules, of an export.
    folder: whether the source is a Hugging Face folder with settings.
  """

  table: str
  origin: str
  licence: str
  network: str = ''
  entries: tuple[str, ...] = ()
  part: str = ''
  rules: Callable = _rules
  folder: bool = False

  @property
  def module(self):
    return importlib.import_module(f'ifmdm_jax.importers.{self.table}')


def _vgg(name):
  return lambda table, model, params: table.rules(table.COUNTS[name])


def _lpips(table, model, params):
  return table.rules('alex' if 'conv1' in params['net'] else 'vgg')


def _speech(origin, licence):
  return Kind('wav2vec2', origin, licence, folder=True)


FACES = 'research only'
KINDS = {
  'autoencoder': Kind(
    'autoencoder',
    'stage 1 of IF-MDM, or LIA (vox.pt, taichi.pt, ted.pt): `gen`, with `dis` where it is there',
    'IF-MDM: unpublished; LIA: non-commercial',
    entries=('gen',),
    part='gen',
  ),
  'discriminator': Kind(
    'discriminator',
    'the same files: `dis`',
    'as the autoencoder',
    entries=('dis',),
    part='dis',
  ),
  'motion': Kind(
    'motion', 'stage 2 of IF-MDM: `ema`, else `model`', 'unpublished', entries=('ema', 'model')
  ),
  'wav2vec2': _speech('facebook/wav2vec2-base, -large, ... on Hugging Face', 'Apache-2.0'),
  'hubert': _speech('facebook/hubert-base-ls960, -large-ll60k on Hugging Face', 'Apache-2.0'),
  'wavlm': _speech('microsoft/wavlm-base, -base-plus, -large on Hugging Face', 'see its card'),
  'vgg16': Kind(
    'vgg',
    'torchvision, vgg16-397923af.pth',
    'BSD-3 code; ImageNet terms',
    network='ifmdm_jax.perception.vgg',
    rules=_vgg('vgg16'),
  ),
  'vgg19': Kind(
    'vgg',
    'torchvision, vgg19-dcbb9e9d.pth',
    'BSD-3 code; ImageNet terms',
    network='ifmdm_jax.perception.vgg19',
    rules=_vgg('vgg19'),
  ),
  'lpips': Kind(
    'lpips',
    'PerceptualSimilarity v0.1 heads, merged with torchvision AlexNet or VGG-16',
    'BSD-2',
    network='ifmdm_jax.perception.lpips',
    rules=_lpips,
  ),
  'arcface': Kind(
    'arcface',
    'InsightFace backbone.pth, IResNet-18 to 100',
    f'non-commercial, {FACES}',
    network='ifmdm_jax.perception.arcface',
  ),
  'syncnet': Kind(
    'syncnet', 'syncnet_python, syncnet_v2.model', 'MIT', network='ifmdm_jax.perception.syncnet'
  ),
  'inception_fid': Kind(
    'inception',
    'pytorch-fid, pt_inception-2015-12-05-6726825d.pth',
    'Apache-2.0',
    network='ifmdm_jax.perception.inception',
  ),
  'i3d': Kind(
    'i3d', 'pytorch-i3d, rgb_imagenet.pt', 'Apache-2.0', network='ifmdm_jax.perception.i3d'
  ),
}


class Imported(NamedTuple):
  """Weights of one kind.

  Attributes:
    config: config.model of the network.
    params: its parameters.
    names: {our path: their key}.
    unused: {their key: array} of entries that no network reads; for round trips.
    halves: how many arrays came in half precision; all of `params` are float32.
  """

  config: dict
  params: Any
  names: dict
  unused: dict
  halves: int


def read(name, source, **options):
  """Weights of a kind from a file or folder, as `Imported`.

  Args:
    name: in KINDS.
    source: see `files.read`.
    options: of the table's `convert`; `layer` of a speech encoder, `heads` of `motion`.

  Raises:
    InputError: the source cannot be read or does not fit; the line names the kind that would.
  """
  return convert(name, files.read(source), source, **options)


def convert(name, tree, source, **options):
  """`read` on what `files.read` found."""
  kind = KINDS[name]
  if kind.folder:
    options |= dict(settings=files.settings(source), kind=name)
  try:
    state = files.pick(tree, kind.entries, source)
    table = kind.module
    strip = getattr(table, 'strip', engine.strip_all)
    state = strip(state)
    model, params = table.convert(state, **options)
  except InputError as error:
    other = likely(tree)
    if other in (name, None) or KINDS[other].table == kind.table:
      raise
    raise InputError(
      f'{source} does not look like weights of kind {name} but of {other}: pass --kind {other}'
    ) from error
  if name in ('vgg16', 'vgg19') and type(model).__name__.lower() != name:
    raise InputError(f'{source} holds {type(model).__name__}: pass --kind vgg16 or vgg19 as it is')
  config = table.config(model) if hasattr(table, 'config') else dict(module=kind.network)
  names, unused = engine.sort(state, kind.rules(table, model, params), params)
  halves = sum(
    array.dtype.itemsize == 2 and array.dtype.kind not in 'iu' for array in state.values()
  )
  return Imported(config, params, names, unused, halves)


def likely(tree):
  """The kind that knows most of the names in a file, None if none knows half of them."""
  best, share = None, 0.5
  for name, kind in KINDS.items():
    try:
      state = files.pick(tree, kind.entries, '')
    except InputError:
      continue
    table = kind.module
    state = getattr(table, 'strip', engine.strip_all)(state)
    known = [pattern for pattern, *_ in (*_patterns(name, table), *table.IGNORED)]
    found = sum(any(engine.re.fullmatch(p, key) for p in known) for key in state) / len(state)
    if found > share:
      best, share = name, found
  return best


def _patterns(name, table):
  if name in ('vgg16', 'vgg19'):
    return table.rules(table.COUNTS[name])
  if name == 'lpips':
    return table.rules('alex')
  return table.RULES


def export(name, config, params, names=None, unused=None):
  """Parameters of a kind -> a state dict that loads strictly in the original.

  Args:
    name: in KINDS.
    config: config.model.
    params: of a checkpoint: of the network, or of all parts of the model.
    names, unused: of `Imported`, if the weights came from a file; else their defaults.

  Raises:
    InputError: the checkpoint is of another model.
  """
  kind = KINDS[name]
  table = kind.module
  if kind.part and kind.part not in params:
    raise InputError(f'the checkpoint holds {", ".join(params)}, no {kind.part}: check --kind')
  params = params[kind.part] if kind.part else params
  model = table.build(config) if hasattr(table, 'build') else None
  state = engine.export(params, kind.rules(table, model, params), names)
  if unused is None:
    unused = table.unused(model) if hasattr(table, 'unused') else {}
  return state | unused
