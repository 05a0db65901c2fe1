"""The door of the server: which hosts and pages it answers to, who may come in, how often."""

import hmac
import json
import urllib.parse

from ifmdm_jax.server.limits import Buckets

LOOPBACK = 'localhost', '127.0.0.1', '::1'
OPEN = '/healthz'  # what needs no token
BEARER = 'bearer.'  # a subprotocol of websockets: pages cannot set their headers
HEADERS = [
  (b'cache-control', b'no-store'),
  (b'content-security-policy', b"default-src 'none'; frame-ancestors 'none'"),
  (b'referrer-policy', b'no-referrer'),
  (b'x-content-type-options', b'nosniff'),
]


def loopback(host):
  """Says whether only this machine reaches a host."""
  return host in LOOPBACK


class Gate:
  """An ASGI application before another one; what it refuses, it refuses in a line of JSON.

  A request's Host has to be one of `hosts`, and its Origin, where it has one, the same: pages of
  others, and names of others that lead here, get nothing. There is no CORS.
  """

  def __init__(self, app, metrics, *, token=None, hosts=LOOPBACK, rate=50.0):
    """Prepares.

    Args:
      app: what is behind.
      metrics: `metrics.Metrics`, which counts what is refused.
      token: that is asked for, as `Authorization: Bearer` or a websocket's subprotocol; None: none.
      hosts: names that it answers to; None: any.
      rate: requests a second of an address.
    """
    self.app, self.metrics, self.token, self.hosts = app, metrics, token, hosts
    self._buckets = Buckets(rate)

  async def __call__(self, scope, receive, send):
    """Answers a request, or passes it on."""
    if scope['type'] not in ('http', 'websocket'):
      await self.app(scope, receive, send)
      return
    refused = self._refused(scope)
    if refused:
      self.metrics.refuse(refused[0])
      await answer(scope, send, *refused)
      return
    await self.app(scope, receive, send)

  def _refused(self, scope):
    """Returns (status, line) where a request may not come in."""
    headers = {name.lower(): value.decode('latin-1') for name, value in scope['headers']}
    host = headers.get(b'host', '')
    inside = scope['path'] == OPEN and _hostname(host) in LOOPBACK  # whoever watches a container
    if self.hosts is not None and _hostname(host) not in self.hosts and not inside:
      return 421, f'expected one of the hosts {", ".join(self.hosts)}: see --hosts'
    origin = headers.get(b'origin')
    if origin is not None and urllib.parse.urlsplit(origin).netloc.lower() != host.lower():
      return 403, 'expected a page of this server, or no page: other origins may not ask'
    if not self._buckets.take((scope.get('client') or ('',))[0]):
      return 429, f'expected at most {self._buckets.rate:g} requests a second: slow down'
    if self.token is not None and scope['path'] != OPEN and not self._right(headers):
      return 401, 'expected the token, as "Authorization: Bearer TOKEN"'
    return None

  def _right(self, headers):
    shown = [headers.get(b'authorization', '').removeprefix('Bearer ')]
    shown += [each.strip().removeprefix(BEARER)
              for each in headers.get(b'sec-websocket-protocol', '').split(',')]  # fmt: skip
    expected = self.token.encode()
    return any([hmac.compare_digest(each.encode(), expected) for each in shown])


def _hostname(host):
  try:
    return urllib.parse.urlsplit(f'//{host}').hostname
  except ValueError:
    return None


async def answer(scope, send, status, reason):
  """Answers by a status and a line, a websocket that has not begun too."""
  body = json.dumps({'status': status, 'error': reason}).encode()
  kind = 'http.response'
  if scope['type'] == 'websocket':
    if 'websocket.http.response' not in scope.get('extensions', {}):
      await send({'type': 'websocket.close', 'code': 1008, 'reason': reason[:120]})
      return
    kind = 'websocket.http.response'
  headers = [(b'content-type', b'application/json'), (b'content-length', b'%d' % len(body))]
  if status == 401:
    headers.append((b'www-authenticate', b'Bearer'))
  if status in (429, 503):
    headers.append((b'retry-after', b'1' if status == 429 else b'5'))
  await send({'type': f'{kind}.start', 'status': status, 'headers': headers + HEADERS})
  await send({'type': f'{kind}.body', 'body': body})
