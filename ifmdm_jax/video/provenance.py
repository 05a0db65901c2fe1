"""What a video says about itself: that it is synthetic, and how it was made.

The one place to change for stronger statements, e.g. a signed manifest (C2PA): `Writer` stores
whatever `metadata` returns as container tags, before the file gets its name.
"""

import pathlib

from ifmdm_jax import __version__

NOTICE = 'Synthetic video: the face was animated by a computer from one picture and a sound.'
DUBBED = 'Synthetic video: the lips of a person were changed by a computer to another voice.'


def metadata(checkpoint=None, seed=None, notice=NOTICE, job=None):
  """Container tags {'comment': for people, 'description': for programs}; MP4 keeps both.

  Args:
    checkpoint: name of the weights, or their folder, of whose path nothing but the name is told;
      None for frames of unknown origin.
    seed: of the motion, with which the video can be made again.
    notice: what people are told, NOTICE or DUBBED.
    job: of a batch, what tells it from others; see `batch.finished`.
  """
  facts = {
    'synthetic': 'yes',
    'software': f'ifmdm_jax {__version__}',
    'checkpoint': None if checkpoint is None else _name(checkpoint),
    'seed': seed,
    'job': job,
  }
  facts = '; '.join(f'{name}={value}' for name, value in facts.items() if value is not None)
  return {'comment': f'{notice} {facts}', 'description': facts}


def _name(checkpoint):
  """Names a folder: the path to it may hold the name of a user."""
  path = pathlib.PureWindowsPath(str(checkpoint))  # which takes both kinds of slash
  return path.name if path.name not in ('', '..') else pathlib.Path(checkpoint).resolve().name
