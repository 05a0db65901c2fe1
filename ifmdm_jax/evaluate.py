"""One command, one table: how good talking heads are, by a protocol that others can repeat.

  python -m ifmdm_jax.evaluate --protocol data/protocols/val_shared.json --output out/evaluation

Scores the bundled weights on the clips that the protocol lists and prints a table; beside it stand
the real videos themselves (ground_truth) and the first frame repeated (first_frame), without which
no figure means much. Under --output:

  report.html   the table with 95 % intervals over clips, a dot per clip, the videos, worst first
  scores.json   metric -> value, intervals, what is absent and why
  scores.csv    clip by clip            scores.md   the table as Markdown
  clips/        what is done already: the same command goes on where it was stopped

What to score, one or more, with commas between or the flag repeated:

  weights of your own              --generate runs/motion
  videos of any other program      --generate their_videos     (NAME.mp4 of each clip, and
                                   reenact/NAME.mp4 where there; any size and frame rate)
  the two alone                    --generate ground_truth,first_frame

reenact_* is about the first frame with the clip's own motion, every other figure about the first
frame and the clip's voice. FID, FVD, CSIM and LSE need networks that cannot be shipped: import them
and pass --weights; until then they are absent, with the reason.
"""

import json
import os
import pathlib
import platform
import signal
import sys

from absl import flags

from ifmdm_jax import errors
from ifmdm_jax.errors import InputError

GENERATE = flags.DEFINE_multi_string(
  'generate',
  None,
  'What to score: folders of weights or of videos, ground_truth, first_frame; '
  'default: the bundled weights.',
  **errors.SHARED,
)
PROTOCOL = flags.DEFINE_string('protocol', None, 'Which clips: a JSON file.', **errors.SHARED)
OUTPUT = flags.DEFINE_string('output', None, 'Folder to write into.', **errors.SHARED)
WEIGHTS = flags.DEFINE_string(
  'weights',
  None,
  'Folder of imported networks; default: $IFMDM_WEIGHTS.',
  **errors.SHARED,
)

GENERATING = ('audio', 'diffusion', 'face', 'nn', 'perception', 'streaming', 'systems')


def generators(words, track):
  """The generators that are asked for, and the two that are always there, those first.

  Raises:
    InputError: a word is neither weights nor a folder of videos, or two have one name.
  """
  from ifmdm_jax.evaluation import generators as kinds

  found = [kinds.GroundTruth(), kinds.FirstFrame()]
  known = {each.name for each in found}
  for word in words:
    if word in ('ground_truth', 'first_frame'):
      continue
    generator = _generator(word, track)
    if generator.name in known:
      raise InputError(f'two rows would be named {generator.name}: rename one of the folders')
    known.add(generator.name)
    found.append(generator)
  return found


def _generator(word, track):
  from ifmdm_jax import bundle
  from ifmdm_jax.evaluation import generators as kinds
  from ifmdm_jax.pipeline.cache import VIDEO

  folder = bundle.BUNDLED if word == 'bundled' else pathlib.Path(word)
  if (folder / 'config.json').exists() or (folder / 'checkpoints').is_dir():
    return _weights(folder)
  if folder.is_dir() and any(path.suffix.lower() in VIDEO for path in folder.glob('*')):
    return kinds.Folder(folder, track)
  raise InputError(
    f'expected --generate ground_truth, first_frame, a folder of weights or one of videos, '
    f'got {word}: it holds no config.json, no checkpoints and no video'
  )


def _weights(folder):
  import ifmdm_jax as ifm
  from ifmdm_jax.evaluation import generators as kinds

  package = pathlib.Path(ifm.__file__).parent
  code = [kinds.fingerprint(package / part, '*.py') for part in GENERATING]
  mark = ' '.join([kinds.fingerprint(folder), *code])
  return kinds.Weights(folder.resolve().name, ifm.load(folder), mark)


def evaluate(words, protocol, output, weights=None):
  """Writes everything under `output`.

  Args:
    words: what --generate lists.
    protocol: path of the JSON file.
    output: folder.
    weights: folder of imported networks; by default the environment's.

  Returns:
    (table {row: {metric: table.Cell}}, records {row: [one of each clip]}).
  """
  from ifmdm_jax.audio import features
  from ifmdm_jax.evaluation import protocol as protocols
  from ifmdm_jax.evaluation import report, scoring, table
  from ifmdm_jax.face.mesh import FaceMesh

  mesh, asked = FaceMesh(refinements=1), protocols.read(protocol)
  rows = generators(words, mesh.track)
  weights = weights or os.environ.get('IFMDM_WEIGHTS')
  output = pathlib.Path(output)
  try:
    output.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise InputError(
      f'expected a folder to write into, cannot make {output} ({error.strerror}): '
      'choose another --output'
    ) from error
  hear = features.load('whisper_tiny', layer=2).features
  records, scorers, store = scoring.run(rows, asked, output, mesh.track, hear, weights)
  if all('failed' in record for clips in records.values() for record in clips):
    reason = next(iter(records.values()))[0]['failed']
    raise InputError(f'none of the clips of {protocol} can be scored; the first: {reason}')
  cells = table.aggregate(records, scorers, store)
  facts = settings(asked, records, weights, rows)
  table.write(output, cells, records, facts)
  report.write(output, cells, records, facts)
  return cells, records


def settings(asked, records, weights, rows):
  """What has to be known to make the table again, {name: text}."""
  import jax

  import ifmdm_jax

  spent = sum(clip.get('seconds', 0) for clips in records.values() for clip in clips)
  scored = {row: sum('metrics' in clip for clip in clips) for row, clips in records.items()}
  return {
    'protocol': asked.name,
    'clips': json.dumps(scored),
    'size': f'{asked.size} px; smaller clips enlarged (bicubic), larger ones by area',
    'crop': asked.crop,
    'frames': '25 per second, by timestamps',
    'seeds': f'{list(asked.seeds)}; the first makes the videos, all make the diversity',
    'sampler': json.dumps(
      {row.name: row.sampler.defaults for row in rows if hasattr(row, 'sampler')}
    ),
    'encoding': 'generated frames are scored before any video codec, folders as decoded',
    'intervals': '95 %, bootstrap over clips',
    'networks': str(pathlib.Path(weights).name) if weights else 'none imported',
    'version': f'ifmdm_jax {ifmdm_jax.__version__}, jax {jax.__version__}',
    'machine': f'{os.cpu_count()} cores, {platform.machine()}, {jax.devices()[0].device_kind}',
    'minutes': round(spent / 60, 1),
  }


def main(_):
  signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
  signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell may ignore it
  for required in (PROTOCOL, OUTPUT):
    if required.value is None:
      raise InputError(
        f'expected --protocol and --output, got no --{required.name}: --help shows an example'
      )
  from ifmdm_jax.evaluation import table

  asked = [word for words in GENERATE.value or [] for word in words.split(',') if word]
  cells, records = evaluate(asked or ['bundled'], PROTOCOL.value, OUTPUT.value, WEIGHTS.value)
  print(table.text(cells))
  for reason in sorted({c['failed'] for clips in records.values() for c in clips if 'failed' in c}):
    print(f'note: a clip is missing: {reason}', file=sys.stderr)
  print(f'{pathlib.Path(OUTPUT.value) / "report.html"}: the same with videos')


if __name__ == '__main__':
  errors.run(main)
