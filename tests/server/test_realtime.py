"""An orchestrator sends chunks of speech and gets as many pictures as each has frames."""

import asyncio
import base64
import json
import struct

import pytest

websockets = pytest.importorskip('websockets', reason='needs websockets')
PATH, LIMIT = '/v1/avatar/realtime', 40


def run(act):
  asyncio.run(asyncio.wait_for(act(), LIMIT))


async def created(served, **said):
  socket = await websockets.connect(served.url(PATH))
  asked = {'type': 'session.create', 'model': 'ifmdm_jax', 'inputs': {'portrait': 'anna'}, **said}
  await socket.send(json.dumps(asked))
  return socket, json.loads(await socket.recv())


def pictures(message):
  assert message[:4] == b'VIDX'
  (count,), at, found = struct.unpack_from('<I', message, 4), 8, []
  for _ in range(count):
    (size,) = struct.unpack_from('<I', message, at)
    found.append(message[at + 4 : at + 4 + size])
    at += 4 + size
  assert at == len(message)
  return found


async def answered(socket):
  metrics = json.loads(await socket.recv())
  assert metrics['type'] == 'metrics' and metrics['infer_ms'] >= 0
  return metrics['chunk_index'], pictures(await socket.recv())


def test_the_model_is_listed(serve):
  status, said = serve().ask('GET', '/v1/audio2video/models')
  assert status == 200 and said['data'][0]['id'] == 'ifmdm_jax'


@pytest.mark.parametrize('samples', [[17_280] * 3, [17_920] * 2, [5_000, 1_000, 20_000, 333]])
def test_each_chunk_is_answered_by_its_pictures_in_order(serve, voice, samples):
  served = serve()

  async def act():
    socket, said = await created(served, config={'preset': 'realtime', 'seed': 3})
    assert said['type'] == 'session.created' and said['video']['wire_magic'] == 'VIDX'
    assert said['audio']['sample_rate'] == 16_000 and said['video']['width'] == 64
    total = 0
    for number, count in enumerate(samples, 1):
      sound = (voice(count / 16_000, number)[:count] * 32767).astype('<i2').tobytes()
      await socket.send(b'AUDI' + sound)
      index, found = await answered(socket)
      total += count
      assert index == number and all(each[:2] == b'\xff\xd8' for each in found)
      assert len(found) == total // 640 - (total - count) // 640 or samples[0] == 5_000
    await socket.close()

  run(act)


def test_chunks_may_come_ahead_and_be_cancelled(serve, voice):
  served = serve()

  async def act():
    socket, _ = await created(served)
    sound = b'AUDI' + (voice(1.08) * 32767).astype('<i2').tobytes()
    for _ in range(4):
      await socket.send(sound)
    assert len((await answered(socket))[1]) == 27
    await socket.send('{"type": "session.cancel"}')
    while isinstance(message := await socket.recv(), bytes) or (
      json.loads(message)['type'] == 'metrics'
    ):
      pass
    assert json.loads(message)['type'] == 'session.cancelled'
    await socket.send(sound)
    assert len((await answered(socket))[1]) == 27
    await socket.send('{"type": "session.ping"}')
    assert json.loads(await socket.recv())['type'] == 'session.pong'
    await socket.send('{"type": "session.close"}')
    assert json.loads(await socket.recv())['type'] == 'session.closed'
    await socket.wait_closed()
    while served.state.calls.taken:
      await asyncio.sleep(0.05)

  run(act)


def test_the_portrait_may_come_with_the_session(serve):
  served = serve()

  async def act():
    picture = base64.b64encode(b'a picture').decode()
    for text in (picture, f'data:image/png;base64,{picture}'):
      socket, said = await created(served, inputs={'image_b64': text, 'prompt': 'talk'})
      assert said['type'] == 'session.created'
      await socket.close()

  run(act)


FIRST = {
  'bytes': (b'AUDI\0\0', 400),
  'no JSON': ('{', 400),
  'another message': ('{"type": "ping"}', 400),
  'no portrait': ('{"type": "session.create"}', 400),
  'an unknown portrait': ('{"type": "session.create", "inputs": {"portrait": "x"}}', 404),
  'inputs that are none': ('{"type": "session.create", "inputs": [1]}', 400),
  'no base64': ('{"type": "session.create", "inputs": {"image_b64": "%"}}', 400),
  'a seed that is none': (
    '{"type": "session.create", "inputs": {"portrait": "anna"}, "config": {"seed": "x"}}', 400),
}  # fmt: skip


def test_what_does_not_begin_a_session_is_told_why(serve):
  served = serve()

  async def act():
    for said, status in FIRST.values():
      async with websockets.connect(served.url(PATH)) as socket:
        await socket.send(said)
        event = json.loads(await socket.recv())
        assert event['type'] == 'error' and event['status'] == status
        await socket.wait_closed()
    while served.state.calls.taken:
      await asyncio.sleep(0.05)

  run(act)


def test_a_chunk_that_is_wrong_is_answered_by_a_line(serve):
  served = serve()

  async def act():
    socket, _ = await created(served)
    for said in (b'ODD', b'AUDI\0', '{"type": "dance"}', '{'):
      await socket.send(said)
      event = json.loads(await socket.recv())
      assert event['type'] == 'error' and event['status'] == 400
    await socket.close()

  run(act)
