"""What both websocket dialects share: reading, writing, and who is not waited for."""

import asyncio
import base64
import json

import cv2
from starlette.websockets import WebSocketDisconnect

from ifmdm_jax.errors import InputError
from ifmdm_jax.server.gate import BEARER, answer
from ifmdm_jax.server.limits import Bucket, Refused

QUALITY = 85  # of JPEG
ERRORS = 20  # messages of a client that cannot be understood; then it has to go
NORMAL, POLICY, TOO_LARGE, FAILED = 1000, 1008, 1009, 1011  # why a websocket is closed


class Left(Exception):
  """The client is gone, reads nothing, or has said goodbye."""


class Wire:
  """A websocket of which nothing lasts for ever."""

  def __init__(self, state, websocket):
    self.state, self.websocket, self.errors = state, websocket, 0
    self._bucket = Bucket(state.limits.rate)

  async def accept(self):
    """Accepts the handshake, by a protocol that is no token if there is one."""
    offered = self.websocket.scope.get('subprotocols', [])
    named = [each for each in offered if not each.startswith(BEARER)] or offered
    await self.websocket.accept(named[0] if named else None)

  async def read(self, most=None, seconds=None):
    """Waits for a message, text or bytes.

    Args:
      most: bytes; None: as messages usually may have.
      seconds: until it comes; None: as long as clients may be idle.

    Raises:
      Left: there is no client any more.
      Refused: it says nothing for too long, too much, or too often.
    """
    limits = self.state.limits
    most, seconds = most or limits.message, seconds or limits.idle
    try:
      async with asyncio.timeout(seconds):
        message = await self.websocket.receive()
    except TimeoutError:
      raise Refused(408, f'expected a word within {seconds:g} s: send keep-alives') from None
    except (WebSocketDisconnect, RuntimeError):
      raise Left from None
    if message['type'] == 'websocket.disconnect':
      raise Left
    if not self._bucket.take():
      raise Refused(429, f'expected at most {limits.rate:g} messages a second: slow down')
    said = message.get('text')
    said = said if said is not None else message.get('bytes') or b''
    if len(said) > most:
      raise Refused(413, f'expected a message of {most} bytes at most, got more')
    return said

  async def send(self, said):
    """Sends bytes, or an object as JSON.

    Raises:
      Left: nobody takes it.
    """
    try:
      async with asyncio.timeout(self.state.limits.gone):
        if isinstance(said, bytes):
          await self.websocket.send_bytes(said)
        else:
          await self.websocket.send_text(json.dumps(said))
    except (TimeoutError, RuntimeError, OSError, WebSocketDisconnect):
      raise Left from None

  async def understand(self, act, event=None):
    """Runs a coroutine that a message asks for; what is wrong with it goes back as an error.

    Raises:
      Refused: too many messages were wrong.
    """
    try:
      await act
    except (Refused, InputError) as error:
      status = getattr(error, 'status', 400)
      await self.complain(status, str(error), event)
      self.errors += 1
      if self.errors > ERRORS:
        raise Refused(400, 'expected messages that can be understood, too many cannot') from None

  async def complain(self, status, reason, event=None):
    """Sends an error."""
    self.state.metrics.refuse(status)
    told = {} if event is None else {'event_id': event}
    await self.send({'type': 'error', 'status': status, 'error': reason, **told})

  async def run(self, *works):
    """Runs coroutines until the first one ends, and closes; returns why it ended."""
    tasks = [asyncio.ensure_future(work) for work in works]
    code, why = NORMAL, 'the client left'
    try:
      done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
      why = next(filter(None, [task.result() for task in done]), why)
    except Left:
      code = None
    except Refused as error:
      code = {413: TOO_LARGE, 500: FAILED}.get(error.status, POLICY)
      why = error.reason
      await _quietly(self.complain(error.status, why))
    except Exception as error:  # never a trace
      code, why = FAILED, f'the server failed ({type(error).__name__})'
      self.state.calls.counts['failures'] += 1
      await _quietly(self.complain(500, why))
    finally:
      for task in tasks:
        task.cancel()
      await asyncio.gather(*tasks, return_exceptions=True)
    if code is not None:
      await _quietly(self.websocket.close(code, why[:120]))
    return why

  async def jpeg(self, image):
    """Encodes a picture uint8 [H, W, 3]."""
    with self.state.metrics.stage('encode'):
      return await asyncio.to_thread(_jpeg, image)


async def refuse(websocket, state, error):
  """Answers a handshake by a status and a line."""
  status = getattr(error, 'status', 400)
  state.metrics.refuse(status)
  await answer(websocket.scope, websocket.send, status, str(error))


def unpacked(text, most):
  """Decodes base64 of at most so many bytes.

  Raises:
    Refused: it is none, or more.
  """
  if not isinstance(text, str):
    raise Refused(400, 'expected base64, got none')
  if len(text) > most * 4 // 3 + 4:
    raise Refused(413, f'expected at most {most} bytes, got more')
  try:
    return base64.b64decode(text, validate=True)
  except ValueError:
    raise Refused(400, 'expected base64, this is none') from None


def _jpeg(image):
  return cv2.imencode('.jpg', image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


async def _quietly(sending):
  try:
    await asyncio.wait_for(sending, 1)
  except (TimeoutError, Left, RuntimeError, OSError, WebSocketDisconnect):
    pass
