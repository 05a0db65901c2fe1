"""What the server answers to over HTTP, as routes that can stand in any Starlette application."""

import contextlib
import functools
import io

import numpy as np
import soundfile
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route, WebSocketRoute

from ifmdm_jax.errors import InputError
from ifmdm_jax.rates import FPS
from ifmdm_jax.server import avatar, realtime
from ifmdm_jax.server.gate import LOOPBACK, Gate
from ifmdm_jax.server.limits import Refused
from ifmdm_jax.server.rtc import Peer
from ifmdm_jax.server.state import body, parsed

RATES = range(8_000, 192_001)  # Hz, of sound that clients bring


def routes(state):
  """Lists the routes of a server.

  Args:
    state: `state.State`.
  """
  paths = [
    ('/healthz', 'GET', health),
    ('/metrics', 'GET', metrics),
    ('/portraits', 'GET', portraits),
    ('/portraits', 'POST', upload),
    ('/portraits/{name}', 'DELETE', forget),
    ('/offer', 'POST', offer),
    ('/sessions/{id}', 'DELETE', leave),
    ('/sessions/{id}/say', 'POST', say),
    ('/sessions/{id}/interrupt', 'POST', interrupt),
    ('/sessions/{id}/change', 'POST', change),
    (realtime.MODELS, 'GET', models),
  ]
  sockets = [(avatar.PATH, avatar.avatar), (realtime.PATH, realtime.realtime)]
  return [
    *(Route(path, answered(state, act), methods=[method]) for path, method, act in paths),
    *(WebSocketRoute(path, functools.partial(act, state)) for path, act in sockets),
  ]


def application(state, *, token=None, hosts=LOOPBACK):
  """Builds the server as one ASGI application, behind its `gate.Gate`."""

  @contextlib.asynccontextmanager
  async def lifespan(_):
    yield
    await state.close()

  async def unknown(_, error):
    return refusal(state, error.status_code, error.detail)

  app = Starlette(routes=routes(state), lifespan=lifespan, exception_handlers={
    HTTPException: unknown})  # fmt: skip
  return Gate(app, state.metrics, token=token, hosts=hosts, rate=state.limits.rate)


def answered(state, act):
  """Makes an endpoint of act(state, request); what goes wrong is a status and a line of JSON."""

  @functools.wraps(act)
  async def endpoint(request):
    try:
      return await act(state, request)
    except Refused as error:
      return refusal(state, error.status, error.reason)
    except InputError as error:
      return refusal(state, 400, str(error))
    except ClientDisconnect:
      return refusal(state, 400, 'the client left')
    except Exception as error:  # never a trace
      state.calls.counts['failures'] += 1
      return refusal(state, 500, f'the server failed ({type(error).__name__})')

  return endpoint


def refusal(state, status, reason):
  """Answers by a status and a line, and counts it."""
  state.metrics.refuse(status)
  headers = {429: {'retry-after': '1'}, 503: {'retry-after': '5'}}.get(status)
  return JSONResponse({'status': status, 'error': reason}, status, headers)


async def health(state, _):
  """Says whether new sessions may come."""
  if state.calls.draining:
    raise Refused(503, 'the server is being stopped')
  return JSONResponse({'status': 'ok', 'sessions': state.calls.taken, 'most': state.calls.most})


async def metrics(state, _):
  """Says all that is counted."""
  return PlainTextResponse(
    state.metrics.text(state.calls, state.portraits), media_type='text/plain; version=0.0.4'
  )


async def portraits(state, _):
  """Lists the names of portraits; not those that others have uploaded."""
  return JSONResponse({'portraits': state.portraits.names})


async def upload(state, request):
  """Takes a picture, and which of its faces is meant; returns its name."""
  face = request.query_params.get('face')
  if face is not None and not (face.isdecimal() and len(face) < 4):
    raise Refused(400, 'expected face to be a whole number, 1 for the largest')
  picture = await body(request, state.limits.upload, state.limits.patience)
  with state.metrics.stage('portrait'):
    name, faces = await state.portraits.add(picture, face and int(face))
  return JSONResponse({'portrait': name, 'faces': faces, 'seconds': state.limits.keep}, 201)


async def forget(state, request):
  """Forgets an uploaded picture."""
  if not state.portraits.drop(request.path_params['name']):
    raise Refused(404, 'expected an uploaded portrait, there is none of that name')
  return JSONResponse({})


async def offer(state, request):
  """Begins a session by WebRTC."""
  asked = parsed(await body(request, 2 * state.limits.text, state.limits.patience))
  if asked.get('type') != 'offer':
    raise Refused(400, 'expected {"type": "offer", "sdp": ..., "portrait": ...}')
  peer, call = Peer(state.ice), None
  try:
    microphone = await peer.offered(asked.get('sdp'))
    call = await state.begin(
      asked.get('portrait'), 'webrtc', microphone=microphone, seed=asked.get('seed', 0),
      options=asked.get('options'),
    )  # fmt: skip
    answer = await peer.answer(call)
  except BaseException:
    await (call.close('its offer failed') if call else peer.close())
    raise
  return JSONResponse({'type': 'answer', 'sdp': answer, 'session': call.id})


async def leave(state, request):
  """Ends a session."""
  await state.calls.get(request.path_params['id']).close('the client left')
  return JSONResponse({})


async def say(state, request):
  """Lets a session speak: a WAV, or raw PCM of 16 bits at ?rate=; ?more=1: the reply goes on."""
  call = state.calls.get(request.path_params['id'])
  sound = await body(request, state.limits.upload, state.limits.patience)
  rate = request.query_params.get('rate', '24000')
  if not rate.isdigit() or int(rate) not in RATES:
    raise Refused(400, f'expected rate to be {RATES[0]} to {RATES[-1]} Hz')
  pcm, rate = wav(sound, state.limits.waiting) if sound[:4] == b'RIFF' else (sound, int(rate))
  await call.say(pcm, rate, request.query_params.get('more') == '1')
  return JSONResponse({'waiting': round(call.session.timeline.waiting, 2)}, 202)


async def interrupt(state, request):
  """Breaks off what a session says."""
  await state.calls.get(request.path_params['id']).interrupt()
  return JSONResponse({})


async def models(state, _):
  """Lists what `realtime` can draw."""
  size, name = state.live.sampler.size, 'ifmdm_jax'
  return JSONResponse({'object': 'list', 'data': [{
    'id': name, 'object': 'model', 'status': 'ready', 'fps': FPS, 'width': size, 'height': size,
    'sample_rate': realtime.RATE,
  }], 'models': [name]})  # fmt: skip


async def change(state, request):
  """Turns a session's knobs."""
  call = state.calls.get(request.path_params['id'])
  await call.change(parsed(await body(request, state.limits.text, state.limits.patience)))
  return JSONResponse({})


def wav(sound, longest):
  """Decodes a WAV of at most so many seconds: (float32 [l], Hz).

  Raises:
    Refused: it is none, or longer.
  """
  try:
    with soundfile.SoundFile(io.BytesIO(sound)) as file:
      rate, frames = file.samplerate, file.frames
      if rate not in RATES or file.channels > 2:
        raise Refused(400, f'expected a WAV of {RATES[0]} to {RATES[-1]} Hz, mono or stereo')
      if frames > longest * rate:
        raise Refused(413, f'expected at most {longest:g} s of sound, got {frames / rate:.0f}')
      found = file.read(dtype='float32', always_2d=True).mean(1)
  except soundfile.SoundFileError:
    raise Refused(400, 'expected a WAV, this one cannot be read') from None
  return np.ascontiguousarray(found), rate
