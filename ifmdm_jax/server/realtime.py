"""A websocket of chunks: AUDI and speech in, VIDX and its pictures out; docs/serve.md has it."""

import asyncio
import collections
import struct
import time

from ifmdm_jax.errors import InputError
from ifmdm_jax.rates import FPS
from ifmdm_jax.server.limits import Refused
from ifmdm_jax.server.state import parsed
from ifmdm_jax.server.wire import Wire, unpacked

PATH, MODELS = '/v1/avatar/realtime', '/v1/audio2video/models'
RATE, HOP = 16_000, 16_000 // FPS  # Hz; samples of a frame
WINDOWS = 9  # of the plan in a chunk that is asked for
SPEED = 2.0  # times that of play, at most, at which chunks are answered
TAIL = 0.3  # seconds without another chunk after which the rest of one is drawn
LOST = 10.0  # seconds without a frame after which a chunk is answered by what is there
AUDIO, VIDEO = b'AUDI', b'VIDX'


async def realtime(state, websocket):
  """Serves one client."""
  client = Client(state, websocket)
  await client.wire.accept()
  why = 'the client left'
  try:
    why = await client.wire.run(client.run())
  finally:
    if client.call is not None:
      await client.call.close(why)


def packed(pictures):
  """Packs JPEGs: their number and the length of each are little-endian, 4 bytes."""
  parts = [VIDEO, struct.pack('<I', len(pictures))]
  for picture in pictures:
    parts += [struct.pack('<I', len(picture)), picture]
  return b''.join(parts)


class Client:
  """One websocket, and the call that it creates."""

  def __init__(self, state, websocket):
    self.state, self.wire, self.call = state, Wire(state, websocket), None
    self._chunks = collections.deque()  # [frames, whether it is answered, when it came]
    self._there = asyncio.Event()
    self._samples, self._index, self._late = 0, 0, None

  async def run(self):
    """Talks until the client has enough; returns why."""
    limits = self.state.limits
    first = await self.wire.read(limits.upload * 4 // 3 + limits.text, limits.patience)
    if not isinstance(first, str):
      raise Refused(400, 'expected session.create first, got bytes')
    try:
      await self._create(parsed(first))
    except InputError as error:
      raise Refused(400, str(error)) from None
    works = [asyncio.ensure_future(work) for work in (self._read(), self._answer(), self._over())]
    try:
      done, _ = await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
      return next(filter(None, [work.result() for work in done]), None)
    finally:
      for work in works:
        work.cancel()
      await asyncio.gather(*works, return_exceptions=True)
      if self._late:
        self._late.cancel()

  async def _create(self, said):
    inputs, config = said.get('inputs') or {}, said.get('config') or {}
    objects = isinstance(inputs, dict) and isinstance(config, dict)
    if said.get('type') != 'session.create' or not objects:
      raise Refused(400, 'expected session.create with inputs and config first, got others')
    image = None
    if inputs.get('image_b64') is not None:
      text = inputs['image_b64']
      if isinstance(text, str) and text.startswith('data:'):
        text = text.partition(',')[2]
      picture = unpacked(text, self.state.limits.upload)
      self.state.calls.check_room()
      with self.state.metrics.stage('portrait'):
        image, _ = await self.state.portraits.decoded(picture)
    live = self.state.live
    self.call = await self.state.begin(
      inputs.get('portrait'), 'realtime', image=image, rate=RATE, paced=False,
      seed=config.get('seed', 0), options=config.get('options'),
    )  # fmt: skip
    size = live.sampler.size
    await self.wire.send({
      'type': 'session.created', 'session_id': self.call.id, 'trace_id': self.call.id,
      'audio': {'format': 'pcm_s16le', 'sample_rate': RATE, 'channels': 1,
                'chunk_samples': WINDOWS * live.plan.new * HOP},
      'video': {'encoding': 'jpeg-seq', 'wire_magic': 'VIDX', 'fps': FPS, 'width': size,
                'height': size},
    })  # fmt: skip

  async def _read(self):
    while True:
      said = await self.wire.read()
      if isinstance(said, bytes):
        await self.wire.understand(self._push(said))
        continue
      if _kind(said) == 'session.close':
        await self.wire.send({'type': 'session.closed', 'session_id': self.call.id})
        return 'the client left'
      await self.wire.understand(self._obey(_kind(said)))

  async def _obey(self, kind):
    if kind == 'session.cancel':
      self._chunks.clear()
      self._samples = 0
      await self.call.interrupt()
      self.call.session.skip()
      await self.wire.send({'type': 'session.cancelled', 'session_id': self.call.id})
    elif kind in ('ping', 'session.ping'):
      await self.wire.send({'type': 'pong' if kind == 'ping' else 'session.pong'})
    else:
      raise Refused(400, 'expected session.cancel, session.close or ping, got another type')

  async def _push(self, said):
    if not said.startswith(AUDIO):
      raise Refused(400, 'expected AUDI and PCM of 16 bits, got other bytes')
    sound = said[len(AUDIO) :]
    await self.call.say(sound, RATE, more=True)
    if self._late:
      self._late.cancel()
    before = self._samples
    self._samples += len(sound) // 2
    self._chunks.append([self._samples // HOP - before // HOP, True, time.perf_counter()])
    self._there.set()
    self._late = asyncio.get_running_loop().call_later(TAIL, self._finish)

  def _finish(self):
    """Has the last frames drawn, which wait for others that do not come."""
    timeline = self.call.session.timeline
    if self._samples % HOP:
      self._chunks.append([1, False, 0.0])  # filled up by silence: nobody's
      self._there.set()
    elif not timeline.waiting:
      return
    self._samples = 0
    timeline.flush()
    self.state.live.wake()

  async def _answer(self):
    """Answers each chunk by its pictures."""
    while True:
      while not self._chunks:
        self._there.clear()
        await self._there.wait()
      chunk, pictures, encoding = self._chunks[0], [], 0.0
      while chunk in self._chunks and len(pictures) < chunk[0]:
        picture, seconds = await self._picture()
        if picture is None:
          break
        pictures.append(picture)
        encoding += seconds
      if chunk not in self._chunks:  # cancelled
        continue
      self._chunks.popleft()
      if not chunk[1]:
        continue
      self._index += 1
      inferring = time.perf_counter() - chunk[2] - encoding
      await self.wire.send({'type': 'metrics', 'chunk_index': self._index,
                            'infer_ms': round(1000 * inferring),
                            'encode_ms': round(1000 * encoding)})  # fmt: skip
      await self.wire.send(packed(pictures))

  async def _picture(self):
    """Waits for the next frame of speech: (JPEG or None, seconds of encoding)."""
    while True:
      begun = time.perf_counter()
      try:
        async with asyncio.timeout(LOST):
          frame = await self.call.frame()
      except TimeoutError:
        return None, 0.0
      if frame is None:
        await asyncio.Event().wait()  # `_over` says so
      encoded = time.perf_counter()
      picture = await self.wire.jpeg(frame.image) if frame.speaking else None
      now = time.perf_counter()
      await asyncio.sleep(max(0.0, begun + 1 / FPS / SPEED - now))
      if picture:
        return picture, now - encoded

  async def _over(self):
    """Waits until the call is over; returns why."""
    events = self.call.listen()
    while (await events.get())[0] != 'closed':
      pass
    await self.wire.send({'type': 'session.closed', 'session_id': self.call.id})
    return self.call.over


def _kind(said):
  """Reads a message's type, None where it has none."""
  try:
    kind = parsed(said).get('type')
  except Refused:
    return None
  return kind if isinstance(kind, str) else None
