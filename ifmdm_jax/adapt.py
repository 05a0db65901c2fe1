"""A few pictures of one person become weights that know that person: their own lips and teeth.

  python -m ifmdm_jax.adapt --shots photos/ --output runs/anna
  python -m ifmdm_jax.adapt --shots anna.mp4 --output runs/anna           eight varied frames
  python -m ifmdm_jax.adapt --shots a.jpg,b.jpg,c.jpg --output runs/anna
  python -m ifmdm_jax.sample --checkpoint runs/anna --image a.jpg --audio hello.wav
  python -m ifmdm_jax.sample --checkpoint runs/anna --image a.jpg --drive film.mp4

Good shots show one face, upright and sharp, with the mouth in different shapes: closed, ajar, wide
open, smiling. Eight are enough; from 32 on more does not count. Every one is cut as a portrait is;
one without a face, too small, or a copy of another is left out by name. Sample with one of them, or
any other portrait of that person in similar light.

Of three or more, some are held out at first: they choose how long is learned, and whether at all.
Where the result draws them no better than the weights did, these are written as they were, and the
command says so. OUTPUT/adapt.png shows them: the shot, before, after. Then all are learned from. It
takes minutes on two cores; sampling is as fast as before.

  more frames of a video                         --count 32
  weights of your own, or a training run         --checkpoint runs/mine
  those of another system, where it bundles any  --system NAME
  different people, on purpose                   --mixed

What is done is kept in OUTPUT.partial: the same command goes on from there after a stop.
Learn only people who have agreed to it. Bad input ends in one line, exit status 2 and no folder.
"""

import functools

from absl import flags

from ifmdm_jax import bundle, compile_cache, errors
from ifmdm_jax.adaptation import learn, shots
from ifmdm_jax.errors import SHARED, InputError

# fmt: off
string, integer, boolean, words = (functools.partial(define, **SHARED) for define in (
  flags.DEFINE_string, flags.DEFINE_integer, flags.DEFINE_bool, flags.DEFINE_list))
SHOTS = words('shots', None, 'Pictures, folders of them, or a video, with commas between.')
OUTPUT = string('output', None, 'Folder to write, for --checkpoint of sample.')
CHECKPOINT = string('checkpoint', None, 'Folder of weights, or training run; default: the bundled.')
SYSTEM = string('system', None, 'Whose bundled weights, by the name of their system.')
COUNT = integer('count', None, f'Pictures at most, up to {shots.MOST}; default: 8 of a video.',
                lower_bound=1, upper_bound=shots.MOST)
MIXED = boolean('mixed', False, 'Take pictures of several people.')
COMPILE_CACHE = string('compile_cache', None, 'Folder for compiled programs, or none; default: '
                       "in the user's cache folder.")
OVERWRITE = boolean('overwrite', False, 'Replace weights in --output.')
# fmt: on


def main(_):
  for required in (SHOTS, OUTPUT):
    if not required.value:
      raise InputError(
        f'expected --shots and --output, got no --{required.name}: --help shows an example'
      )
  learn.check_output(OUTPUT.value, OVERWRITE.value)  # before the work
  weights = bundle.opened(bundle.chosen(CHECKPOINT.value, SYSTEM.value) or bundle.BUNDLED)
  compile_cache.keep(COMPILE_CACHE.value)
  gathered = shots.gather(SHOTS.value, count=COUNT.value, mixed=MIXED.value)
  result = learn.learn(weights, gathered, OUTPUT.value, overwrite=OVERWRITE.value)
  print(said(result))


def said(result):
  """Says in a line what became of it."""
  pictures = f'{result.shots} picture{"s" * (result.shots > 1)}'
  if result.before is None:
    change = 'nothing was held out: look at the result'
  else:
    change = (
      f'{result.metric} of those held out {result.before:.4f} -> {result.after:.4f} '
      f'({100 * (result.after / result.before - 1):+.0f} %)'
    )
  if not result.better:
    return (
      f'{result.path}: the weights as they were, for {pictures} taught them nothing: {change}; '
      f'{result.seconds:.0f} s'
    )
  return f'{result.path}: learned from {pictures}, {result.updates} updates; {change}; ' + (
    f'{result.seconds:.0f} s'
  )


if __name__ == '__main__':
  errors.run(main)
