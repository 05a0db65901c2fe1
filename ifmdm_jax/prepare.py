"""A folder of raw videos becomes a training set that explains itself.

  python -m ifmdm_jax.prepare --source FILMS --output runs/cache
  python -m ifmdm_jax.prepare --output runs/cache --codes
  python -m ifmdm_jax.prepare --output runs/cache --autoencoder runs/autoencoder

The first finds everybody who talks in any films at any depth, cuts them out at 25 fps with their
voice in sync, and writes records for stage 1; runs/cache/report.html shows what was kept, what was
dropped, and why. The second adds motion codes and speech features for stage 2 of `lite`, whose
codes follow from the landmarks; the third those of any other autoencoder, which stage 1 made.

  --layout hdtf --workers 8               a public set: who is who comes from its file names
  --matte                                 find the person in every frame, for --config.data.blur=1
  --limit face=100 --limit sync=0.4       stricter; all are in ifmdm_jax/pipeline/prep/filters.py
  --beam_pipeline_options=--runner=FlinkRunner,...    the same on a cluster, with Apache Beam
  --format folder                         no cutting: ready clips (square, 25 fps) to plain arrays
"""

import concurrent.futures
import dataclasses
import functools
import itertools
import json
import os
import pathlib

import jax
import numpy as np
from absl import flags
from tqdm import tqdm

from ifmdm_jax import errors
from ifmdm_jax.errors import InputError
from ifmdm_jax.face.points import MIRROR, mouth_opening, smooth

_SOURCE = flags.DEFINE_string(
  'source', None, 'Folder with films (and stills/, MANIFEST.csv).', **errors.SHARED
)
_OUTPUT = flags.DEFINE_string('output', None, 'Folder of the set.', **errors.SHARED)
_AUTOENCODER = flags.DEFINE_string(
  'autoencoder', None, 'Workdir of a trained stage 1.', **errors.SHARED
)
_CODES = flags.DEFINE_bool(
  'codes', False, "Write lite's motion codes; they follow from landmarks alone.", **errors.SHARED
)
_FORMAT = flags.DEFINE_enum(
  'format', 'records', ['records', 'folder'], 'folder: ready clips to plain arrays.',
  **errors.SHARED,
)  # fmt: skip
_LAYOUT = flags.DEFINE_string(
  'layout', 'folder', 'folder, hdtf, celebv, voxceleb2 or talkinghead1kh.', **errors.SHARED
)
_SIZE = flags.DEFINE_integer(
  'size', None, 'Side of the stored pictures; 512, of --format folder 256.', lower_bound=32,
  **errors.SHARED,
)  # fmt: skip
_WORKERS = flags.DEFINE_integer(
  'workers', None, 'Processes; by default one per core.', lower_bound=1, **errors.SHARED
)
_FACE = flags.DEFINE_float(
  'face_fraction', 0.5, 'Face height as a share of the square: less is a wider margin.',
  lower_bound=0.1, upper_bound=0.7, **errors.SHARED,
)  # fmt: skip
_SMOOTHING = flags.DEFINE_float(
  'smoothing', 0.0, 'Seconds over which the square follows the head; 0: it stands still.',
  lower_bound=0, **errors.SHARED,
)  # fmt: skip
_LONGEST = flags.DEFINE_float(
  'longest', 20.0, 'Seconds; longer takes become several tracks.', lower_bound=5, **errors.SHARED
)
_LIMIT = flags.DEFINE_multi_string(
  'limit', [], 'NAME=NUMBER, moves a limit of the filter.', **errors.SHARED
)
_KEEP_SILENT = flags.DEFINE_bool(
  'keep_silent', False, 'Keep tracks without sound; they teach stage 1 only.', **errors.SHARED
)
_CORRECT_SYNC = flags.DEFINE_bool(
  'correct_sync', True, 'Move the voice to the lips where they are apart.', **errors.SHARED
)
_MATTE = flags.DEFINE_bool(
  'matte', False, 'Find the person in every frame, for training that blurs the background.',
  **errors.SHARED,
)  # fmt: skip
_BEAM = flags.DEFINE_list(
  'beam_pipeline_options', None,
  'Run on Apache Beam with these options; --output must be seen by all workers.', **errors.SHARED,
)  # fmt: skip
_AUDIO = flags.DEFINE_string(
  'audio', 'whisper_tiny', 'Speech encoder: whisper_tiny, mel, or a folder.', **errors.SHARED
)
_STATISTICS_OF = 500  # clips, spread over the set: their features have to fit into memory
LAG = 15  # frames that voice and lips are looked for apart


class SyncJudge:
  """(waveform [L] at 16 kHz, landmarks [T, 468, 2]) -> (frames by which the voice is late, r).

  No network is trained for it: a ridge regression from Whisper features to the mouth opening
  (`evaluation.sync`), whose correlation with the opening seen is taken at every shift.
  """

  def __init__(self):
    from ifmdm_jax.audio import features
    from ifmdm_jax.evaluation import sync

    self._encoder, self._judge, self._sync = features.load('whisper_tiny'), sync.load().judge, sync

  def __call__(self, waveform, landmarks):
    speech = self._encoder.features(waveform, 16_000)
    return self.shift(speech, mouth_opening(landmarks))

  def shift(self, speech, opening):
    """The same from features [2T, 384] and mouth opening [T]."""
    predicted = self._judge.predict(speech)
    r, lag = self._sync.best_lag(predicted, smooth(opening), LAG)
    return lag, r


def settings_of_flags():
  """The `prep.process.Settings` that the flags ask for."""
  from ifmdm_jax.pipeline.prep import filters, process

  limits = {}
  known = {field.name for field in dataclasses.fields(filters.Limits)}
  for text in _LIMIT.value:
    name, _, number = text.partition('=')
    try:
      limits[name] = float(number)
    except ValueError:
      limits[name] = None
    if name not in known or limits[name] is None:
      raise InputError(f'--limit {text}: expected NAME=NUMBER, NAME of {", ".join(sorted(known))}')
  return process.Settings(
    size=_SIZE.value or 512,
    face_fraction=_FACE.value,
    smoothing=_SMOOTHING.value,
    longest=_LONGEST.value,
    keep_silent=_KEEP_SILENT.value,
    correct_sync=_CORRECT_SYNC.value,
    matte=_MATTE.value,
    limits=filters.Limits(**limits),
  )


def build(root, output, settings, layout='folder', workers=1, make_sync=SyncJudge, beam=None):
  """Films under `root` to records at `output`; returns the numbers of the report.

  Args:
    settings: `prep.process.Settings`.
    layout: see `prep.layouts`.
    workers: processes.
    make_sync: makes the judge of sync in every process.
    beam: options of a Beam pipeline, which then does the work.

  Raises:
    InputError: there are no films, or nothing in them could be kept.
  """
  from ifmdm_jax.pipeline import cache, records
  from ifmdm_jax.pipeline.prep import layouts, process, report
  from ifmdm_jax.pipeline.prep import workers as pool

  output = pathlib.Path(output).resolve()
  sources = layouts.find(root, layout)
  process.sweep(output)
  if beam is None:
    done = pool.run(sources, output, settings, make_sync, workers)
    results = list(tqdm(done, 'films', len(sources), unit='film'))
  else:
    from ifmdm_jax.pipeline.prep import on_beam

    on_beam.run(sources, output, settings, make_sync, beam)
    results = [process.finished(output / 'videos' / s.key, s, settings) for s in sources]
  results.sort(key=lambda result: result['source'])
  kept = [result for result in results if result['kept']]
  if not kept:
    report.write(output, results, dataclasses.asdict(settings))
    raise InputError(
      f'expected somebody who talks, nothing in {len(sources)} films could be kept: '
      f'{output}/report.html says why, --limit moves the limits'
    )
  if not records.holds(output, results):
    splits = sorted({result['split'] for result in kept})
    chosen = {split: [r for r in kept if r['split'] == split] for split in splits}
    if beam is None:
      examples_of = functools.partial(records.examples_of, output=output)
      examples = {
        split: itertools.chain.from_iterable(map(examples_of, some))
        for split, some in chosen.items()
      }
    else:
      examples = {split: on_beam.examples(some, output) for split, some in chosen.items()}
    records.write(records.TalkingFaces, output / 'records', examples, beam)
    records.write_index(output)
  cache.build_stills(root, output, settings.size, settings.matte)
  return report.write(output, results, dataclasses.asdict(settings))


def features_of(clip, name, encoder):
  """Speech features [2T, A] of a clip, kept beside its frames; None where there is no sound."""
  from ifmdm_jax.audio import waveform
  from ifmdm_jax.pipeline import cache

  if not isinstance(clip, cache.Clip):
    return encoder.features(clip.waveform, 16_000) if clip.sound else None
  path = clip.folder / f'features_{pathlib.Path(name).name}.npy'
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
    cache_folder: plain arrays of `pipeline.cache.build`, or records.
    autoencoder: (module, config, params) of a trained stage 1; None: `lite`, whose codes are
      linear in the landmarks of the set, smoothed over three frames.
    hear: clip -> speech features [2T, A], or None.
    window: frames that stage 2 sees at once, for the statistics.
  """
  from ifmdm_jax.pipeline import cache, motion

  if autoencoder is None:
    read = _landmark_reader()
  else:
    read = _frame_reader(autoencoder, batch)

  def encode_clip(clip):
    features = hear(clip)
    if features is None:
      return None  # silent clips teach stage 1 only
    count = min(len(clip.landmarks), len(features) // 2)
    found = read(clip, count)
    if found is None:
      return None  # the face was lost somewhere
    made = dict(codes=found[0], mirrored=found[1], features=features[: 2 * count])
    return dict(name=clip.name, person=clip.person, split=clip.split, licence=clip.licence), made

  folder = pathlib.Path(cache_folder) / 'motion'
  folder.mkdir(parents=True, exist_ok=True)
  clips = cache.clips(cache_folder)
  write = _write_records if cache.is_records(cache_folder) else _write_arrays
  count, train = write(folder, clips, encode_clip)
  found = motion.statistics([c['codes'] for c in train], [c['features'] for c in train], window)
  np.savez(folder / 'statistics.npz', **found)
  return count


def _frame_reader(autoencoder, batch):
  """(clip, count) -> codes of its frames and of their mirror images, [count, M] each."""
  module, config, params = autoencoder
  codes_of = jax.jit(lambda frames: module.motion(params, frames, config))

  def codes(frames):
    whole = np.pad(frames, ((0, -len(frames) % batch), (0, 0), (0, 0), (0, 0)), mode='edge')
    found = [np.asarray(codes_of(whole[i : i + batch])) for i in range(0, len(whole), batch)]
    return np.concatenate(found)[: len(frames)]

  def read(clip, count):
    frames = np.asarray(clip.frames[:count])
    return codes(frames), codes(frames[:, :, ::-1])

  return read


def _landmark_reader():
  """The same from landmarks alone; None for a clip whose face was lost."""
  from ifmdm_jax.pipeline import landmark_code

  code = landmark_code.load()

  def read(clip, count):
    points = smooth(clip.landmarks)[:count]
    if not np.isfinite(points).all():
      return None
    flipped = points[:, MIRROR] * np.float32([-1, 1]) + np.float32([1, 0])
    return code(points), code(flipped)

  return read


def _write_arrays(folder, clips, encode_clip):
  """NAME.npz per clip; returns how many and those of split train."""

  def save(clip):
    entry, made = encode_clip(clip) or (None, None)
    if entry:
      np.savez(folder / f'{clip.name}.npz', **made)
    return entry

  with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:  # NumPy and XLA free the lock
    done = tqdm(pool.map(save, clips), 'motion codes', len(clips), unit='clip')
    entries = [entry for entry in done if entry is not None]
  (folder / 'index.json').write_text(json.dumps(entries, indent=1))
  return len(entries), [
    np.load(folder / f'{e["name"]}.npz') for e in entries if e['split'] == 'train'
  ]


def _write_records(folder, clips, encode_clip):
  """The same as records; the statistics are those of at most `_STATISTICS_OF` clips."""
  from ifmdm_jax.pipeline import records

  progress = tqdm(total=len(clips), desc='motion codes', unit='clip')

  def examples(split):
    for clip in clips:
      if clip.split != split:
        continue
      entry, made = encode_clip(clip) or (None, None)
      progress.update()
      if entry:
        about = dict(
          entry,
          count=len(made['codes']),
          motion_dim=made['codes'].shape[1],
          width=made['features'].shape[1],
        )
        arrays = {k: np.ascontiguousarray(v, np.float32).tobytes() for k, v in made.items()}
        yield clip.name, dict(arrays, about=json.dumps(about, sort_keys=True))

  with progress:
    having = sorted({clip.split for clip in clips if clip.sound})
    examples = {split: examples(split) for split in having}
    records.write(records.MotionCodes, folder / 'records', examples)
  entries = records.write_index(folder)
  train = [e for e in entries if e['split'] == 'train']
  some = train[:: -(-len(train) // _STATISTICS_OF) or 1]
  return len(entries), list(records.codes(folder, 'train', some))


def main(_):
  if not _OUTPUT.value or not (_SOURCE.value or _AUTOENCODER.value or _CODES.value):
    raise InputError(
      'expected --output and one of --source, --codes, --autoencoder: --help shows examples'
    )
  if _SOURCE.value and _FORMAT.value == 'folder':
    from ifmdm_jax.pipeline import cache

    cache.build(_SOURCE.value, _OUTPUT.value, _SIZE.value or 256, _MATTE.value)
    print(f'{_OUTPUT.value}: {len(cache.clips(_OUTPUT.value))} clips')
  elif _SOURCE.value:
    from ifmdm_jax import prepare  # not __main__: other processes look for the judge there

    summary = build(
      _SOURCE.value,
      _OUTPUT.value,
      settings_of_flags(),
      _LAYOUT.value,
      _WORKERS.value or os.cpu_count(),
      prepare.SyncJudge,
      _BEAM.value,
    )
    print(
      f'{_OUTPUT.value}: {summary["tracks_kept"]} tracks, {60 * summary["hours_kept"]:.1f} '
      f'minutes, {summary["people"]["train"]} people to train on, {summary["people"]["val"]} held '
      f'out; '
      f'{sum(summary["dropped"].values())} dropped, see {_OUTPUT.value}/report.html'
    )
  if _AUTOENCODER.value or _CODES.value:
    from ifmdm_jax import bundle
    from ifmdm_jax.audio import features

    hear = functools.partial(features_of, name=_AUDIO.value, encoder=features.load(_AUDIO.value))
    stage_1 = bundle.trained(_AUTOENCODER.value) if _AUTOENCODER.value else None
    count = encode(_OUTPUT.value, stage_1, hear)
    print(f'{_OUTPUT.value}/motion: codes and features of {count} clips with sound')


if __name__ == '__main__':
  errors.run(main)
