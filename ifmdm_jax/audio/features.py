"""Sound -> two feature vectors per video frame: the one interface to every speech encoder.

  encoder = features.load('whisper_tiny', layer=2)     # or a folder of ifmdm_jax.import_weights
  speech = encoder.features(waveform, sample_rate)      # float32 [2T, D], T = round(seconds * 25)

The time line is the recording's own: feature k is centred on k / 50 s, so that features 2t and
2t + 1 belong to frame t, which is displayed from t / 25 s. Nothing is standardised here.
"""

import functools
import os
import pathlib
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax import errors, files
from ifmdm_jax.audio import logmel, wav2vec2, whisper, windows
from ifmdm_jax.audio import waveform as waveforms
from ifmdm_jax.rates import SAMPLE_RATE

RATE = 50  # features per second
SAMPLES = SAMPLE_RATE // RATE  # 320 samples a feature
FRAMES = 2  # mel frames a feature
WHISPER = {'whisper_base': whisper.MULTILINGUAL, 'whisper_tiny': whisper.WEIGHTS}
IMPORTED = ('wav2vec2', 'hubert', 'wavlm')
NAMES = (*WHISPER, 'mel', *IMPORTED)


class AudioEncoder(Protocol):
  """What the rest of the system knows about a speech encoder."""

  width: int

  def features(self, waveform, sample_rate):
    """Encodes [L] or [L, C] at any rate -> float32 [2T, width], T = round(L / rate * 25).

    Raises:
      ifmdm_jax.errors.InputError: the waveform cannot be used; see `waveform.prepare`.
    """
    ...


def load(name, **options):
  """Loads an AudioEncoder by name.

  'whisper_base': Whisper-base, 99 languages, 512 wide; bundled weights; layer=2 or layers=(1, 2)
    (concatenated); path= another file.
  'whisper_tiny': the same of Whisper-tiny, English alone, 384 wide.
  'wav2vec2', 'hubert', 'wavlm': what is in the folder of that name, here or in the folder of
    imported weights that the environment variable IFMDM_WEIGHTS names; layer=, else the one that it
    was imported with.
  'mel': two consecutive 80-band log-mel frames, 160 wide; for networks with an encoder of their
    own.
  A folder: the same as `ifmdm_jax.import_weights` left it anywhere.

  Raises:
    errors.InputError: there is no such encoder.
  """
  if name == 'mel':
    return LogMel(**options)
  if name in WHISPER:
    return Whisper(**{'path': WHISPER[name], **options})
  if name in IMPORTED and not pathlib.Path(name).is_dir():
    folder = os.environ.get('IFMDM_WEIGHTS', 'weights')
    name = os.path.join(folder, name)
  if pathlib.Path(name).is_dir():
    return imported(name, **options)
  raise errors.InputError(
    f'audio encoder {name!r} is neither of {", ".join(NAMES)} nor a folder: import wav2vec2, '
    'hubert or wavlm with python -m ifmdm_jax.import_weights, and name its --output here'
  )


def check_bundled(name, owner):
  """Refuses a folder as a bundle's speech encoder: what a stranger's file names is not opened."""
  if name not in NAMES:
    raise errors.InputError(
      f'expected a speech encoder of {", ".join(NAMES)}, {owner} has {name!s:.80}: put the folder '
      'in $IFMDM_WEIGHTS under its kind, and train with that name'
    )


def imported(folder, layer=None):
  """Loads the encoder in a folder of `ifmdm_jax.import_weights`."""
  path = pathlib.Path(folder) / files.IMPORTED
  config = files.read_settings(path) if path.is_file() else {}
  if config.get('module') != wav2vec2.__name__:
    raise errors.InputError(
      f'{folder} holds {config.get("module", f"no {files.IMPORTED}")}, expected a speech encoder: '
      'import one with --kind wav2vec2, hubert or wavlm'
    )
  params = files.read_arrays(path)
  try:
    module = wav2vec2.build(config)
  except (KeyError, TypeError, ValueError) as error:
    raise errors.InputError(
      f'expected the settings of a speech encoder in {path}, they are not ({error}): import it anew'
    ) from error
  if layer is not None:
    module = module.clone(layer=layer)
  return Wav2Vec2(module, params)


class Whisper:
  """Whisper's encoder, the output of one block or several."""

  def __init__(self, layer=2, layers=None, path=whisper.WEIGHTS):
    module, params = whisper.load(path, tuple(layers) if layers else (layer,))
    self.width = module.width * len(module.layers)
    apply = jax.jit(lambda params, *inputs: module.apply({'params': params}, *inputs))
    self._network = functools.partial(apply, jax.device_put(params))  # no constants: see Wav2Vec2

  def features(self, waveform, sample_rate):
    mel = _whisper_mel(*_on_grid(waveform, sample_rate))
    # Silence, where the scale bottoms out: log10 of 1e-10, or 8 decades below the loudest sound.
    return windows.encode(self._network, mel, FRAMES, fill=max(-1.5, mel.max() - 2.0))


class LogMel:
  """Whisper's log-mel input itself, no network: for an encoder trained with the rest."""

  width = 160

  def features(self, waveform, sample_rate):
    return _whisper_mel(*_on_grid(waveform, sample_rate)).reshape(-1, self.width)


class Wav2Vec2:
  """wav2vec2, HuBERT or WavLM, moved from its own 49.x Hz grid to the recording's time line."""

  def __init__(self, module, params):
    if module.layer != wav2vec2.MIX and module.layer not in range(module.depth + 1):
      raise errors.InputError(
        f'layer is {module.layer!r}, expected 0 to {module.depth}, or {wav2vec2.MIX!r}'
      )
    if module.layer == wav2vec2.MIX and 'mix' not in params:  # not learned yet: all alike
      params = dict(params, mix=jnp.zeros(module.depth + 1))
    self.width, self._standardised = module.width, module.standardised
    apply = jax.jit(lambda params, *inputs: module.apply({'params': params}, *inputs))
    self._network = functools.partial(apply, params)  # no constants: there may be 300 million

  def features(self, waveform, sample_rate):
    samples, _ = _on_grid(waveform, sample_rate)
    if self._standardised:  # over the whole recording, as in its pre-training
      samples = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
    return windows.encode(self._network, samples, SAMPLES)


def _on_grid(waveform, sample_rate):
  """16 kHz sound cut or padded to whole video frames [2T * 320], and the sound before that."""
  samples = waveforms.prepare(waveform, sample_rate)
  count = 2 * SAMPLES * waveforms.num_frames(len(waveform), sample_rate)
  return np.pad(samples, (0, max(0, count - len(samples))))[:count], samples


def _whisper_mel(grid, samples, block=1000):
  """Whisper's scaled log-mel, 100 frames a second: [4T, 80], in blocks of 10 s."""
  mel = logmel.Mel()
  half, count = mel.n_fft // 2, len(grid) // mel.hop
  # The start is mirrored as in Whisper's transform, the end followed by silence as in its 30 s.
  blocks = -(-count // block) if count > block else 1
  size = block if blocks > 1 else next(s for s in (200, 500, block) if count <= s)
  padded = np.concatenate([samples[half:0:-1], samples])
  length = blocks * size * mel.hop + mel.n_fft
  padded = np.pad(padded, (0, max(0, length - len(padded))))[:length]
  # Each block reads the window's overhang beyond its last hop.
  spans = [
    padded[i * size * mel.hop :][: size * mel.hop + mel.n_fft - mel.hop] for i in range(blocks)
  ]
  log10 = np.concatenate([np.asarray(_log10_power(span, mel)) for span in spans])[:count]
  return logmel.whisper_scale(log10)


@functools.partial(jax.jit, static_argnums=1)
def _log10_power(samples, mel):
  return jnp.log10(jnp.maximum(mel.power(samples), 1e-10))
