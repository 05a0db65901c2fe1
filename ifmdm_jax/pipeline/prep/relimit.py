"""Applies other limits to clips that are drawn already: only what they newly admit is drawn."""

import json

from ifmdm_jax import files
from ifmdm_jax.errors import InputError
from ifmdm_jax.pipeline.prep import animated, results


def result(output, source, settings):
  """Returns the result of a source under new limits where nothing need be drawn for it, or None.

  A kept clip stays or is dropped; a dropped one stays dropped if the new limits drop it, too.

  Args:
    output: folder of the set.
    source: `animated.AnimatedStill`.
    settings: `results.Settings` that differ in their limits.
  """
  folder, wanted = results.folder_of(output, source), results.describe(source, settings)
  wanted = json.loads(json.dumps(wanted))
  try:
    found = files.read_json(folder / 'result.json')
    old = dict(found['settings'], limits=wanted['settings']['limits'])
    (entry,) = found['kept'] + found['dropped']
    entry['measures'], entry['picture']
  except (InputError, KeyError, TypeError, ValueError):  # none, damaged, or dropped unmeasured
    return None
  if any(dict(found, settings=old).get(name) != value for name, value in wanted.items()):
    return None
  failure = animated.first_failure(entry['measures'], settings.limits)
  if failure is None and found['dropped']:
    return None
  found['settings'] = wanted['settings']
  if failure is not None:
    reason, value, limit, detail = failure
    about = {
      name: entry[name] for name in ('source', 'start', 'stop', 'face', 'measures', 'picture')
    }
    dropped = dict(about, reason=reason, value=value, limit=limit, detail=detail)
    found.update(kept=[], dropped=[dropped])
  results.save(folder, found)
  if not found['kept']:
    for name in ('000.frames', '000.npz', '000.flac'):
      (folder / name).unlink(missing_ok=True)
  return found
