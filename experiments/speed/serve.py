"""A talking head behind a socket, from the file that `python -m ifmdm_jax.export` writes.

  python experiments/speed/serve.py talking.zip portrait.npy 9000

Knows JAX, NumPy and safetensors, nothing of this package. One client after the other sends mono
float32 samples at 16 kHz and receives raw RGB frames, 25 per second; it closes its side to end.
"""

import json
import socket
import sys
import zipfile

import jax
import numpy as np
from safetensors.numpy import load


def main(path, portrait, port):
  with zipfile.ZipFile(path) as file:
    meta, weights = json.loads(file.read('meta.json')), load(file.read('weights.safetensors'))
    names = ('portrait', 'move', 'draw')
    call = {n: jax.jit(jax.export.deserialize(file.read(f'{n}.stablehlo')).call) for n in names}
  weights, std = jax.device_put(weights), np.float32(meta['window_std'])[None, None]
  new, ahead, past = meta['new'], meta['new'] + meta['future'], meta['past']
  hop, seed = meta['sample_rate'] // meta['fps'], np.uint32([0])
  code, portrait = call['portrait'](weights, np.load(portrait))
  rest = np.asarray(code)[:, None]

  def frames(receive):
    sound, done, index, live = np.zeros(0, np.float32), 0, 0, True
    before = np.repeat(rest, 1 + meta['known'], axis=1)
    while live or done < len(sound) // hop:
      block = receive() if live else b''
      live = live and bool(block)
      sound = np.append(sound, np.frombuffer(block, np.float32))  # to talk for hours, forget some
      while (left := len(sound) // hop - done) >= ahead or (left > 0 and not live):
        window = sound[max(0, done - past) * hop : (done + ahead) * hop]
        count = np.int32(len(window) // hop)
        padded = np.pad(window[: count * hop], (0, (past + ahead - count) * hop))
        codes, before = call['move'](
          weights, padded, count, np.int32(done), before, np.uint32([index]), seed, rest, std
        )
        yield np.asarray(call['draw'](weights, portrait, codes[0]))[:left]
        done, index = done + min(new, left), index + 1

  with socket.create_server(('127.0.0.1', port)) as server:
    while True:
      client, _ = server.accept()
      with client, client.makefile('rb') as sound:
        for block in frames(lambda: sound.read(4 * hop)):
          client.sendall(block.tobytes())


if __name__ == '__main__':
  main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
