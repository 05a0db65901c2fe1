"""Clients that misbehave: they vanish, stall, come again, send garbage, halves and too much.

What each does follows from a seed. What a server may answer to it is known: anything else is noted.
"""

import asyncio
import base64
import collections
import contextlib
import json
import random

import websockets

ACTION = 30.0  # seconds, after which an action has failed
BUSY = {429, 503}  # an honest answer to anything
SESSIONS = '/v1/avatar/live?portrait=anna', '/v1/avatar/realtime'
GONE = (OSError, EOFError, websockets.ConnectionClosed, websockets.InvalidHandshake,
        websockets.InvalidMessage)  # fmt: skip


class Report:
  """What all clients saw.

  Attributes:
    seen: Counter of (action, status or what else came of it).
    wrong: lines, what a server should not have answered.
  """

  def __init__(self):
    self.seen, self.wrong = collections.Counter(), []

  def note(self, action, outcome):
    """Counts an outcome."""
    self.seen[action, str(outcome)] += 1

  def check(self, action, status, body, expected):
    """Notes an answer: a status that it may be, and where it refuses, a line that says why."""
    self.note(action, status)
    if status is None:
      return  # the connection was ended, which is always an answer
    if status not in expected | BUSY:
      self.wrong.append(f'{action}: {status} {body[:200]!r}, expected {sorted(expected)}')
    text = body.decode('utf-8', 'replace')
    if 'Traceback' in text or 'File "' in text or (status >= 400 and len(text) > 2000):
      self.wrong.append(f'{action}: {text[:300]}')


class Client:
  """One of them."""

  def __init__(self, port, seed, report, *, webrtc=True, stall=0.3, oversized=11 * 2**20):
    """Prepares.

    Args:
      port: of this machine.
      seed: of all it does.
      report: `Report`.
      webrtc: whether it makes offers that a browser could make.
      stall: seconds for which it may read nothing.
      oversized: bytes that are more than a server takes.
    """
    self.port, self.random, self.report = port, random.Random(seed), report
    self.stall, self.oversized = stall, oversized
    self.actions = {
      self.look: 12, self.garbage: 10, self.half: 10, self.upload: 4, self.too_large: 4,
      self.wrong_door: 6, self.nowhere: 6, self.offer_garbage: 6, self.unknown_portrait: 4,
      self.live: 20, self.realtime: 14, self.offer: 2 * webrtc,
    }  # fmt: skip

  async def run(self, count):
    """Does so many things."""
    acts, weights = list(self.actions), list(self.actions.values())
    for act in self.random.choices(acts, weights, k=count):
      name = act.__name__
      try:
        await asyncio.wait_for(act(name), ACTION)
      except GONE as error:
        self.report.note(name, type(error).__name__)
      except TimeoutError:
        self.report.wrong.append(f'{name}: no answer in {ACTION:g} s')

  # -- over HTTP

  async def look(self, name):
    path, expected = self.random.choice([
      ('GET /healthz', {200}), ('GET /metrics', {200}), ('GET /portraits', {200}),
      ('GET /v1/audio2video/models', {200}), ('GET /../../etc/passwd', {404}),
      ('GET /portraits/..%2f..%2fsecret', {404, 405}), ('PUT /offer', {405}),
      ('DELETE /portraits/anna', {404}),
    ])  # fmt: skip
    await self.ask(name, path, b'', expected)

  async def garbage(self, name):
    data = self.random.randbytes(self.random.randint(1, 400)) + b'\r\n\r\n'
    self.report.check(name, *await self.exchange(data, ends=True), {400, 404, 405})

  async def half(self, name):
    head = b'POST /portraits HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nabc'
    await self.exchange(head[: self.random.randint(1, len(head))], answer=False)
    self.report.note(name, 'vanished')

  async def upload(self, name):
    data = self.random.randbytes(self.random.choice([0, 10, 20_000]))
    await self.ask(name, 'POST /portraits', data, {201, 400, 422})

  async def too_large(self, name):
    if self.random.random() < 0.5:  # it says so
      head = f'POST /portraits HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {self.oversized}\r\n'
      self.report.check(name, *await self.exchange(f'{head}\r\n'.encode()), {413})
      return
    await self.ask(name, 'POST /portraits', bytes(self.oversized), {413})

  async def wrong_door(self, name):
    door, expected = self.random.choice([
      ('Host: evil.example', 421), ('Host: 127.0.0.1\r\nOrigin: http://evil.example', 403),
      ('Host: 127.0.0.1\r\nOrigin: null', 403), ('Host: [', 421),
    ])  # fmt: skip
    head = f'GET /portraits HTTP/1.1\r\n{door}\r\nConnection: close\r\n\r\n'
    self.report.check(name, *await self.exchange(head.encode()), {expected, 400})

  async def nowhere(self, name):
    what = self.random.choice(['say', 'interrupt', 'change'])
    await self.ask(name, f'POST /sessions/{self.random.random()}/{what}', b'{}', {404})

  async def offer_garbage(self, name):
    body = self.random.choice([
      b'', b'{', b'[' * 5000, b'null', b'{"type":"offer"}', self.random.randbytes(50),
      json.dumps({'type': 'offer', 'sdp': 'v=0\r\nm=video 9 X 1\r\n', 'portrait': 'anna'}).encode(),
      json.dumps({'type': 'offer', 'sdp': 'x' * 5000, 'portrait': '../anna'}).encode(),
      json.dumps({'type': 'offer', 'sdp': 5, 'portrait': ['anna']}).encode(),
    ])  # fmt: skip
    await self.ask(name, 'POST /offer', body, {400, 404, 413})

  async def offer(self, name):
    """Makes an offer that is one, and leaves, at once or when it has been answered."""
    import aiortc  # here: tests that need none of it run without

    peer = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
    try:
      peer.addTransceiver('video', direction='recvonly')
      peer.addTransceiver('audio', direction='recvonly')
      await peer.setLocalDescription(await peer.createOffer())
      asked = {'type': 'offer', 'sdp': peer.localDescription.sdp, 'portrait': 'anna'}
      status, body = await self.ask(name, 'POST /offer', json.dumps(asked).encode(), {200})
      if status == 200 and self.random.random() < 0.7:
        answer = json.loads(body)
        await peer.setRemoteDescription(aiortc.RTCSessionDescription(answer['sdp'], 'answer'))
        await asyncio.sleep(self.random.random())
    finally:
      await peer.close()

  async def ask(self, name, line, body, expected):
    """Asks in proper HTTP; returns (status, body)."""
    head = f'{line} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n'
    status, said = await self.exchange(f'{head}Content-Length: {len(body)}\r\n\r\n'.encode() + body)
    self.report.check(name, status, said, expected)
    return status, said

  async def exchange(self, data, answer=True, ends=False):
    """Sends bytes; returns (status or None, body) of what comes back.

    Args:
      data: bytes.
      answer: whether it waits for one; else it vanishes.
      ends: whether it says that nothing more comes, which a server may take for its leaving.
    """
    reader, writer = await asyncio.open_connection('127.0.0.1', self.port)
    try:
      writer.write(data)
      if not answer:
        with contextlib.suppress(ConnectionError):
          await writer.drain()
        return None, b''
      head = b''
      with contextlib.suppress(ConnectionError):
        await writer.drain()
        if ends:
          writer.write_eof()
      with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        head = await reader.readuntil(b'\r\n\r\n')
      status = int(head.split()[1]) if head.startswith(b'HTTP/1.1 ') else None
      body = b''
      with contextlib.suppress(ConnectionError):
        body = await reader.read(100_000)
      return status, body
    finally:
      writer.transport.abort()

  # -- over websockets

  async def unknown_portrait(self, name):
    wanted = self.random.choice(['nobody', '..%2fanna', '%00', '', 'a' * 3000])
    await self.connected(name, f'/v1/avatar/live?portrait={wanted}', {400, 404, 414})

  async def live(self, name):
    await self.talk(name, SESSIONS[0], self.agent_says)

  async def realtime(self, name):
    await self.talk(name, SESSIONS[1], self.orchestrator_says)

  async def connected(self, name, path, expected):
    """Returns a websocket, or None where it was refused as it may be."""
    try:
      return await websockets.connect(
        f'ws://127.0.0.1:{self.port}{path}', max_size=None, open_timeout=ACTION, ping_interval=None,
        close_timeout=2,
      )  # fmt: skip
    except websockets.InvalidStatus as error:
      answer = error.response
      self.report.check(name, answer.status_code, answer.body or b'', expected)
    return None

  async def talk(self, name, path, says):
    """Begins a session, says a few things, and leaves in one of several ways."""
    socket = await self.connected(name, path, set())
    if socket is None:
      return
    reading = asyncio.create_task(self.read(name, socket))
    try:
      for _ in range(self.random.randint(0, 8)):
        await socket.send(says())
        await asyncio.sleep(self.random.choice([0, 0, 0.05]))
      way = self.random.choice(['closes', 'vanishes', 'stalls'])
      if way == 'stalls':
        socket.transport.pause_reading()
        await asyncio.sleep(self.random.random() * self.stall)
      elif way == 'closes':
        await socket.close()
      self.report.note(name, way)
    finally:
      reading.cancel()
      socket.transport.abort()
      await asyncio.wait([reading])

  async def read(self, name, socket):
    """Reads what comes; an answer may not show the server's insides."""
    with contextlib.suppress(websockets.ConnectionClosed):
      async for message in socket:
        if isinstance(message, str):
          said = json.loads(message)
          if said['type'] == 'error':
            self.report.note(name, f'error {said.get("status")}')
            if said.get('status') == 500 or 'Traceback' in message:
              self.report.wrong.append(f'{name}: {message[:300]}')

  def pcm(self):
    return self.random.randbytes(self.random.choice([0, 2, 999, 9_600, 48_000]))

  def agent_says(self):
    """Returns a message of the avatar dialect, or of none."""
    knob = self.random.choice([0.5, 1e9, -1, 'x', None, [1] * 100, {'a': {}}, float('nan'), True])
    name = self.random.choice(['head', 'gaze', 'unit', 'steps', 'seed', '__class__', 'solver'])
    speech = base64.b64encode(self.pcm()).decode()
    return self.random.choice([
      *[json.dumps({'type': 'agent.speak', 'audio': speech, 'event_id': '1'})] * 4,
      *[json.dumps({'type': kind}) for kind in (
        'agent.speak_end', 'agent.interrupt', 'agent.start_listening', 'agent.stop_listening',
        'session.keep_alive', 'agent.speak', 'session.nothing')],
      json.dumps({'type': 'agent.speak', 'audio': '***', 'event_id': ['x']}),
      json.dumps({'type': 'session.change', 'options': {name: knob}}),
      json.dumps({'type': 'session.change', 'options': knob}),
      json.dumps({'type': 'agent.speak', 'audio': 'A' * 2_400_000}), '[' * 5000, '{', 'null',
      self.random.randbytes(100), '',
    ])  # fmt: skip

  def orchestrator_says(self):
    """Returns a message of the AUDI/VIDX protocol, or of none."""
    image = base64.b64encode(self.random.randbytes(200)).decode()
    create = {'type': 'session.create', 'inputs': {'portrait': 'anna'}, 'config': {'seed': 1}}
    return self.random.choice([
      *[json.dumps(create)] * 6, *[b'AUDI' + self.random.randbytes(11_520)] * 4,
      b'AUDI' + self.pcm(), b'AUD', b'VIDX', json.dumps({'type': 'session.cancel'}),
      json.dumps({'type': 'session.close'}), json.dumps({'type': 'ping'}), '{',
      json.dumps({**create, 'inputs': {'image_b64': image}}),
      json.dumps({**create, 'inputs': 5, 'config': []}),
      json.dumps({**create, 'config': {'seed': float('inf')}}),
    ])  # fmt: skip


async def misbehave(port, clients, actions, seed=0, **options):
  """Runs clients at the same time; returns their `Report`."""
  report = Report()
  each = [Client(port, 1000 * seed + k, report, **options) for k in range(clients)]
  await asyncio.gather(*(client.run(actions) for client in each))
  return report
