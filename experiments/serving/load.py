"""How many live sessions does one machine hold? Clients by websocket, on loopback.

  python experiments/serving/load.py --sessions 1,2,3 --seconds 30 --output experiments/serving

Starts `python -m ifmdm_jax.serve` with the bundled weights. Each client sends a reply as it is
spoken, pauses for two seconds and sends it again. A row of load.csv is a number of sessions at
once:

  fps, fps_5       frames in a second, of any client: mean, and 5th percentile of the seconds
  first_frame_ms   from the first packet of a reply to its first frame: median and longest
  infer_ms         making of a frame: speech, motion and drawing; encode_ms of its JPEG
"""

import argparse
import asyncio
import base64
import csv
import json
import pathlib
import re
import struct
import subprocess
import sys
import time
import urllib.request

import numpy as np
import websockets

import ifmdm_jax as ifm
from ifmdm_jax.audio import waveform

RATE, PACKET, PAUSE = 24_000, 0.1, 2.0
FRAME = struct.Struct('<4sdII')
ROOM = pathlib.Path(__file__).parents[2] / 'data' / 'fixtures'


async def client(address, pcm, until):
  """Talks until then; returns the times of frames, and how long first frames took."""
  times, waits, begun = [], [], []
  async with websockets.connect(address, max_size=None) as socket:

    async def talk():
      step = round(PACKET * RATE)
      while True:
        await asyncio.sleep(PAUSE)
        start = time.monotonic()
        begun.append(start)
        for k in range(0, len(pcm), step):
          await asyncio.sleep(start + k / RATE - time.monotonic())
          audio = base64.b64encode(pcm[k : k + step].tobytes()).decode()
          await socket.send(json.dumps({'type': 'agent.speak', 'audio': audio}))
        await socket.send(json.dumps({'type': 'agent.speak_end'}))

    task, speaking = asyncio.create_task(talk()), False
    while time.monotonic() < until:
      message = await socket.recv()
      if isinstance(message, str):
        continue
      times.append(time.monotonic())
      now = bool(FRAME.unpack_from(message)[2] & 1)
      if now and not speaking:
        waits.append(times[-1] - begun[-1])
      speaking = now
    task.cancel()
  return times, waits


def measured(address):
  """Reads the counts of /metrics: {name: number}."""
  text = urllib.request.urlopen(address + '/metrics').read().decode()
  return {name: float(value) for name, value in re.findall(r'^(\S+) ([\d.e+-]+)$', text, re.M)}


async def run(address, count, seconds, pcm):
  """Runs so many clients: a row."""
  socket = address.replace('http', 'ws') + '/v1/avatar/live?portrait=portrait&seed='
  before, until = measured(address), time.monotonic() + seconds
  found = await asyncio.gather(*[client(socket + str(k), pcm, until) for k in range(count)])
  after = measured(address)
  rates = []
  for times, _ in found:
    edges = np.arange(times[0] + 1, times[-1], 1)
    rates += np.histogram(times, edges)[0].tolist()
  waits = [1e3 * wait for _, waits in found for wait in waits]
  spent = {k: after[k] - before.get(k, 0) for k in after}
  return {
    'sessions': count,
    'fps': round(np.mean(rates), 2),
    'fps_5': round(float(np.percentile(rates, 5)), 1),
    'first_frame_ms': round(float(np.median(waits))),
    'first_frame_ms_longest': round(max(waits)),
    **stages(spent),
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
  parser.add_argument('--sessions', default='1,2,3')
  parser.add_argument('--seconds', type=float, default=30.0)
  parser.add_argument('--output', required=True)
  flags = parser.parse_args()
  voice, rate = ifm.read_voice(ROOM / 'speech.wav', RATE)
  assert rate == RATE
  pcm = np.rint(waveform.as_float(voice) * 32767).astype(np.int16)
  counts = [int(count) for count in flags.sessions.split(',')]
  command = [sys.executable, '-m', 'ifmdm_jax.serve', '--portraits', str(ROOM), '--port', '0',
             '--most', str(max(counts))]  # fmt: skip
  with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
    try:
      address = re.search(r'http://\S+?:\d+', server.stdout.readline())[0]
      asyncio.run(run(address, 1, 8, pcm))  # warm
      rows = []
      for count in counts:
        rows.append(asyncio.run(run(address, count, flags.seconds, pcm)))
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
