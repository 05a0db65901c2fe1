"""Many processes as one: how they find each other, and how they decide together."""

import json
import os

import jax
import numpy as np
from jax.experimental import multihost_utils

from ifmdm_jax import errors

MODES = ('auto', 'on', 'off')


def connect(mode='auto', coordinator=None, processes=None, index=None):
  """Calls jax.distributed.initialize where there is more than one process; before any array.

  Args:
    mode: 'auto' reads the environment, see `cluster`; 'on' leaves the search to JAX, which
      also asks a TPU machine's metadata; 'off' stays alone.
    coordinator, processes, index: address host:port of process 0, number of processes and own
      index; given together they replace the search.

  Returns how the processes were found, or ''.
  Raises InputError on half an address, or where they cannot meet.
  """
  address = [coordinator, processes, index]
  if any(x is not None for x in address) and None in address:
    raise errors.InputError(
      'expected --coordinator HOST:PORT, --processes N and --process_index I together, or none'
    )
  how = 'flags' if coordinator else {'auto': cluster(os.environ), 'on': 'JAX', 'off': ''}[mode]
  if not how:
    return ''
  options = dict(cluster_detection_method={'slurm': 'slurm', 'kubernetes': 'k8s'}.get(how))
  if coordinator:
    options = dict(
      coordinator_address=coordinator,
      num_processes=processes,
      process_id=index,
      cluster_detection_method='deactivate',
    )
  try:
    jax.distributed.initialize(**options)
  except (RuntimeError, ValueError) as error:
    raise errors.InputError(
      f'the processes found by {how} cannot meet: {error}; --distributed off trains in one alone'
    ) from error
  return how


def cluster(environ):
  """Recognises 'slurm', 'tpu' (GKE or several slices), 'kubernetes' (GPU jobs), or ''."""
  if int(environ.get('SLURM_STEP_NUM_TASKS', 1)) > 1 and 'SLURM_LOCALID' in environ:
    return 'slurm'
  names = environ.get('TPU_WORKER_HOSTNAMES') or environ.get('TPU_PROCESS_ADDRESSES') or ''
  if len(names.split(',')) > 1 or 'MEGASCALE_COORDINATOR_ADDRESS' in environ:
    return 'tpu'
  if 'KUBERNETES_SERVICE_HOST' in environ and 'JOB_COMPLETION_INDEX' in environ:
    return 'kubernetes'
  return ''


def first():
  """Says whether this process writes what is written once: logs, pictures, the printed lines."""
  return jax.process_index() == 0


def say(line):
  if first():
    print(line, flush=True)


class Votes:
  """Yes or no to several questions, answered alike in every process: any yes is a yes.

  Clocks and signals differ between processes, but all must save and stop at the same step, since
  saving is done together. One process knows at once; several learn the answer one call later, so
  that no device waits for it.
  """

  def __init__(self, mesh, questions):
    self._places = jax.NamedSharding(mesh, jax.P(mesh.axis_names))
    self._any = jax.jit(lambda votes: votes.any(0), out_shardings=jax.NamedSharding(mesh, jax.P()))
    self._alone = jax.process_count() == 1
    self._last = (False,) * questions

  def __call__(self, *votes):
    if self._alone:
      return tuple(bool(vote) for vote in votes)
    rows = np.tile(np.array(votes, bool), (jax.local_device_count(), 1))
    answer, votes_of_all = self._last, jax.make_array_from_process_local_data(self._places, rows)
    self._last = self._any(votes_of_all)
    return tuple(bool(yes) for yes in np.asarray(answer))


def gather(value):
  """Collects a JSON-able value of each process as a list, in every process."""
  if jax.process_count() == 1:
    return [value]
  text = np.frombuffer(json.dumps(value).encode(), np.uint8)
  sizes = multihost_utils.process_allgather(np.array([len(text)]), tiled=True)
  padded = np.zeros(sizes.max(), np.uint8)
  padded[: len(text)] = text
  rows = multihost_utils.process_allgather(padded)
  return [json.loads(bytes(row[:size]).decode()) for row, size in zip(rows, sizes, strict=True)]


def local(tree, mesh):
  """Copies global arrays whole to this process's first device, for work that it does alone."""
  together = jax.jit(lambda x: x, out_shardings=jax.NamedSharding(mesh, jax.P()))(tree)
  own = jax.local_devices()[0]
  return jax.tree.map(lambda x: jax.device_put(x.addressable_data(0), own), together)


def barrier(name):
  if jax.process_count() > 1:
    multihost_utils.sync_global_devices(name)
