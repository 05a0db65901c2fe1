"""One command, one table: how good talking heads are, by a protocol that others can repeat.

  python -m ifmdm_jax.evaluate --protocol data/protocols/val_shared.json --output out/evaluation

Scores the bundled weights on the clips that the protocol lists and prints a table; beside it stand
the real videos themselves (ground_truth) and the first frame repeated (first_frame), without which
no figure means much. Under --output:

  report.html   the table with 95 % intervals over clips, a dot per clip, the videos, worst first
  scores.json   metric -> value, the input of each row, intervals, what is absent and why
  scores.csv    clip by clip            scores.md   the table as Markdown
  spread/       of each clip the picture, and where videos of several seeds differ
  clips/        what is done already: the same command goes on where it was stopped

What to score, one or more, with commas between or the flag repeated; the scores of the first are
the flat summary:

  weights of your own, any system  --generate runs/motion
  videos of any other program      --generate their_videos     (NAME.mp4 of each clip, and
                                   reenact/NAME.mp4 where there; any size and frame rate; the
                                   program's input may stand in needs.txt)
  the two alone                    --generate ground_truth,first_frame

A protocol of kind "dub" (data/protocols/val_dub.json) scores films that get new lips: by their own
voice (own_*, where the film is the truth) and by other people's (another_*); beside the rows stand
the film as it is and the lower face of its first frame pasted over all others (film, pasted).

A generator is shown what it says it needs of a clip and nothing else; a line of the table says
what. reenact_* is about the first frame with the clip's own motion, every other figure about the
first frame and the clip's voice. FID, FVD, CSIM and LSE need networks that cannot be shipped:
import them and pass --weights; until then they are absent, with the reason.
"""

import pathlib
import sys

from absl import flags

import ifmdm_jax as ifm
from ifmdm_jax import bundle, errors
from ifmdm_jax.errors import InputError
from ifmdm_jax.evaluation import dubs, fingerprint, generators, protocol, run, suite, table
from ifmdm_jax.video.read import SUFFIXES

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
  'weights', None, 'Folder of imported networks; default: $IFMDM_WEIGHTS.', **errors.SHARED
)


def row(word, kind=suite.TALK):
  """Makes a row of what --generate lists, for a kind of protocol.

  Raises:
    InputError: the word is neither weights nor a folder of videos, or does not suit the protocol.
  """
  baselines = {each.name: each for each in run.BASELINES[kind]}
  if word in baselines:
    return baselines[word]()
  folder = bundle.BUNDLED if word == 'bundled' else pathlib.Path(word)
  if (folder / 'config.json').exists() or (folder / 'checkpoints').is_dir():
    make = dubs.Engine if kind == suite.DUB else generators.Bundle
    return make(ifm.load(folder), fingerprint.of_files(folder))
  if kind == suite.DUB:
    raise InputError(
      f'expected --generate {", ".join(baselines)}, or a folder of weights, got {word}: this '
      'protocol dubs films'
    )
  if folder.is_dir() and any(path.suffix.lower() in SUFFIXES for path in folder.glob('*')):
    return generators.Folder(folder)
  raise InputError(
    f'expected --generate ground_truth, first_frame, a folder of weights or one of videos, '
    f'got {word}: it holds no config.json, no checkpoints and no video'
  )


def main(_):
  for required in (PROTOCOL, OUTPUT):
    if required.value is None:
      raise InputError(
        f'expected --protocol and --output, got no --{required.name}: --help shows an example'
      )
  words = [word for words in GENERATE.value or [] for word in words.split(',') if word]
  kind = protocol.read(PROTOCOL.value).kind
  rows = [row(word, kind) for word in dict.fromkeys(words or ['bundled'])]
  result = run.evaluate(rows, PROTOCOL.value, OUTPUT.value, WEIGHTS.value)
  print(table.text(result))
  for reason in sorted({each.failed for clips in result.records.values() for each in clips} - {''}):
    print(f'note: a clip is missing: {reason}', file=sys.stderr)
  print(f'{pathlib.Path(OUTPUT.value) / "report.html"}: the same with videos')


if __name__ == '__main__':
  errors.run(main)
