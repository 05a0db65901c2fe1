"""A page sees and hears an avatar by WebRTC, and speaks through it."""

import asyncio
import fractions

import av
import numpy as np
import pytest

from ifmdm_jax.streaming.session import Frame

aiortc = pytest.importorskip('aiortc', reason='needs aiortc: pip install ifmdm_jax[serve]')
rtc = pytest.importorskip('ifmdm_jax.server.rtc')

LIMIT = 40  # seconds, of a test


class Caller:
  """A client as a browser is one."""

  def __init__(self, served, microphone=None):
    self.served, self.connection = served, aiortc.RTCPeerConnection(
      aiortc.RTCConfiguration(iceServers=[]))  # fmt: skip
    self.frames, self.tasks = {'video': [], 'audio': []}, []
    self.connection.on('track', lambda track: self.tasks.append(
      asyncio.ensure_future(self._take(track))))  # fmt: skip
    self.connection.addTransceiver('video', 'recvonly')
    if microphone:
      self.connection.addTrack(microphone)
    else:
      self.connection.addTransceiver('audio', 'recvonly')

  async def _take(self, track):
    while True:
      self.frames[track.kind].append(await track.recv())

  async def offer(self, **asked):
    await self.connection.setLocalDescription(await self.connection.createOffer())
    sdp = self.connection.localDescription.sdp
    return await self.served.asked('POST', '/offer', {
      'type': 'offer', 'sdp': sdp, 'portrait': 'anna', **asked})  # fmt: skip

  async def call(self, **asked):
    status, said = await self.offer(**asked)
    assert status == 200, said
    await self.connection.setRemoteDescription(
      aiortc.RTCSessionDescription(said['sdp'], said['type'])
    )
    self.id = said['session']
    return self

  async def until(self, condition):
    while not condition(self.frames):
      await asyncio.sleep(0.05)

  async def close(self):
    for task in self.tasks:
      task.cancel()
    await self.connection.close()

  async def __aenter__(self):
    return self

  async def __aexit__(self, *_):
    await self.close()


class Microphone(aiortc.MediaStreamTrack):
  kind = 'audio'

  def __init__(self):
    super().__init__()
    self.count, self.random = 0, np.random.default_rng(0)

  async def recv(self):
    await asyncio.sleep(0.02)
    sound = self.random.integers(-9000, 9000, (1, 960)).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(sound, format='s16', layout='mono')
    frame.sample_rate, frame.time_base = 48_000, fractions.Fraction(1, 48_000)
    frame.pts = self.count = self.count + 960
    return frame


def run(act):
  asyncio.run(asyncio.wait_for(act(), LIMIT))


def loud(frames):
  return [f for f in frames['audio'] if np.abs(f.to_ndarray().astype(np.int32)).max() > 1000]


def test_a_caller_sees_the_face_and_hears_what_it_is_made_to_say(serve, pcm):
  served = serve()

  async def act():
    async with Caller(served) as caller:
      await caller.call(options={'head': 0.5})
      await caller.until(lambda frames: len(frames['video']) > 10)
      assert caller.frames['video'][0].width == 64 and not loud(caller.frames)
      status, said = await served.asked('POST', f'/sessions/{caller.id}/say?rate=24000', pcm(0.8))
      assert status == 202 and said['waiting'] > 0
      await caller.until(lambda frames: len(loud(frames)) > 30)  # 20 ms each
      path = f'/sessions/{caller.id}/change'
      assert (await served.asked('POST', path, {'motion_std': 1.5}))[0] == 200

  run(act)


def test_what_is_said_stops_where_it_is_interrupted(serve, pcm):
  served = serve()

  async def act():
    async with Caller(served) as caller:
      await caller.call()
      await served.asked('POST', f'/sessions/{caller.id}/say', pcm(20))
      await caller.until(lambda frames: len(loud(frames)) > 5)
      assert (await served.asked('POST', f'/sessions/{caller.id}/interrupt'))[0] == 200
      await asyncio.sleep(1)
      count = len(loud(caller.frames))
      await asyncio.sleep(1)
      assert len(loud(caller.frames)) == count

  run(act)


def test_a_microphone_speaks_through_the_face(serve):
  served = serve()

  async def act():
    async with Caller(served, Microphone()) as caller:
      await caller.call()
      await caller.until(lambda frames: len(loud(frames)) > 50)

  run(act)


def test_a_caller_that_hangs_up_frees_its_place(serve):
  served = serve(most=1)

  async def act():
    async with Caller(served) as caller:
      await caller.call()
      await caller.until(lambda frames: frames['video'])
      async with Caller(served) as another:
        status, said = await another.offer()
        assert status == 503 and 'taken' in said['error']
    while served.state.calls.taken:
      await asyncio.sleep(0.05)
    async with Caller(served) as caller:
      await caller.call()

  run(act)


def test_a_caller_that_vanishes_or_never_comes_frees_its_place(serve):
  served = serve(gone=2.0, joins=2.0)

  async def act():
    async with Caller(served) as never, Caller(served) as caller:
      assert (await never.offer())[0] == 200
      await caller.call()
      await caller.until(lambda frames: frames['video'])
      ice = caller.connection.getReceivers()[0].transport.transport
      ice._send = _nothing  # no word more, as without a network
      while served.state.calls.taken:
        await asyncio.sleep(0.1)

  run(act)


async def _nothing(*_):
  pass


def test_a_session_that_was_left_is_over(serve, pcm):
  served = serve()

  async def act():
    async with Caller(served) as caller:
      await caller.call()
      assert (await served.asked('DELETE', f'/sessions/{caller.id}'))[0] == 200
      assert (await served.asked('POST', f'/sessions/{caller.id}/say', pcm(1)))[0] == 404
      assert not served.state.calls.taken

  run(act)


OFFERS = {
  'nothing': ('', 400),
  'no SDP': ('hello', 400),
  'no media': ('v=0\r\n', 400),
  'damaged': ('v=0\r\nm=video x y z\r\n', 400),
  'sound alone': ('v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n', 400),
  'data': ('v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 97\r\nm=application 9 DTLS/SCTP 5000\r\n', 400),
  'too large': ('v=0\r\n' + 'a=x\r\n' * 15_000, 413),
  'a number': (7, 400),
}


@pytest.mark.parametrize('name', OFFERS)
def test_an_offer_that_is_none_is_refused_in_a_line(serve, name):
  sdp, expected = OFFERS[name]
  served = serve()
  asked = {'type': 'offer', 'sdp': sdp, 'portrait': 'anna'}
  status, said = served.ask('POST', '/offer', asked)
  assert status == expected and said['error'].startswith('expected')
  assert not served.state.calls.taken


def test_picture_and_sound_of_a_frame_have_one_time():
  image, audio = np.zeros((64, 64, 3), np.uint8), np.zeros(960, np.int16)
  for number in (0, 1, 25, 90_001):
    frame = Frame(image, audio, number / 25, False, True)
    seconds = lambda each: each.pts * each.time_base
    first, second = rtc.sounds(frame, 24_000)
    assert seconds(rtc.picture(frame)) == seconds(first) == fractions.Fraction(number, 25)
    assert seconds(second) - seconds(first) == fractions.Fraction(1, 50)


def test_what_is_said_takes_precedence_over_a_microphone(serve, voice):
  served = serve()

  async def act():
    async with Caller(served, Microphone()) as caller:
      await caller.call()
      await caller.until(lambda frames: len(loud(frames)) > 20)
      tone = (np.sin(np.arange(48_000) / 24_000 * 440 * 2 * np.pi) * 9000).astype('<i2').tobytes()
      assert (await served.asked('POST', f'/sessions/{caller.id}/say', tone))[0] == 202
      pure = lambda frame: _purity(frame.to_ndarray()) > 0.5
      await caller.until(lambda frames: sum(map(pure, frames['audio'][-50:])) > 20)
      await caller.until(lambda frames: not any(map(pure, loud(frames)[-50:])))  # it is back

  run(act)


def _purity(sound):
  """Returns the share of a sound's energy that is near 440 Hz."""
  power = np.abs(np.fft.rfft(sound.reshape(-1, 2).mean(1) * np.hanning(sound.size // 2))) ** 2
  frequency = np.fft.rfftfreq(sound.size // 2, 1 / 48_000)
  return power[np.abs(frequency - 440) < 120].sum() / (power.sum() + 1)
