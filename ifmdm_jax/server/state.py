"""What all requests share: the model's calls, the portraits, the limits and the counts."""

import asyncio
import json

from ifmdm_jax.clip import check_seed
from ifmdm_jax.errors import InputError
from ifmdm_jax.server.calls import Calls
from ifmdm_jax.server.limits import Limits, Refused
from ifmdm_jax.server.metrics import Metrics
from ifmdm_jax.server.portraits import Portraits


class State:
  """A server's.

  Attributes:
    live: a `streaming.live.Live`.
    calls: `calls.Calls`.
    portraits: `portraits.Portraits`.
    limits: `limits.Limits`.
    metrics: `metrics.Metrics`.
    ice: URLs for WebRTC, see `rtc.Peer`.
  """

  def __init__(self, live, *, portraits=None, limits=None, ice=()):
    """Prepares.

    Args:
      live: the model that sessions share.
      portraits: folder of pictures that clients may name; None: they upload theirs.
      limits: None: the usual ones.
      ice: as above.

    Raises:
      InputError: there is no such folder, or no picture in it.
    """
    self.live, self.limits, self.ice = live, limits or Limits(), tuple(ice)
    self.calls, self.metrics = Calls(live, self.limits), Metrics()
    self.portraits = Portraits(portraits, live.sampler.size, self.limits)

  async def begin(self, portrait, kind, *, seed=0, options=None, image=None, **rest):
    """Begins a call with a portrait by its name, or with an image; an upload goes with the call.

    Raises:
      Refused, InputError: see `Calls.begin` and `Portraits.get`.
    """
    if type(seed) is not int:
      raise InputError('expected seed to be a whole number')
    check_seed(seed)
    if image is None:
      image = await self.portraits.get(portrait)
    with self.metrics.stage('begin'):
      call = await self.calls.begin(image, kind, seed=seed, options=options, **rest)
    self.portraits.drop(portrait)  # the session has it from now on, and forgets it at its end
    return call

  async def close(self):
    """Ends all calls, and the model."""
    await self.calls.drain(0)
    await self.live.close()


async def body(request, most, patience):
  """Reads a request's body.

  Args:
    request: Starlette's.
    most: bytes.
    patience: seconds.

  Raises:
    Refused: it is larger, or does not come in time.
  """
  too_large = Refused(413, f'expected at most {most} bytes, got more')
  said = request.headers.get('content-length', '0')
  if said.isdigit() and int(said) > most:
    raise too_large
  parts, size = [], 0
  try:
    async with asyncio.timeout(patience):
      async for part in request.stream():
        size += len(part)
        if size > most:
          raise too_large
        parts.append(part)
  except TimeoutError:
    raise Refused(408, f'expected a body within {patience:g} s') from None
  return b''.join(parts)


def parsed(text):
  """Reads an object of JSON.

  Raises:
    Refused: it is none.
  """
  try:
    found = json.loads(text)
  except (ValueError, RecursionError):
    found = None
  if not isinstance(found, dict):
    raise Refused(400, 'expected an object of JSON, got none')
  return found
