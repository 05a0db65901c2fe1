"""How many live sessions does one machine hold? Clients by websocket and by WebRTC, on loopback.

  python experiments/serving/load.py --sessions 1,2 --seconds 30 --output experiments/serving

Starts `python -m ifmdm_jax.serve` with the bundled weights; clients are another process, on the
same machine. Each sends a reply as it is spoken, pauses for two seconds and sends it again: in
`agent.speak`, or as the microphone of a browser would. A row of load.csv is a way in and a number
of sessions at once:

  fps, fps_5       frames in a second, of any client: mean, and 5th percentile of the seconds
  first_frame_ms   from the first packet of a reply to its first frame: median and longest; by
                   WebRTC to its first sound, which is not heard before its picture is sent
  gaps             replies that fell silent once they had begun, for want of sound or of time; not
                   seen by WebRTC, whose voice has pauses of its own
  infer_ms         making of a frame: speech, motion and drawing; encode_ms of its JPEG, which
                   WebRTC has none of
"""

import argparse
import asyncio
import base64
import csv
import fractions
import json
import pathlib
import re
import struct
import subprocess
import sys
import time
import urllib.request

import aiortc
import av
import numpy as np
import websockets

import ifmdm_jax as ifm
from ifmdm_jax.audio import waveform

RATE, PACKET, PAUSE = 24_000, 0.1, 2.0
HEARD = 0.003  # rms of sound that is a voice's: packets were through a codec
SPAN = 0.02  # seconds of sound that WebRTC carries at once
FRAME = struct.Struct('<4sdII')
ROOM = pathlib.Path(__file__).parents[2] / 'data' / 'fixtures'


class Seen:
  """What a client saw.

  Attributes:
    times: seconds at which its frames came.
    waits: seconds until replies began; `gaps`: how many were silent in the middle.
  """

  def __init__(self):
    self.times, self.waits, self.gaps = [], [], 0
    self._begun, self._answered = None, True

  def begin(self):
    """Notes that a reply begins."""
    self._begun, self._answered = time.monotonic(), False

  def hear(self, begins):
    """Notes whether speech begins here."""
    if begins and not self._answered:
      self.waits.append(time.monotonic() - self._begun)
      self._answered = True
    elif begins:
      self.gaps += 1


async def by_websocket(address, seed, pcm, until):
  """Talks until then; returns a `Seen`."""
  seen, speaking = Seen(), False
  path = f'{address.replace("http", "ws")}/v1/avatar/live?portrait=portrait&seed={seed}'
  async with websockets.connect(path, max_size=None) as socket:

    async def talk():
      step = round(PACKET * RATE)
      while True:
        await asyncio.sleep(PAUSE)
        start = time.monotonic()
        seen.begin()
        for k in range(0, len(pcm), step):
          await asyncio.sleep(start + k / RATE - time.monotonic())
          audio = base64.b64encode(pcm[k : k + step].tobytes()).decode()
          await socket.send(json.dumps({'type': 'agent.speak', 'audio': audio}))
        await socket.send(json.dumps({'type': 'agent.speak_end'}))

    task = asyncio.create_task(talk())
    while time.monotonic() < until:
      message = await socket.recv()
      if isinstance(message, bytes):
        seen.times.append(time.monotonic())
        now = bool(FRAME.unpack_from(message)[2] & 1)
        seen.hear(now and not speaking)
        speaking = now
    task.cancel()
  return seen


class Microphone(aiortc.MediaStreamTrack):
  """A voice that pauses and speaks, again and again, in real time."""

  kind = 'audio'

  def __init__(self, pcm, seen):
    super().__init__()
    size = round(SPAN * RATE)
    quiet = np.zeros(round(PAUSE / SPAN) * size, np.int16)
    self._first = len(quiet) // size  # packet of the voice
    self._packets = np.concatenate([quiet, pcm[: len(pcm) // size * size]]).reshape(-1, size)
    self._count, self._start, self._seen = 0, time.monotonic(), seen

  async def recv(self):
    """Waits until the next packet is due."""
    await asyncio.sleep(max(0, self._start + self._count * SPAN - time.monotonic()))
    place = self._count % len(self._packets)
    if place == self._first:
      self._seen.begin()
    frame = av.AudioFrame.from_ndarray(self._packets[place][None], format='s16', layout='mono')
    frame.sample_rate, frame.time_base = RATE, fractions.Fraction(1, RATE)
    frame.pts = self._count * len(self._packets[place])
    self._count += 1
    return frame


async def by_webrtc(address, seed, pcm, until):
  """Does the same as a browser does."""
  seen, tracks = Seen(), {}
  peer = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
  peer.on('track', lambda track: tracks.update({track.kind: track}))
  peer.addTransceiver('video', direction='recvonly')
  peer.addTrack(Microphone(pcm, seen))
  await peer.setLocalDescription(await peer.createOffer())
  asked = {'type': 'offer', 'sdp': peer.localDescription.sdp, 'portrait': 'portrait', 'seed': seed}
  answer = await asyncio.to_thread(post, f'{address}/offer', asked)
  await peer.setRemoteDescription(aiortc.RTCSessionDescription(answer['sdp'], 'answer'))

  async def watch():
    while time.monotonic() < until:
      await tracks['video'].recv()
      seen.times.append(time.monotonic())

  async def listen():
    quiet = 0.0  # seconds
    while time.monotonic() < until:
      frame = await tracks['audio'].recv()
      sound = frame.to_ndarray().astype(np.float32) / 32768
      voiced = np.sqrt(np.square(sound).mean()) > HEARD
      seen.hear(voiced and quiet > PAUSE / 2)
      quiet = 0.0 if voiced else quiet + SPAN

  try:
    await asyncio.gather(watch(), listen())
  finally:
    await peer.close()
  return seen


WAYS = {'websocket': by_websocket, 'webrtc': by_webrtc}


def post(address, asked):
  """Posts an object as JSON; returns the answer."""
  request = urllib.request.Request(address, json.dumps(asked).encode())
  return json.loads(urllib.request.urlopen(request).read())


def measured(address):
  """Reads the counts of /metrics: {name: number}."""
  text = urllib.request.urlopen(address + '/metrics').read().decode()
  return {name: float(value) for name, value in re.findall(r'^(\S+) ([\d.e+-]+)$', text, re.M)}


async def run(address, way, count, seconds, pcm):
  """Runs so many clients: a row."""
  before, until = measured(address), time.monotonic() + seconds
  found = await asyncio.gather(*[WAYS[way](address, k, pcm, until) for k in range(count)])
  after = measured(address)
  rates = []
  for seen in found:
    edges = np.arange(seen.times[0] + 1, seen.times[-1], 1)
    rates += np.histogram(seen.times, edges)[0].tolist()
  waits = [1e3 * wait for seen in found for wait in seen.waits]
  return {
    'way': way,
    'sessions': count,
    'fps': round(float(np.mean(rates)), 2),
    'fps_5': round(float(np.percentile(rates, 5)), 1),
    'first_frame_ms': round(float(np.median(waits))),
    'first_frame_ms_longest': round(max(waits)),
    'replies': len(waits),
    'gaps': sum(seen.gaps for seen in found) if way == 'websocket' else '',
    **stages({name: after[name] - before.get(name, 0) for name in after}),
  }


def stages(spent):
  """Picks the times of stages from differences of counts, ms a frame."""
  frames = spent['ifmdm_frames_total']
  stage = lambda name: spent.get(f'ifmdm_stage_seconds_total{{stage="{name}"}}', 0.0)
  return {
    column: round(1e3 * stage(name) / frames, 1)
    for column, name in (('infer_ms', 'make'), ('encode_ms', 'encode'))
  }


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--ways', default=','.join(WAYS))
  parser.add_argument('--sessions', default='1,2')
  parser.add_argument('--seconds', type=float, default=30.0)
  parser.add_argument('--output', required=True)
  flags = parser.parse_args()
  voice, rate = ifm.read_voice(ROOM / 'speech.wav', RATE)
  assert rate == RATE
  pcm = np.rint(waveform.as_float(voice) * 32767).astype(np.int16)
  counts = [int(count) for count in flags.sessions.split(',')]
  command = [sys.executable, '-m', 'ifmdm_jax.serve', '--portraits', str(ROOM), '--port', '0',
             '--most', str(max(counts)), '--load', '9']  # fmt: skip
  with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
    try:
      address, rows = re.search(r'http://\S+?:\d+', server.stdout.readline())[0], []
      for way in flags.ways.split(','):
        for count in [0, *counts]:
          time.sleep(3)  # places become free
          if not count:
            asyncio.run(run(address, way, 1, 8, pcm))  # warm
            continue
          rows.append(asyncio.run(run(address, way, count, flags.seconds, pcm)))
          print(rows[-1], flush=True)
    finally:
      server.terminate()
  output = pathlib.Path(flags.output)
  output.mkdir(parents=True, exist_ok=True)
  with open(output / 'load.csv', 'w', newline='') as file:
    writer = csv.DictWriter(file, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)


if __name__ == '__main__':
  main()
