"""A server that runs in a thread, and ways to ask it."""

import asyncio
import http.client
import json
import math
import threading

from ifmdm_jax.server import routes
from ifmdm_jax.server import run as runs
from ifmdm_jax.server.limits import Limits
from ifmdm_jax.server.state import State
from ifmdm_jax.streaming.live import Live


class Server:
  """A server in a thread of its own, on a free port of this machine."""

  def __init__(self, sampler, folder, *, token=None, hosts=('127.0.0.1',), most=2, **limits):
    usual = {'sessions': most, 'load': math.inf, 'rate': 1000.0, 'stop': 0.5}  # of a busy machine
    limits = Limits(**{**usual, **limits})
    self.state = State(Live(sampler, most), portraits=folder, limits=limits)
    self.app = routes.application(self.state, token=token, hosts=hosts)
    self._there = threading.Event()
    config = runs.configure(self.state, self.app, '127.0.0.1', 0)
    self.server = runs.Server(config, self.state, self._ready)
    self.thread = threading.Thread(target=self.server.run, daemon=True)

  def _ready(self, port):
    self.port, self.loop = port, asyncio.get_running_loop()
    self._there.set()

  def __enter__(self):
    self.thread.start()
    assert self._there.wait(30)
    return self

  def __exit__(self, *_):
    self.server.should_exit = True
    self.thread.join(30)
    assert not self.thread.is_alive()

  def ask(self, method, path, body=None, **headers):
    """Asks once: (status, what the JSON says, or text)."""
    connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=30)
    try:
      if isinstance(body, dict):
        body = json.dumps(body)
      named = {name.replace('_', '-'): value for name, value in headers.items()}
      connection.request(method, path, body, named)
      answer = connection.getresponse()
      said = answer.read()
      kind = answer.headers.get('content-type', '')
      return answer.status, json.loads(said) if 'json' in kind else said.decode()
    finally:
      connection.close()

  async def asked(self, *args, **headers):
    """Asks without keeping the loop."""
    return await asyncio.to_thread(self.ask, *args, **headers)

  def url(self, path):
    return f'ws://127.0.0.1:{self.port}{path}'
