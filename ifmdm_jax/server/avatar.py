"""A websocket in the dialect of hosted avatars: agent.speak and its like; docs/serve.md has it."""

import asyncio
import struct

from ifmdm_jax.errors import InputError
from ifmdm_jax.server.limits import Refused
from ifmdm_jax.server.state import parsed
from ifmdm_jax.server.wire import Wire, refuse, unpacked

PATH = '/v1/avatar/live'
RATE = 24_000  # Hz
LARGEST = 2**20  # bytes of sound in a message
FRAME = struct.Struct('<4sdII')  # FRAM, seconds, bits, bytes of sound; then the sound, then a JPEG
SPEAKING, ENDS = 1, 2  # bits
EVENTS = {'started': 'agent.speak_started', 'ended': 'agent.speak_ended',
          'interrupted': 'agent.speak_interrupted'}  # fmt: skip


async def avatar(state, websocket):
  """Serves one client: `?portrait=NAME` begins a session, `?session=ID` speaks in another's."""
  asked = websocket.query_params
  try:
    if 'session' in asked:
      call, own = state.calls.get(asked['session']), False
    else:
      seed = asked.get('seed', '0')
      if not seed.isdecimal() or len(seed) > 9:
        raise Refused(400, 'expected seed to be a whole number')
      own, name = True, asked.get('portrait')
      call = await state.begin(name, 'avatar', rate=RATE, seed=int(seed))
  except (Refused, InputError) as error:
    await refuse(websocket, state, error)
    return
  client, why = Client(state, websocket, call), 'the client left'
  try:
    why = await client.run(own and asked.get('video') != 'none', own)
  finally:
    if own:
      await call.close(why)


class Client:
  """One websocket and the call that it speaks in."""

  def __init__(self, state, websocket, call):
    self.state, self.call, self.wire = state, call, Wire(state, websocket)
    self._does = {
      'agent.speak': self._speak,
      'agent.speak_end': lambda _: call.finish(),
      'agent.interrupt': lambda _: call.interrupt(),
      'agent.start_listening': self._nothing,
      'agent.stop_listening': self._nothing,
      'session.keep_alive': self._nothing,
      'session.change': lambda said: call.change(said.get('options')),
    }

  async def run(self, pictures, own):
    """Talks until one of both has enough; returns why."""
    events = self.call.listen()
    try:
      await self.wire.accept()
      works = [self._read(), self._tell(events)]
      return await self.wire.run(*works, *([self._show(pictures)] if own else []))
    finally:
      self.call.leave(events)

  async def _read(self):
    while True:
      said = await self.wire.read()
      await self.wire.understand(self._obey(said), _name(said))

  async def _obey(self, said):
    if isinstance(said, bytes):
      raise Refused(400, 'expected JSON, got bytes: sound goes in agent.speak')
    said = parsed(said)
    kind = said.get('type')
    if not isinstance(kind, str) or kind not in self._does:
      raise Refused(400, f'expected a type of {", ".join(self._does)}, got another')
    await self._does[kind](said)

  async def _speak(self, said):
    sound = unpacked(said.get('audio'), LARGEST)
    await self.call.say(sound, RATE, more=True, name=_short(said.get('event_id')))

  async def _nothing(self, _):
    """Lets a client say that it is there; the face rests while others speak."""

  async def _tell(self, events):
    for state in ('connecting', 'connected'):
      await self._state(state)
    while True:
      event, name = await events.get()
      if event == 'closed':
        await self._state('closing')
        await self._state('closed')
        return self.call.over
      await self.wire.send({'type': EVENTS[event], 'event_id': name, 'session_id': self.call.id})

  async def _state(self, state):
    await self.wire.send({'type': 'session.state_updated', 'state': state,
                          'session_id': self.call.id})  # fmt: skip

  async def _show(self, pictures):
    async for frame in self.call.frames():
      if pictures:
        picture, sound = await self.wire.jpeg(frame.image), frame.audio.tobytes()
        bits = SPEAKING * frame.speaking | ENDS * frame.end_of_speech
        await self.wire.send(FRAME.pack(b'FRAM', frame.pts, bits, len(sound)) + sound + picture)
    await asyncio.Event().wait()  # `_tell` says that it is over


def _short(name):
  return name if isinstance(name, str) and len(name) <= 100 else None


def _name(said):
  """Finds the number of a message that may be damaged."""
  try:
    return _short(parsed(said).get('event_id')) if isinstance(said, str) else None
  except Refused:
    return None
