"""The command: what it refuses to start with, and how it stops."""

import asyncio
import json
import signal
import socket

import pytest
from absl import flags
from absl.testing import flagsaver

from ifmdm_jax.errors import InputError

serve_command = pytest.importorskip('ifmdm_jax.serve', reason='needs pip install ifmdm_jax[serve]')
websockets = pytest.importorskip('websockets')


@pytest.fixture(autouse=True)
def read_flags():
  if not flags.FLAGS.is_parsed():
    flags.FLAGS(['serve'])


OPEN = {
  'no token': dict(host='0.0.0.0'),
  'a short token': dict(host='0.0.0.0', token='short'),
  'a short token here': dict(token='short'),
}


@pytest.mark.parametrize('name', OPEN)
def test_others_are_not_let_in_without_a_good_token(name, monkeypatch):
  monkeypatch.delenv('IFMDM_TOKEN', raising=False)
  with flagsaver.flagsaver(**OPEN[name]), pytest.raises(InputError, match='expected --token'):
    serve_command.main([])


def test_a_port_that_is_taken_is_one_line(serve):
  from ifmdm_jax.server import run

  served = serve()
  with socket.create_server(('127.0.0.1', 0)) as taken:
    port = taken.getsockname()[1]
    with pytest.raises(InputError, match='expected a free port'):
      run.serve(served.state, '127.0.0.1', port)


def test_a_server_that_is_stopped_takes_no_sessions_and_lets_others_end(serve):
  served = serve(stop=3.0)

  async def act():
    async with websockets.connect(served.url('/v1/avatar/live?portrait=anna')) as running:
      await running.recv()
      served.server.handle_exit(signal.SIGTERM, None)
      while (await served.asked('GET', '/healthz'))[0] != 503:
        await asyncio.sleep(0.05)
      with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(served.url('/v1/avatar/live?portrait=anna'))
      assert refused.value.response.status_code == 503
      assert 'stopped' in json.loads(refused.value.response.body)['error']
      frames, states = 0, []
      async for message in running:
        frames += isinstance(message, bytes)
        states += [json.loads(message)['state']] if isinstance(message, str) else []
      assert frames > 5 and states[-2:] == ['closing', 'closed']

  asyncio.run(asyncio.wait_for(act(), 40))
  served.thread.join(20)
  assert not served.thread.is_alive() and not served.state.calls.taken


def test_routes_stand_beside_others_in_one_application(serve):
  from starlette.applications import Starlette
  from starlette.responses import PlainTextResponse
  from starlette.routing import Mount, Route
  from starlette.testclient import TestClient

  from ifmdm_jax.server.routes import routes

  served = serve()
  own = Route('/', lambda request: PlainTextResponse('a page'))
  for prefix in ('', '/live'):
    there = routes(served.state)
    app = Starlette(routes=[own, *([Mount(prefix, routes=there)] if prefix else there)])
    client = TestClient(app)
    assert client.get('/').text == 'a page'
    assert client.get(f'{prefix}/portraits').json() == {'portraits': ['anna']}
    assert client.post(f'{prefix}/offer', content=b'{').status_code == 400
