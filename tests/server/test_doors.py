"""Who may come in, how much each may bring, and what is said to the others."""

import asyncio
import re
import socket

import cv2
import numpy as np
import pytest

from ifmdm_jax.errors import InputError
from ifmdm_jax.server.limits import Buckets, Refused
from ifmdm_jax.server.portraits import Portraits

TOKEN = 'a-token-of-some-letters'


def test_a_server_says_whether_it_is_well_and_what_it_counts(serve):
  served = serve()
  assert served.ask('GET', '/healthz') == (200, {'status': 'ok', 'sessions': 0, 'most': 2})
  served.ask('GET', '/nowhere')
  status, text = served.ask('GET', '/metrics')
  assert status == 200 and 'ifmdm_sessions{kind="webrtc"} 0' in text
  assert 'ifmdm_refused_total{status="404"} 1' in text
  for line in text.splitlines():
    assert re.fullmatch(r'# (HELP|TYPE) ifmdm_\w+ .+|ifmdm_\w+(\{\w+="\w+"\})? [\d.e+-]+', line)


def test_portraits_are_listed_uploaded_and_forgotten(serve):
  served = serve(portraits=1)
  assert served.ask('GET', '/portraits') == (200, {'portraits': ['anna']})
  status, said = served.ask('POST', '/portraits', b'a picture')
  assert status == 201
  assert served.ask('GET', '/portraits')[1] == {'portraits': ['anna']}  # others do not see it
  status, full = served.ask('POST', '/portraits', b'a picture')
  assert status == 503 and 'waiting' in full['error']
  assert served.ask('DELETE', f'/portraits/{said["portrait"]}')[0] == 200
  assert served.ask('DELETE', f'/portraits/{said["portrait"]}')[0] == 404
  assert served.ask('DELETE', '/portraits/anna')[0] == 404


def test_of_several_faces_the_client_picks_one(serve, monkeypatch):
  served = serve()
  monkeypatch.undo()
  one = cv2.imread('data/fixtures/portrait.jpg')
  other = np.pad(cv2.resize(one[:, ::-1], (400, 400)), ((112, 0), (0, 0), (0, 0)), mode='edge')
  both = cv2.imencode('.jpg', np.concatenate([one, other], 1))[1].tobytes()
  taken = []
  for asked in '', '?face=1', '?face=2':
    status, said = served.ask('POST', '/portraits' + asked, both)
    assert (status, said['faces']) == (201, 2)
    taken.append(served.state.portraits._uploads[said['portrait']][0].astype(int))
  largest, first, second = taken
  np.testing.assert_array_equal(largest, first)
  assert np.abs(second - first).mean() > 5
  for asked, line in ('3', 'expected face 1 to 2, got 3'), ('x', 'expected face to be a whole'):
    status, said = served.ask('POST', f'/portraits?face={asked}', both)
    assert status == 400 and said['error'].startswith(line) and '--' not in said['error']


def test_what_is_no_picture_is_refused_without_a_word_about_files(serve, monkeypatch):
  served = serve()
  monkeypatch.undo()
  status, said = served.ask('POST', '/portraits', b'no picture')
  assert status == 400 and said['error'].startswith('expected a picture, the upload cannot be read')


@pytest.mark.parametrize('name', ['../anna', '/etc/passwd', 'anna.png', '', 'up_x', None, 7, ['a']])
def test_no_name_of_a_client_becomes_a_path(faces, name, image):
  portraits = Portraits(faces, 64, None, clock=lambda: 0)
  with pytest.raises(Exception, match='expected'):
    asyncio.run(portraits.get(name))


def test_an_upload_that_nobody_takes_is_forgotten(serve):
  served = serve(keep=60.0)
  portraits, now = served.state.portraits, [0.0]
  portraits.clock = lambda: now[0]
  served.ask('POST', '/portraits', b'a picture')
  assert portraits.waiting == 1
  now[0] = 61.0
  assert portraits.waiting == 0


def test_a_folder_without_portraits_is_one_line(tmp_path):
  for folder in (tmp_path, tmp_path / 'none'):
    with pytest.raises(InputError, match='check --portraits'):
      Portraits(folder, 64, None)


WITHOUT = {
  'another host': ({'host': 'evil.example'}, 421),
  'no host': ({'host': ''}, 421),
  'a page of others': ({'origin': 'http://evil.example'}, 403),
  'a page of nobody': ({'origin': 'null'}, 403),
  'another port': ({'origin': 'http://127.0.0.1:1'}, 403),
  'no token': ({'authorization': ''}, 401),
  'a wrong token': ({'authorization': 'Bearer a-token-of-some-letterz'}, 401),
}


@pytest.mark.parametrize('name', WITHOUT)
def test_who_may_not_come_in_is_told_why(serve, name):
  served = serve(token=TOKEN)
  headers, expected = WITHOUT[name]
  headers = {'authorization': f'Bearer {TOKEN}', **headers}
  status, said = served.ask('GET', '/portraits', **headers)
  assert status == expected and said['status'] == expected and said['error'].startswith('expected')


def test_who_has_the_token_comes_in_and_health_needs_none(serve):
  served = serve(token=TOKEN)
  own = f'http://127.0.0.1:{served.port}'
  assert served.ask('GET', '/portraits', authorization=f'Bearer {TOKEN}', origin=own)[0] == 200
  assert served.ask('GET', '/healthz')[0] == 200


def test_no_page_of_others_is_let_in_by_the_browser(serve):
  served = serve()
  asked = {'origin': f'http://127.0.0.1:{served.port}', 'access_control_request_method': 'POST'}
  assert served.ask('OPTIONS', '/offer', **asked)[0] == 405


REQUESTS = {
  'no JSON': ('POST', '/offer', b'{', 400),
  'JSON without end': ('POST', '/offer', b'[' * 60_000, 400),
  'a list': ('POST', '/offer', b'[]', 400),
  'too much': ('POST', '/offer', b' ' * 2**18, 413),
  'too large a picture': ('POST', '/portraits', b' ' * 2**17, 413),
  'a session that is not there': ('POST', '/sessions/x/say', b'', 404),
  'another method': ('GET', '/offer', None, 405),
  'a way up': ('GET', '/portraits/../../etc/passwd', None, 404),
}


@pytest.mark.parametrize('name', REQUESTS)
def test_a_request_that_cannot_be_served_is_told_why(serve, name):
  served = serve(upload=2**16)
  method, path, body, expected = REQUESTS[name]
  status, said = served.ask(method, path, body)
  assert status == expected and said['error'] and '\n' not in said['error']
  assert 'Traceback' not in said['error'] and served.ask('GET', '/healthz')[0] == 200


def test_a_body_that_says_less_than_it_brings_is_cut_off(serve):
  served = serve(upload=2**16)
  body = iter([b' ' * 2**14] * 100)  # in chunks, without a length
  try:
    assert served.ask('POST', '/portraits', body)[0] == 413
  except (BrokenPipeError, ConnectionResetError):
    pass  # closed while it was still sending


def test_who_begins_a_request_and_stops_is_not_waited_for(serve):
  served = serve(patience=0.5)
  halves = [b'GET /healthz HT', b'', b'POST /offer HTTP/1.1\r\nhost: 127.0.0.1\r\n'
            b'content-length: 9\r\n\r\n{']  # fmt: skip
  said = []
  for half in halves:
    with socket.create_connection(('127.0.0.1', served.port), 20) as connection:
      connection.sendall(half)
      said.append(b''.join(iter(lambda: _read(connection), b'')))  # noqa: B023
  assert said[:2] == [b'', b''] and b' 408 ' in said[2]


def _read(connection):
  try:
    return connection.recv(2**12)
  except ConnectionResetError:
    return b''


def test_a_session_that_would_slow_all_is_refused_and_the_first_never_is(serve):
  served = serve(most=3, load=0.95)
  calls = served.state.calls
  for share, most in (0.0, 3), (0.2, 3), (0.4, 2), (0.6, 1), (2.0, 1):
    served.state.live._each = share / 25  # seconds a frame
    assert calls.most == most
    assert served.ask('GET', '/healthz')[1]['most'] == most
  calls.taken = 1
  with pytest.raises(Refused) as refused:
    calls.check_room()
  assert refused.value.status == 503
  calls.taken = 0
  calls.check_room()


def test_who_asks_too_often_is_told_to_slow_down(serve):
  served = serve(rate=5.0)
  answers = [served.ask('GET', '/healthz') for _ in range(30)]
  assert answers[0][0] == 200 and answers[-1][0] == 429
  assert 'a second' in answers[-1][1]['error']


def test_addresses_are_counted_one_by_one_in_bounded_room():
  now = [0.0]
  buckets = Buckets(1.0, clock=lambda: now[0])
  assert [buckets.take('a') for _ in range(3)] == [True, True, False]
  assert buckets.take('b')
  for number in range(2 * buckets.MOST):
    buckets.take(number)
  assert len(buckets._of) <= buckets.MOST
  now[0] = 10.0
  assert buckets.take('c')


def test_whoever_watches_the_machine_itself_may_ask_for_its_health(serve):
  served = serve(hosts=('faces.example',))
  assert served.ask('GET', '/healthz')[0] == 200
  assert served.ask('GET', '/metrics')[0] == 421
  assert served.ask('GET', '/healthz', host='evil.example')[0] == 421
