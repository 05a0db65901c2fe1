"""What is trained and in which sizes: one file each, found by its name from any folder.

python -m ifmdm_jax.train --config motion:lite            motion.py of this folder
python -m ifmdm_jax.train --config mine/motion.py:lite    a file of your own
python -m ifmdm_jax.sweep --config sweeps/window_overlap:lite
"""

import pathlib

FOLDER = pathlib.Path(__file__).parent


def names():
  """Returns the names of all configs of this folder."""
  files = FOLDER.rglob('*.py')
  return sorted(
    file.relative_to(FOLDER).with_suffix('').as_posix() for file in files if file.stem[0] != '_'
  )


def find(config):
  """Returns FILE[:SIZE] of a config by its path or its name; what there is not stays as it is."""
  name, colon, size = config.partition(':')
  short = name.removeprefix('configs/').removesuffix('.py')
  if pathlib.Path(name).is_file() or short not in names():
    return config
  return f'{FOLDER / short}.py{colon}{size}'


def found(argv):
  """Returns a command's words with the value of --config as `find` has it."""
  words, previous = [], ''
  for word in argv:
    flag, equals, value = word.partition('=')
    if previous in ('--config', '-config'):
      word = find(word)
    elif equals and flag in ('--config', '-config'):
      word = f'{flag}={find(value)}'
    words.append(word)
    previous = word
  return words
