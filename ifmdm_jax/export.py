"""Two training runs become a release that `ifmdm_jax.load` takes: half precision, no optimiser.

python -m ifmdm_jax.export --autoencoder runs/autoencoder --motion runs/motion --output DIR
"""

import pathlib

from absl import flags

from ifmdm_jax import errors, release
from ifmdm_jax.errors import InputError

_AUTOENCODER = flags.DEFINE_string('autoencoder', None, 'Workdir of stage 1.', **errors.SHARED)
_MOTION = flags.DEFINE_string('motion', None, 'Workdir of stage 2.', **errors.SHARED)
_OUTPUT = flags.DEFINE_string('output', None, 'Folder to write.', **errors.SHARED)


def main(_):
  for flag in (_AUTOENCODER, _MOTION, _OUTPUT):
    if not flag.value:
      raise InputError(f'expected --autoencoder, --motion and --output, got no --{flag.name}')
  release.save(_OUTPUT.value, _AUTOENCODER.value, _MOTION.value)
  size = sum(path.stat().st_size for path in pathlib.Path(_OUTPUT.value).iterdir())
  print(f'{_OUTPUT.value}: {size / 1e6:.1f} MB')


if __name__ == '__main__':
  errors.run(main)
