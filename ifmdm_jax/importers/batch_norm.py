"""Rows that every table of a network with batch normalisation needs."""

COUNTER = ('*.num_batches_tracked', 'how often PyTorch updated its statistics')


def rules(theirs, ours):
  """Rows for the four vectors of a BatchNorm at `theirs` -> a FrozenBatchNorm at `ours`."""
  return [
    (theirs + '.weight', ours + '/scale', ''),
    (theirs + '.bias', ours + '/bias', ''),
    (theirs + '.running_mean', ours + '/mean', ''),
    (theirs + '.running_var', ours + '/var', ''),
  ]


def shapes(name, width):
  """{entry: shape} of a BatchNorm called `name` in a state dict."""
  vectors = {f'{name}.{v}': (width,) for v in ('weight', 'bias', 'running_mean', 'running_var')}
  return {**vectors, f'{name}.num_batches_tracked': ()}
