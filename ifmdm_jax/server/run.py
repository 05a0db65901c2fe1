"""Runs the server until it is stopped: first no new sessions, then, in a while, no old ones."""

import asyncio

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from ifmdm_jax.errors import InputError
from ifmdm_jax.server import routes

PING = 4.0  # seconds between two, and until the answer


class Patient(H11Protocol):
  """HTTP whose clients have a while to send the head of a request, not for ever."""

  seconds = 15.0

  def connection_made(self, transport):
    """Begins to wait."""
    super().connection_made(transport)
    self._late = asyncio.get_running_loop().call_later(self.seconds, self._give_up)

  def connection_lost(self, exc):
    """Ends waiting."""
    self._late.cancel()
    super().connection_lost(exc)

  def handle_events(self):
    """Reads what has come."""
    super().handle_events()
    if self.cycle is not None:
      self._late.cancel()

  def handle_websocket_upgrade(self, event):
    """Hands the connection over; from then on pings say whether the client is there."""
    self._late.cancel()
    super().handle_websocket_upgrade(event)

  def _give_up(self):
    if self.cycle is None and not self.transport.is_closing():
      self.transport.abort()


class Server(uvicorn.Server):
  """uvicorn's, which drains before it stops."""

  def __init__(self, config, state, ready=None):
    """`ready`: called with the port when it can be reached."""
    super().__init__(config)
    self.state, self._ready, self._draining = state, ready, None

  async def startup(self, sockets=None):
    """Begins to listen."""
    await super().startup(sockets)
    self._loop = asyncio.get_running_loop()
    if self.started and self._ready:
      self._ready(self.servers[0].sockets[0].getsockname()[1])

  def handle_exit(self, sig, frame):
    """Drains at the first signal, stops at the second."""
    if self._draining is not None:
      super().handle_exit(sig, frame)
      return
    self._draining = sig
    self._loop.call_soon_threadsafe(lambda: self._loop.create_task(self._drain(sig, frame)))

  async def _drain(self, sig, frame):
    await self.state.calls.drain(self.state.limits.stop)
    super().handle_exit(sig, frame)


def configure(state, app, host, port):
  """Makes uvicorn's settings."""
  limits = state.limits
  protocol = type('Http', (Patient,), {'seconds': limits.patience})
  return uvicorn.Config(
    app, host, port, http=protocol, log_level='critical', access_log=False, server_header=False,
    date_header=False, proxy_headers=False, limit_concurrency=limits.connections, backlog=64,
    h11_max_incomplete_event_size=2**15, timeout_keep_alive=5, timeout_graceful_shutdown=3,
    ws_max_size=limits.upload * 4 // 3 + limits.text, ws_ping_interval=PING, ws_ping_timeout=PING,
    ws_per_message_deflate=False,
  )  # fmt: skip


def serve(state, host, port, *, token=None, hosts=None, ready=None):
  """Serves until it is stopped.

  Args:
    state: `state.State`.
    host, port: where; 0 is any free port.
    token, hosts: see `gate.Gate`.
    ready: called with the port when it can be reached.

  Raises:
    InputError: it cannot listen there.
  """
  app = routes.application(state, token=token, hosts=hosts)
  server = Server(configure(state, app, host, port), state, ready)
  try:
    server.run()
  except SystemExit:  # of uvicorn, where it cannot listen
    if server.started:
      raise
  if not server.started:
    raise InputError(f'expected a free port, {port} of {host} is none: pass another --port')
