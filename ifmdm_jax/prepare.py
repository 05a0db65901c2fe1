"""A folder of clips becomes what training reads.

  python -m ifmdm_jax.prepare --source CLIPS --output runs/cache
  python -m ifmdm_jax.prepare --output runs/cache --autoencoder runs/autoencoder

The first decodes every clip once and finds its landmarks, for stage 1. The second writes motion
codes and speech features for stage 2, with the autoencoder that stage 1 made. Clips are square,
25 fps, one face, H.264 or anything FFmpeg decodes. What is done already is not done again.
"""

import concurrent.futures
import functools
import json
import os
import pathlib

import jax
import numpy as np
from absl import flags
from tqdm import tqdm

from ifmdm_jax import errors
from ifmdm_jax.errors import InputError

_SOURCE = flags.DEFINE_string(
  'source', None, 'Folder with clips (and stills/, MANIFEST.csv).', **errors.SHARED
)
_OUTPUT = flags.DEFINE_string('output', None, 'Folder of the cache.', **errors.SHARED)
_AUTOENCODER = flags.DEFINE_string(
  'autoencoder', None, 'Workdir of a trained stage 1.', **errors.SHARED
)
_SIZE = flags.DEFINE_integer(
  'size', 256, 'Side of the stored pictures.', lower_bound=32, **errors.SHARED
)
_AUDIO = flags.DEFINE_string(
  'audio', 'whisper_tiny', 'Speech encoder: whisper_tiny, mel, wav2vec2.', **errors.SHARED
)


def features_of(clip, name, encoder):
  """Speech features [2T, A] of a clip, kept beside its frames; None where there is no sound."""
  from ifmdm_jax.audio import waveform

  path = clip.folder / f'features_{name}.npy'
  if not path.exists():
    try:
      sound, rate = waveform.read(clip.video)
    except InputError:
      return None
    np.save(path, encoder.features(sound, rate))
  return np.load(path)


def encode(cache_folder, autoencoder, hear, window=65, batch=64):
  """Codes of every frame and its mirror image, features of the sound, and their statistics.

  Args:
    cache_folder: of `pipeline.cache.build`.
    autoencoder: (module, config, params) of a trained stage 1.
    hear: clip -> speech features [2T, A], or None.
    window: frames that stage 2 sees at once, for the statistics.
  """
  from ifmdm_jax.pipeline import cache, motion

  module, config, params = autoencoder
  codes_of = jax.jit(lambda frames: module.motion(params, frames, config))

  def codes(frames):
    whole = np.pad(frames, ((0, -len(frames) % batch), (0, 0), (0, 0), (0, 0)), mode='edge')
    found = [np.asarray(codes_of(whole[i : i + batch])) for i in range(0, len(whole), batch)]
    return np.concatenate(found)[: len(frames)]

  folder = pathlib.Path(cache_folder) / 'motion'
  folder.mkdir(parents=True, exist_ok=True)

  def encode_clip(clip):
    features = hear(clip)
    if features is None:
      return None  # silent clips teach stage 1 only
    frames = clip.frames
    count = min(len(frames), len(features) // 2)
    frames = np.asarray(frames[:count])
    np.savez(
      folder / f'{clip.name}.npz',
      codes=codes(frames),
      mirrored=codes(frames[:, :, ::-1]),
      features=features[: 2 * count],
    )
    return dict(name=clip.name, person=clip.person, split=clip.split)

  clips = cache.clips(cache_folder)
  with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:  # NumPy and XLA free the lock
    done = tqdm(pool.map(encode_clip, clips), 'motion codes', len(clips), unit='clip')
    entries = [entry for entry in done if entry is not None]
  train = [np.load(folder / f'{e["name"]}.npz') for e in entries if e['split'] == 'train']
  found = motion.statistics([c['codes'] for c in train], [c['features'] for c in train], window)
  np.savez(folder / 'statistics.npz', **found)
  (folder / 'index.json').write_text(json.dumps(entries, indent=1))
  return len(entries)


def main(_):
  if not _OUTPUT.value or not (_SOURCE.value or _AUTOENCODER.value):
    raise InputError('expected --output and one of --source, --autoencoder: --help shows examples')
  if _SOURCE.value:
    from ifmdm_jax.pipeline import cache

    cache.build(_SOURCE.value, _OUTPUT.value, _SIZE.value)
    print(f'{_OUTPUT.value}: {len(cache.clips(_OUTPUT.value))} clips')
  if _AUTOENCODER.value:
    from ifmdm_jax import release
    from ifmdm_jax.audio import features

    hear = functools.partial(features_of, name=_AUDIO.value, encoder=features.load(_AUDIO.value))
    count = encode(_OUTPUT.value, release.trained(_AUTOENCODER.value), hear)
    print(f'{_OUTPUT.value}/motion: codes and features of {count} clips with sound')


if __name__ == '__main__':
  errors.run(main)
