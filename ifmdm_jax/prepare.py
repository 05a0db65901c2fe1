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
  --format folder                         no cutting: ready clips (square, 25 fps, one face)
  --format animated                       clips of the stills of a set, animated by the renderer:
                                          --source runs/cache --output runs/animated
  --features --audio whisper_tiny         speech features alone, without motion codes
  --face_motion                           face units, head and gaze by name, with speech features
"""

import os
import pathlib

from absl import flags

from ifmdm_jax import bundle, errors, extras
from ifmdm_jax.errors import InputError
from ifmdm_jax.pipeline import (
  animate,
  codes,
  face_motion,
  features,
  lip_crops,
  quiet,
  records,
  write,
)
from ifmdm_jax.pipeline.frames import QUALITY
from ifmdm_jax.pipeline.prep import animated, filters, lag, layouts, results

# fmt: off
F, SHARED = flags.FLAGS, errors.SHARED
flags.DEFINE_string('source', None, 'Folder with films (and stills/, MANIFEST.csv).', **SHARED)
flags.DEFINE_string('output', None, 'Folder of the set.', **SHARED)
flags.DEFINE_string('autoencoder', None, 'Workdir of a trained stage 1: write its codes.', **SHARED)
flags.DEFINE_bool('codes', False, "Write lite's codes, which follow from landmarks.", **SHARED)
flags.DEFINE_bool('features', False, 'Write speech features alone.', **SHARED)
flags.DEFINE_bool('face_motion', False, 'Write face units, head and gaze, by name.', **SHARED)
flags.DEFINE_bool('lips', False, 'Write lips and voices, for the sync network.', **SHARED)
flags.DEFINE_enum('format', 'records', ['records', 'folder', 'animated'], 'folder: ready clips; '
                  'animated: --source is a set, whose stills are animated.', **SHARED)
flags.DEFINE_string('voices', None, 'Folder of recordings for --format animated (and MANIFEST.csv);'
                    ' by default the voices of the set.', **SHARED)
flags.DEFINE_string('licence', '', 'Pattern in the licence of the stills and voices of --format '
                    'animated.', **SHARED)
flags.DEFINE_string('checkpoint', None, 'Weights that animate, by default the bundled ones.',
                    **SHARED)
flags.DEFINE_string('layout', 'folder', f'One of {", ".join(layouts.LAYOUTS)}.', **SHARED)
flags.DEFINE_integer('size', None, 'Side of the stored pictures; 512, of other formats 256.', 32,
                     **SHARED)
flags.DEFINE_integer('quality', QUALITY, 'Of stored pictures; 101: without loss.', 1, 101, **SHARED)
flags.DEFINE_integer('workers', None, 'Processes; 0: one; default: one per core.', 0, **SHARED)
flags.DEFINE_float('face_fraction', 0.5, 'Face height as a share of the square: less is a wider '
                   'margin.', 0.1, 0.7, **SHARED)
flags.DEFINE_float('smoothing', 0.0, 'Seconds over which the square follows the head; 0: it stands '
                   'still.', 0, **SHARED)
flags.DEFINE_float('longest', None, 'Seconds; 20, longer takes become several tracks; of --format '
                   'animated 3.2.', 2, **SHARED)
flags.DEFINE_multi_string('limit', [], 'NAME=NUMBER, moves a limit of the filter.', **SHARED)
flags.DEFINE_bool('keep_silent', False, 'Keep tracks without sound, for stage 1 only.', **SHARED)
flags.DEFINE_bool('correct_sync', True, 'Move the voice to the lips where they are apart.',
                  **SHARED)
flags.DEFINE_bool('matte', False, 'Find the person in every frame, for training that blurs the '
                  'background.', **SHARED)
flags.DEFINE_list('beam_pipeline_options', None, 'Run on Apache Beam with these options; --output '
                  'must be seen by all workers.', **SHARED)
flags.DEFINE_string('audio', 'whisper_base', 'Speech encoder: whisper_base, whisper_tiny, mel, or '
                    'a folder.', **SHARED)
# fmt: on


def main(_):
  if not F.output or not (
    F.source or F.autoencoder or F.codes or F.features or F.lips or F.face_motion
  ):
    raise InputError(
      'expected --output and one of --source, --codes, --features, --face_motion, --lips, '
      '--autoencoder: --help shows examples'
    )
  if len(records.folders(F.output)) > 1 and not F.source:
    raise InputError(f'--output is {F.output}, expected one folder: they are prepared one by one')
  extras.require('tensorflow_datasets', 'array_record')  # what writes and reads a set
  if F.source:
    summary = (_animated if F.format == 'animated' else _cut)()
    print(f'{F.output}: {write.sentence(summary)}, see {F.output}/report.html')
  if F.features:
    count = features.write(F.output, F.audio, features.encoder(F.audio))
    print(f'{F.output}: speech features of {count} clips')
  if F.lips:
    count = lip_crops.write(F.output, features.encoder('whisper_tiny'))
    print(f'{F.output}: lips of {count} clips with sound')
  if F.face_motion:
    encode = features.of_set(F.output, F.audio), quiet.encoder(F.audio)
    count = codes.write(
      F.output, face_motion.of_frames(), encode[0], alter=encode[1], folder=face_motion.FOLDER
    )
    print(f'{F.output}/{face_motion.FOLDER}: what {count} faces do, with their voices')
  if F.autoencoder or F.codes:
    trained = bundle.trained(F.autoencoder) if F.autoencoder else None
    read_codes = codes.of_frames(trained) if trained else codes.of_landmarks()
    count = codes.write(
      F.output, read_codes, features.of_set(F.output, F.audio), alter=quiet.encoder(F.audio)
    )
    print(f'{F.output}/motion: codes and features of {count} clips with sound')


def _settings(**changes):
  names = 'face_fraction', 'smoothing', 'quality', 'keep_silent', 'correct_sync', 'matte'
  return results.Settings(**{name: F[name].value for name in names}, **changes)


def _cut():
  ready = F.format == 'folder'
  size, limits = F.size or (256 if ready else 512), filters.Limits.parse(F.limit)
  settings = _settings(size=size, limits=limits, longest=F.longest or 20.0)
  return write.build(
    F.source, F.output, settings, lag.LagEstimator, layout=F.layout, ready=ready,
    processes=os.cpu_count() if F.workers is None else max(1, F.workers),
    beam=F.beam_pipeline_options,
  )  # fmt: skip


def _animated():
  limits = animated.Limits.parse(F.limit)
  settings = _settings(size=F.size or 256, limits=limits, longest=F.longest or 3.2)
  folder = pathlib.Path(F.checkpoint or bundle.BUNDLED)
  version = bundle.read(folder).version if (folder / 'config.json').exists() else ''
  return animate.build(
    F.source, F.output, settings, bundle.load(F.checkpoint), version,
    voices=F.voices, licence=F.licence,
  )  # fmt: skip


if __name__ == '__main__':
  errors.run(main)
