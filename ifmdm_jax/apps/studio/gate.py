"""The door of the studio: which hosts it answers to, who may come in, what a request may name."""

import hmac
import http.cookies
import json
import urllib.parse

from ifmdm_jax.server.gate import LOOPBACK

COOKIE = 'ifmdm_studio'
MOST_JSON = 2**21  # bytes of a request that is no upload
HEADERS = {
  # All comes from here: no page of others is asked, and none may show this one in a frame.
  'content-security-policy': (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; form-action 'self'"
  ),
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
}
ASK = """<!doctype html><html lang="en"><meta name="viewport" content="width=device-width">
<title>Studio</title><style>body{font:16px system-ui,sans-serif;display:grid;place-items:center;
min-height:90vh;color-scheme:light dark}input,button{font:inherit;padding:.5em .8em}</style>
<form><label>Token of the studio <input name="token" type="password" autofocus></label>
<button>Open</button></form></html>"""


class Gate:
  """An ASGI application before another one.

  It answers only to names of this machine where it is bound to that (a page of others cannot reach
  it by a name of its own), asks for a token where there is one, and refuses requests that name
  addresses for the server to fetch.
  """

  def __init__(self, app, token=None, hosts=LOOPBACK):
    """Prepares.

    Args:
      app: what is behind.
      token: that is asked for, by ?token=, a cookie, or `Authorization: Bearer`; None: none is.
      hosts: names that it answers to; None: any.
    """
    self.app, self.token, self.hosts = app, token, hosts

  async def __call__(self, scope, receive, send):
    """Answers a request, or passes it on."""
    if scope['type'] not in ('http', 'websocket'):
      await self.app(scope, receive, send)
      return
    headers = {name.decode('latin-1').lower(): value.decode('latin-1')
               for name, value in scope['headers']}  # fmt: skip
    name = urllib.parse.urlsplit(f'//{headers.get("host", "")}').hostname
    if self.hosts is not None and name not in self.hosts:
      await _answer(send, scope, 421, 'This studio is for this machine alone.')
      return
    query = urllib.parse.parse_qs(scope.get('query_string', b'').decode('latin-1'))
    if self.token is not None:
      asked = query.get('token', [''])[0]
      if asked and self._right(asked):
        await _answer(send, scope, 303, '', {'location': scope['path'], 'set-cookie': (
          f'{COOKIE}={urllib.parse.quote(asked)}; Path=/; HttpOnly; SameSite=Strict')})  # fmt: skip
        return
      if not self._right(_shown(headers)):
        await _answer(send, scope, 401, ASK, {'content-type': 'text/html; charset=utf-8'})
        return
    multipart = headers.get('content-type', '').startswith('multipart/form-data')
    if scope.get('method') in ('POST', 'PUT', 'PATCH') and not multipart:
      body = await _body(receive)
      if body is None or _names_address(body):
        await _answer(send, scope, 400, 'Too large, or it names an address: upload the file.')
        return
      receive = _again(body, receive)
    await self.app(scope, receive, _with_headers(send))

  def _right(self, token):
    return hmac.compare_digest(token.encode(), self.token.encode())


def _shown(headers):
  """Reads the token of a request, ''."""
  bearer = headers.get('authorization', '')
  if bearer.startswith('Bearer '):
    return bearer.removeprefix('Bearer ')
  try:
    cookie = http.cookies.SimpleCookie(headers.get('cookie', '')).get(COOKIE)
  except http.cookies.CookieError:
    return ''
  return urllib.parse.unquote(cookie.value) if cookie else ''


async def _body(receive):
  """Reads a whole request; None: it is too large, or was given up."""
  parts, size = [], 0
  while True:
    message = await receive()
    if message['type'] != 'http.request':
      return None
    parts.append(message.get('body', b''))
    size += len(parts[-1])
    if size > MOST_JSON:
      return None
    if not message.get('more_body'):
      return b''.join(parts)


def _again(body, receive):
  """Gives a body that was read once more, then what comes after it."""
  waiting = [{'type': 'http.request', 'body': body, 'more_body': False}]

  async def again():
    return waiting.pop() if waiting else await receive()

  return again


def _names_address(body):
  """Says whether JSON asks the server to fetch a file from somewhere."""
  try:
    waiting = [json.loads(body or b'null')]
  except (ValueError, RecursionError):
    return False  # what is behind says it
  while waiting:
    each = waiting.pop()
    if isinstance(each, dict):
      path = each.get('path')
      if isinstance(path, str) and '://' in path:
        return True
      waiting += each.values()
    elif isinstance(each, list):
      waiting += each
  return False


def _with_headers(send):
  """Adds HEADERS to an answer."""

  async def sent(message):
    if message['type'] == 'http.response.start':
      there = {name.lower() for name, _ in message['headers']}
      message['headers'] = [
        *message['headers'],
        *((k.encode(), v.encode()) for k, v in HEADERS.items() if k.encode() not in there),
      ]
    await send(message)

  return sent


async def _answer(send, scope, status, text, headers=()):
  if scope['type'] == 'websocket':
    await send({'type': 'websocket.close', 'code': 1008})
    return
  given = {'content-type': 'text/plain; charset=utf-8', **HEADERS, **dict(headers)}
  listed = [(name.encode(), value.encode()) for name, value in given.items()]
  await send({'type': 'http.response.start', 'status': status, 'headers': listed})
  await send({'type': 'http.response.body', 'body': text.encode()})
