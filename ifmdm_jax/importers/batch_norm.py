"""Rows that every table of a network with batch normalisation needs."""

COUNTER = ('*.num_batches_tracked', 'how often PyTorch updated its statistics')


def rules(original, own):
  """Makes rows for the four vectors of a BatchNorm at `original` -> a FrozenBatchNorm at `own`."""
  return [
    (original + '.weight', own + '/scale', ''),
    (original + '.bias', own + '/bias', ''),
    (original + '.running_mean', own + '/mean', ''),
    (original + '.running_var', own + '/var', ''),
  ]


def shapes(name, width):
  """Returns {entry: shape} of a BatchNorm called `name` in a state dict."""
  vectors = {f'{name}.{v}': (width,) for v in ('weight', 'bias', 'running_mean', 'running_var')}
  return {**vectors, f'{name}.num_batches_tracked': ()}
