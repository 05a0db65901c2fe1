"""WebRTC: a session's pictures and sound as tracks, and the client's microphone into it."""

import asyncio
import collections
import fractions
import re

import aiortc
import av
import numpy as np
from aiortc.mediastreams import MediaStreamError

from ifmdm_jax.server.limits import Refused

CLOCK = 90_000  # Hz, of video
PIECES = 2  # of sound a frame: RTP carries 20 ms
HELD = 25  # frames that wait for the network; then the oldest go
LARGEST_SDP = 2**16  # letters
MOST_CANDIDATES = 64


class Track(aiortc.MediaStreamTrack):
  """A track that is fed from a session; what nobody fetches is dropped, the oldest first."""

  def __init__(self, kind):
    super().__init__()
    self.kind = kind
    self._waiting, self._there = collections.deque(maxlen=HELD * PIECES), asyncio.Event()

  def put(self, frame):
    """Appends a frame of PyAV."""
    self._waiting.append(frame)
    self._there.set()

  async def recv(self):
    """Waits for the next frame."""
    while not self._waiting:
      if self.readyState != 'live':
        raise MediaStreamError
      self._there.clear()
      await self._there.wait()
    return self._waiting.popleft()

  def stop(self):
    """Ends the track."""
    super().stop()
    self._there.set()


def picture(frame):
  """Makes PyAV's frame of a session's, its time from the session's clock."""
  made = av.VideoFrame.from_ndarray(frame.image, format='rgb24')
  made.pts, made.time_base = round(frame.pts * CLOCK), fractions.Fraction(1, CLOCK)
  return made


def sounds(frame, rate):
  """Makes PyAV's frames of a session's sound, of the same clock as its picture."""
  start = round(frame.pts * rate)
  for k, piece in enumerate(np.split(frame.audio, PIECES)):
    made = av.AudioFrame.from_ndarray(piece[None], format='s16', layout='mono')
    made.sample_rate, made.time_base = rate, fractions.Fraction(1, rate)
    made.pts = start + k * len(piece)
    yield made


class Peer:
  """The connection to one client.

  peer = Peer(ice)
  microphone = await peer.offered(sdp)
  answer = await peer.answer(call)
  """

  def __init__(self, ice=()):
    """`ice`: URLs of servers that help where there is no direct way, none by default."""
    servers = [aiortc.RTCIceServer(urls=[url]) for url in ice]
    self.connection = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=servers))
    self._tasks, self._source = [], None
    self._packets, self._seen = -1, None

  async def offered(self, sdp):
    """Takes a client's offer; returns whether it brings a microphone.

    Raises:
      Refused: it is no offer of a picture, and at most one sound.
    """
    check(sdp)
    found = []
    self.connection.on('track', found.append)
    try:
      await self.connection.setRemoteDescription(aiortc.RTCSessionDescription(sdp, 'offer'))
    except Exception:  # whatever a strange offer makes the parser raise
      raise Refused(400, 'expected an SDP offer, this one cannot be used') from None
    self._source = next((track for track in found if track.kind == 'audio'), None)
    return self._source is not None

  async def answer(self, call):
    """Answers with the tracks of a call, and ends with it; returns the SDP."""
    self.call, self.video, self.audio = call, Track('video'), Track('audio')
    kinds = {each.kind for each in self.connection.getTransceivers()}
    self.connection.addTrack(self.video)
    if 'audio' in kinds:
      self.connection.addTrack(self.audio)
    call.closing.append(self.close)
    call.alive = self._silent
    self._begun = call.calls.clock()
    self.connection.on('connectionstatechange', self._changed)
    try:
      await self.connection.setLocalDescription(await self.connection.createAnswer())
    except Exception:  # codecs that nobody here has, and the like
      raise Refused(400, 'expected an SDP offer, this one cannot be answered') from None
    self._tasks.append(asyncio.create_task(self._watch()))
    return self.connection.localDescription.sdp

  async def close(self):
    """Ends the connection."""
    for task in self._tasks:
      if task is not asyncio.current_task():
        task.cancel()
    for track in (getattr(self, 'video', None), getattr(self, 'audio', None)):
      if track is not None:
        track.stop()
    await self.connection.close()
    self.connection.remove_all_listeners()

  def _silent(self):
    """Returns the seconds since a packet came."""
    return 0.0 if self._seen is None else self.call.calls.clock() - self._seen

  async def _changed(self):
    state = self.connection.connectionState
    if state == 'connected' and len(self._tasks) == 1:
      self._tasks.append(asyncio.create_task(self._play()))
      if self._source is not None:
        self._tasks.append(asyncio.create_task(self._hear()))
    elif state in ('failed', 'closed'):
      await self.call.close('the client left')

  async def _watch(self):
    """Notes when packets come: who receives something reports every second or so."""
    call = self.call
    while True:
      await asyncio.sleep(1)
      if self.connection.connectionState != 'connected':
        if call.calls.clock() - self._begun > call.calls.limits.joins:
          asyncio.create_task(call.close('the client never came'))
          return
        continue
      stats = await self.connection.getStats()
      packets = sum(each.packetsReceived for each in stats.values() if each.type == 'transport')
      if packets != self._packets:
        self._packets, self._seen = packets, call.calls.clock()

  async def _play(self):
    """Feeds both tracks from one place, so that lips and sound stay together."""
    rate = self.call.session.timeline.rate
    try:
      async for frame in self.call.frames():
        self.video.put(picture(frame))
        for piece in sounds(frame, rate):
          self.audio.put(piece)
    except Refused as error:
      await self.call.close(error.reason)

  async def _hear(self):
    """Brings the client's sound into the session."""
    try:
      while True:
        frame = await self._source.recv()
        sound = frame.to_ndarray().reshape(-1, len(frame.layout.channels))
        await self.call.hear(sound.mean(1).astype(np.int16), frame.sample_rate)
    except (MediaStreamError, ValueError):  # it has ended, or the session has
      pass


def check(sdp):
  """Raises Refused where a text is too large for an offer, or offers other things."""
  if not isinstance(sdp, str) or not sdp.startswith('v=0'):
    raise Refused(400, 'expected an SDP offer, got none')
  if len(sdp) > LARGEST_SDP or sdp.count('a=candidate') > MOST_CANDIDATES:
    raise Refused(413, f'expected an SDP offer of {LARGEST_SDP} letters and {MOST_CANDIDATES} '
                  'candidates at most, got more')  # fmt: skip
  kinds = sorted(re.findall(r'^m=(\w+)', sdp, re.MULTILINE))
  if kinds not in (['video'], ['audio', 'video']):
    raise Refused(400, 'expected an offer of one video and at most one audio, '
                  f'got {", ".join(kinds[:8]) or "neither"}')  # fmt: skip
