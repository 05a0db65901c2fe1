"""An agent speaks through an avatar by the dialect of hosted ones."""

import asyncio
import base64
import json
import struct

import cv2
import numpy as np
import pytest

websockets = pytest.importorskip('websockets', reason='needs websockets')
LIMIT = 40  # seconds, of a test


class Agent:
  """A client: events and frames as they came."""

  def __init__(self, served, query='portrait=anna', **options):
    self.address = served.url(f'/v1/avatar/live?{query}')
    self.options, self.events, self.frames, self.news = options, [], [], asyncio.Event()

  async def __aenter__(self):
    self.socket = await websockets.connect(self.address, **self.options)
    self.task = asyncio.ensure_future(self._read())
    return self

  async def __aexit__(self, *_):
    self.task.cancel()
    await self.socket.close()

  async def _read(self):
    try:
      async for message in self.socket:
        if isinstance(message, bytes):
          magic, pts, bits, size = struct.unpack_from('<4sdII', message)
          assert magic == b'FRAM'
          sound, picture = message[20 : 20 + size], message[20 + size :]
          self.frames.append((pts, bits, np.frombuffer(sound, '<i2'), picture))
        else:
          self.events.append(json.loads(message))
        self.news.set()
    finally:
      self.events.append({'type': 'gone'})
      self.news.set()

  async def send(self, kind, **said):
    await self.socket.send(json.dumps({'type': kind, **said}))

  async def speak(self, pcm, **said):
    for start in range(0, len(pcm), 48_000):
      piece = base64.b64encode(pcm[start : start + 48_000]).decode()
      await self.send('agent.speak', audio=piece, **said)

  async def until(self, kind):
    while not (found := [event for event in self.events if event['type'] == kind]):
      self.news.clear()
      await self.news.wait()
    return found[0]

  @property
  def sound(self):
    return np.concatenate([frame[2] for frame in self.frames])


def run(act):
  asyncio.run(asyncio.wait_for(act(), LIMIT))


def test_a_reply_is_seen_and_comes_back_whole_between_its_events(serve, pcm):
  served = serve()

  async def act():
    async with Agent(served) as agent:
      await agent.until('session.state_updated')
      reply = pcm(1.2)
      await agent.speak(reply, event_id='one')
      await agent.send('agent.speak_end')
      assert (await agent.until('agent.speak_ended'))['event_id'] == 'one'
      names = [event['type'] for event in agent.events]
      assert names[:2] == 2 * ['session.state_updated'] and names[2] == 'agent.speak_started'
      assert [event['state'] for event in agent.events[:2]] == ['connecting', 'connected']
      said, sound = np.frombuffer(reply, '<i2'), agent.sound
      start = int(np.argmax(sound != 0))
      np.testing.assert_allclose(sound[start : start + len(said)], said, atol=1)
      picture = cv2.imdecode(np.frombuffer(agent.frames[0][3], np.uint8), cv2.IMREAD_COLOR)
      assert picture.shape == (64, 64, 3)
      np.testing.assert_allclose(np.diff([frame[0] for frame in agent.frames]), 0.04, atol=1e-9)

  run(act)


def test_a_second_reply_has_events_of_its_own(serve, pcm):
  served = serve()

  async def act():
    async with Agent(served) as agent:
      for name in ('one', 'two'):
        agent.events.clear()
        await agent.speak(pcm(0.8), event_id=name)
        await asyncio.sleep(2)  # its end is said after all of it was played
        await agent.send('agent.speak_end')
        await agent.until('agent.speak_ended')
        await asyncio.sleep(0.5)
        kinds = [event['type'] for event in agent.events if event['type'].startswith('agent')]
        assert kinds == ['agent.speak_started', 'agent.speak_ended'], kinds

  run(act)


def test_an_interrupted_reply_says_so_and_is_silent(serve, pcm):
  served = serve()

  async def act():
    async with Agent(served) as agent:
      await agent.speak(pcm(20))
      await agent.until('agent.speak_started')
      await agent.send('agent.interrupt')
      await agent.until('agent.speak_interrupted')
      count = len(agent.frames)
      await agent.send('session.keep_alive')
      while len(agent.frames) < count + 20:
        await asyncio.sleep(0.1)
      assert not np.concatenate([frame[2] for frame in agent.frames[count + 2 :]]).any()
      assert 'agent.speak_ended' not in {event['type'] for event in agent.events}

  run(act)


WRONG = {
  'no JSON': ('{', 400),
  'a list': ('[1]', 400),
  'another type': ('{"type": "agent.dance"}', 400),
  'a type that is none': ('{"type": ["agent.speak"]}', 400),
  'no sound': ('{"type": "agent.speak"}', 400),
  'no base64': ('{"type": "agent.speak", "audio": "%%%"}', 400),
  'half a sample': ('{"type": "agent.speak", "audio": "AAAA"}', 400),
  'a knob that is none': ('{"type": "session.change", "options": {"steps": 900}}', 400),
  'bytes': (b'\0\0', 400),
  'too much sound': (json.dumps({'type': 'agent.speak', 'audio': 'A' * 1_500_000}), 413),
}


def test_a_message_that_is_wrong_is_answered_by_a_line_and_the_session_goes_on(serve):
  served = serve()

  async def act():
    async with Agent(served) as agent:
      for said, status in WRONG.values():
        agent.events.clear()
        await agent.socket.send(said)
        event = await agent.until('error')
        assert event['status'] == status and event['error'].startswith('expected')
      count = len(agent.frames)
      while len(agent.frames) < count + 5:
        await asyncio.sleep(0.05)

  run(act)


@pytest.mark.parametrize(
  'query, expected',
  [('', 400), ('portrait=bert', 404), ('portrait=../anna', 404), ('session=x', 404),
   ('portrait=anna&seed=-1', 400), ('portrait=anna&seed=9999999999999', 400)],
)  # fmt: skip
def test_a_session_that_cannot_be_is_refused_by_a_status(serve, query, expected):
  served = serve()

  async def act():
    with pytest.raises(websockets.InvalidStatus) as refused:
      await websockets.connect(served.url(f'/v1/avatar/live?{query}'))
    response = refused.value.response
    assert response.status_code == expected
    assert json.loads(response.body)['error'].startswith('expected')

  run(act)


def test_overload_a_page_of_others_and_a_wrong_token_are_refused_by_a_status(serve):
  served = serve(most=1, token='a-token-of-some-letters')
  token = {'Authorization': 'Bearer a-token-of-some-letters'}

  async def status(**options):
    with pytest.raises(websockets.InvalidStatus) as refused:
      await websockets.connect(served.url('/v1/avatar/live?portrait=anna'), **options)
    return refused.value.response.status_code

  async def act():
    assert await status() == 401
    assert await status(origin='http://evil.example', additional_headers=token) == 403
    assert await status(subprotocols=['bearer.a-token-of-other-letters']) == 401
    async with Agent(served, subprotocols=['bearer.a-token-of-some-letters']) as agent:
      await agent.until('session.state_updated')
      assert await status(additional_headers=token) == 503
    while served.state.calls.taken:
      await asyncio.sleep(0.05)

  run(act)


def test_who_writes_without_end_or_sense_has_to_go(serve):
  served = serve(rate=20.0, message=2**16)

  async def end(said, count, code):
    async with Agent(served) as agent:
      try:
        for _ in range(count):
          await agent.socket.send(said)
      except websockets.ConnectionClosed:
        pass
      await agent.until('gone')
      assert agent.socket.close_code == code

  async def act():
    await end('{"type": "session.keep_alive"}', 500, 1008)
    await end('{', 39, 1008)
    await end('x' * 2**17, 1, 1009)
    while served.state.calls.taken:
      await asyncio.sleep(0.05)

  run(act)


def test_who_says_nothing_for_long_has_to_go(serve):
  served = serve(idle=1.0)

  async def act():
    async with Agent(served) as agent:
      assert (await agent.until('error'))['status'] == 408
      await agent.until('gone')
    while served.state.calls.taken:
      await asyncio.sleep(0.05)

  run(act)


def test_a_session_ends_after_its_time_and_says_so(serve):
  served = serve(minutes=0.02)

  async def act():
    async with Agent(served) as agent:
      await agent.until('gone')
      states = [e['state'] for e in agent.events if e['type'] == 'session.state_updated']
      assert states == ['connecting', 'connected', 'closing', 'closed']

  run(act)


def test_who_reads_nothing_frees_its_place(serve, monkeypatch):
  served = serve(gone=1.0)

  async def act():
    address = served.url('/v1/avatar/live?portrait=anna')
    socket = await websockets.connect(address, max_queue=1, ping_interval=None, close_timeout=1)
    monkeypatch.setattr('ifmdm_jax.server.wire._jpeg', lambda image: bytes(2**18))
    while served.state.calls.taken:
      await asyncio.sleep(0.1)
    await socket.close()

  run(act)


def test_a_conversation_lasts_longer_than_a_request_may(serve):
  served = serve(patience=0.5)

  async def act():
    async with Agent(served) as agent:
      while len(agent.frames) < 50:
        await asyncio.sleep(0.1)
      assert not [event for event in agent.events if event['type'] == 'gone']

  run(act)
