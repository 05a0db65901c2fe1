"""Every kind of foreign weights: its table, where the files come from, under which licence."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from ifmdm_jax.errors import InputError
from ifmdm_jax.importers import (
  arcface,
  autoencoder,
  difftalk,
  discriminator,
  engine,
  files,
  i3d,
  inception,
  latent,
  lpips,
  motion,
  syncnet,
  vgg,
  wav2vec2,
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Kind:
  """A kind of weights.

  Attributes:
    origin, licence: of the files; for people.
    convert: (state, **options) -> (model, params).
    rows: (model, params) -> RULES of that network.
    known: names of original that tell the kind from others: those of RULES and IGNORED.
    network: module that config.model names, where there is no `config`.
    config: model -> config.model, of a network that is trained on.
    build: the inverse of `config`.
    unused: model -> {their key: array} of what nothing reads, for exports.
    entries: under which names a checkpoint keeps the state dict, best first.
    part: name of these parameters in a model of several.
    strip: state dict -> the same without the names of wrappers.
    folder: whether the source is a Hugging Face folder with settings.
  """

  origin: str
  licence: str
  convert: Callable
  rows: Callable
  known: tuple
  network: str = ''
  config: Callable | None = None
  build: Callable | None = None
  unused: Callable | None = None
  entries: tuple[str, ...] = ()
  part: str = ''
  strip: Callable = engine.strip_all
  folder: bool = False

  @property
  def frozen(self):
    """Says whether the network is only ever run: speech encoders, and what measures."""
    return bool(self.network) or self.folder


def _always(rules):
  return lambda model, params: rules


def _known(rules, ignored):
  return tuple(original for original, *_ in (*rules, *ignored))


def _measuring(table, network, origin, licence):
  """A network that measures: one table, whatever the sizes."""
  return Kind(
    origin,
    licence,
    table.convert,
    _always(table.RULES),
    _known(table.RULES, table.IGNORED),
    network=f'ifmdm_jax.perception.{network}',
  )


def _vgg(name, file):
  rules = vgg.rules(vgg.COUNTS[name])
  return Kind(
    f'torchvision, {file}',
    'BSD-3 code; ImageNet terms',
    functools.partial(vgg.convert, name=name),
    _always(rules),
    _known(rules, vgg.IGNORED),
    network=f'ifmdm_jax.perception.{name.replace("vgg16", "vgg")}',
  )


def _speech(name, origin, licence):
  return Kind(
    origin,
    licence,
    functools.partial(wav2vec2.convert, kind=name),
    _always(wav2vec2.RULES),
    _known(wav2vec2.RULES, wav2vec2.IGNORED),
    config=wav2vec2.config,
    build=wav2vec2.build,
    strip=wav2vec2.strip,
    folder=True,
  )


def _lpips_rows(model, params):
  del model
  return lpips.rules('alex' if 'conv1' in params['net'] else 'vgg')


KINDS = {
  'autoencoder': Kind(
    'stage 1 of IF-MDM, or LIA (vox.pt, taichi.pt, ted.pt): `gen`, with `dis` where it is there',
    'IF-MDM: unpublished; LIA: non-commercial',
    autoencoder.convert,
    lambda model, params: autoencoder.rules(model),
    _known(autoencoder.RULES, autoencoder.IGNORED),
    config=autoencoder.config,
    build=autoencoder.build,
    unused=autoencoder.unused,
    entries=('gen',),
    part='gen',
  ),
  'discriminator': Kind(
    'the same files: `dis`',
    'as the autoencoder',
    discriminator.convert,
    _always(discriminator.RULES),
    _known(discriminator.RULES, discriminator.IGNORED),
    config=discriminator.config,
    build=discriminator.build,
    unused=discriminator.unused,
    entries=('dis',),
    part='dis',
  ),
  'motion': Kind(
    'stage 2 of IF-MDM: `ema`, else `model`',
    'unpublished',
    motion.convert,
    _always(motion.RULES),
    _known(motion.RULES, motion.IGNORED),
    config=motion.config,
    build=motion.build,
    unused=motion.unused,
    entries=('ema', 'model'),
  ),
  'difftalk': Kind(
    'stage 2 of DiffTalk: U-Net (its average where there is one), networks of voice and landmarks',
    'unpublished',
    difftalk.convert,
    lambda model, params: difftalk.rules(model),
    difftalk.KNOWN,
    config=difftalk.config,
    build=difftalk.build,
    strip=difftalk.strip,
  ),
  'difftalk_autoencoder': Kind(
    'latent diffusion, vq-f4 (model.ckpt), or the same file of DiffTalk: its first stage',
    'MIT code; terms of its training pictures (OpenImages)',
    difftalk.convert_first_stage,
    _always(latent.FIRST_STAGE),
    _known(latent.FIRST_STAGE, difftalk.IGNORED_FIRST_STAGE),
    config=difftalk.config,
    build=difftalk.build,
    part='gen',
    strip=difftalk.strip_first_stage,
  ),
  'wav2vec2': _speech(
    'wav2vec2', 'facebook/wav2vec2-base, -large, ... on Hugging Face', 'Apache-2.0'
  ),
  'hubert': _speech(
    'hubert', 'facebook/hubert-base-ls960, -large-ll60k on Hugging Face', 'Apache-2.0'
  ),
  'wavlm': _speech(
    'wavlm', 'microsoft/wavlm-base, -base-plus, -large on Hugging Face', 'see its card'
  ),
  'vgg16': _vgg('vgg16', 'vgg16-397923af.pth'),
  'vgg19': _vgg('vgg19', 'vgg19-dcbb9e9d.pth'),
  'lpips': Kind(
    'PerceptualSimilarity v0.1 heads, merged with torchvision AlexNet or VGG-16',
    'BSD-2',
    lpips.convert,
    _lpips_rows,
    _known(lpips.rules('alex'), lpips.IGNORED),
    network='ifmdm_jax.perception.lpips',
  ),
  'arcface': _measuring(
    arcface,
    'arcface',
    'InsightFace backbone.pth, IResNet-18 to 100',
    'non-commercial, research only',
  ),
  'syncnet': _measuring(syncnet, 'syncnet', 'syncnet_python, syncnet_v2.model', 'MIT'),
  'inception_fid': _measuring(
    inception, 'inception', 'pytorch-fid, pt_inception-2015-12-05-6726825d.pth', 'Apache-2.0'
  ),
  'i3d': _measuring(i3d, 'i3d', 'pytorch-i3d, rgb_imagenet.pt', 'Apache-2.0'),
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
  """Reads weights of a kind from a file or folder, as `Imported`.

  Args:
    name: in KINDS.
    source: see `files.read`.
    options: of the table's `convert`; `layer` of a speech encoder, `heads` of `motion`.

  Raises:
    InputError: the source cannot be read or does not fit; the line names the kind that would.
  """
  return convert(name, files.read(source), source, **options)


def convert(name, tree, source, **options):
  """Converts what `files.read` found; see `read`."""
  kind = KINDS[name]
  if kind.folder:
    options |= dict(settings=files.settings(source))
  try:
    state = kind.strip(files.pick(tree, kind.entries, source))
    model, params = kind.convert(state, **options)
  except InputError as error:
    other = likely(tree)
    if other in (name, None) or KINDS[other].known == kind.known:
      raise
    raise InputError(
      f'{source} does not look like weights of kind {name} but of {other}: pass --kind {other}'
    ) from error
  config = kind.config(model) if kind.config else dict(module=kind.network)
  names, unused = engine.sort(state, kind.rows(model, params), params)
  halves = sum(
    array.dtype.itemsize == 2 and array.dtype.kind not in 'iu' for array in state.values()
  )
  return Imported(config, params, names, unused, halves)


def likely(tree):
  """Guesses the kind that knows most of the names in a file; None if none knows half of them."""
  best, share = None, 0.5
  for name, kind in KINDS.items():
    try:
      state = kind.strip(files.pick(tree, kind.entries, ''))
    except InputError:
      continue
    matched = sum(any(engine.matches(known, key) for known in kind.known) for key in state)
    if matched / len(state) > share:
      best, share = name, matched / len(state)
  return best


def export(name, config, params, names=None, unused=None):
  """Writes parameters of a kind as a state dict that loads strictly in the original.

  Args:
    name: in KINDS.
    config: config.model.
    params: of a checkpoint: of the network, or of all parts of the model.
    names, unused: of `Imported`, if the weights came from a file; else their defaults.

  Raises:
    InputError: the checkpoint is of another model.
  """
  kind = KINDS[name]
  if kind.part and kind.part not in params:
    raise InputError(f'the checkpoint holds {", ".join(params)}, no {kind.part}: check --kind')
  params = params[kind.part] if kind.part else params
  model = kind.build(config) if kind.build else None
  state = engine.export(params, kind.rows(model, params), names)
  if unused is None:
    unused = kind.unused(model) if kind.unused else {}
  return state | unused
