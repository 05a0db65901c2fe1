"""The studio without a browser: who may come in, what a request may name, whose turn it is."""

import http.client
import json
import subprocess
import sys
import threading

import pytest

from ifmdm_jax import extras
from ifmdm_jax.apps.studio import making, work
from ifmdm_jax.apps.studio.visits import Visits
from ifmdm_jax.errors import InputError, note
from tests.apps import pages

TOKEN = 'a-token-of-many-letters'


@pytest.fixture(scope='module')
def studio(tmp_path_factory):
  pytest.importorskip('gradio', reason="the studio needs the extra: pip install -e '.[demo]'")
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv('GRADIO_TEMP_DIR', '')
    served = pages.Served(tmp_path_factory.mktemp('studio'), token=TOKEN)
    yield served
    served.close()


def ask(studio, path='/', method='GET', body=None, **headers):
  connection = http.client.HTTPConnection('127.0.0.1', studio.port, timeout=60)
  headers = {name.replace('_', '-'): value for name, value in headers.items()}
  connection.request(method, path, body, headers)
  answer = connection.getresponse()
  return answer.status, answer.headers, answer.read().decode(errors='replace')


KNOWN = dict(Authorization=f'Bearer {TOKEN}')


def test_only_who_has_the_token_comes_in(studio):
  assert ask(studio)[0] == 401
  assert ask(studio, '/gradio_api/info')[0] == 401
  assert ask(studio, '/?token=another')[0] == 401
  assert ask(studio, '/', Authorization='Bearer ')[0] == 401
  status, headers, _ = ask(studio, f'/?token={TOKEN}')
  assert status == 303 and headers['location'] == '/' and 'HttpOnly' in headers['set-cookie']
  assert ask(studio, Cookie=headers['set-cookie'].split(';')[0])[0] == 200
  assert ask(studio, **KNOWN)[0] == 200


def test_only_names_of_this_machine_are_answered(studio):
  assert ask(studio, Host='evil.example', **KNOWN)[0] == 421
  assert ask(studio, Host='evil.example:7860', **KNOWN)[0] == 421
  assert ask(studio, Host='localhost:7860', **KNOWN)[0] == 200


def test_no_page_of_others_is_asked_and_none_may_frame_this_one(studio):
  _, headers, page = ask(studio, **KNOWN)
  assert "default-src 'self'" in headers['content-security-policy']
  assert "frame-ancestors 'none'" in headers['content-security-policy']
  assert 'fonts.googleapis' not in page and 'cdnjs' not in page


def test_no_file_of_this_machine_is_read_or_fetched_for_a_request(studio, tmp_path):
  (tmp_path / 'secret.jpg').write_bytes((pages.FIXTURES / 'portrait.jpg').read_bytes())
  config = json.loads(ask(studio, '/config', **KNOWN)[2])
  (portrait,) = [each['id'] for each in config['components'] if
                 each['props'].get('elem_id') == 'talk-portrait']  # fmt: skip
  (pictured,) = [each['id'] for each in config['dependencies'] if
                 [portrait, 'change'] in each['targets']]  # fmt: skip
  assert ask(studio, f'/gradio_api/file={tmp_path}/secret.jpg', **KNOWN)[0] == 403

  def shown(path):
    file = dict(path=str(path), meta={'_type': 'gradio.FileData'})
    body = dict(data=[file, False], fn_index=pictured, session_hash='a', event_data=None)
    posted = ask(studio, '/gradio_api/queue/join', 'POST', json.dumps(body),
                 Content_Type='application/json', **KNOWN)  # fmt: skip
    if posted[0] != 200:
      return posted[2]
    return ask(studio, '/gradio_api/queue/data?session_hash=a', **KNOWN)[2]

  assert 'names an address' in shown('http://127.0.0.1:1/portrait.jpg')
  answer = shown(tmp_path / 'secret.jpg')
  assert '"success":false' in answer and 'base64' not in answer
  assert not studio.files('*secret*')


@pytest.mark.parametrize(
  'words, said',
  [
    (['--host', '0.0.0.0'], 'expected --token with --host 0.0.0.0'),
    (['--token', 'short'], 'expected --token of 16 letters'),
    (['--checkpoint', 'nowhere'], 'expected a checkpoint, nowhere does not exist'),
  ],
)
def test_the_command_refuses_in_one_line(words, said):
  pytest.importorskip('gradio', reason="the studio needs the extra: pip install -e '.[demo]'")
  command = [sys.executable, '-m', 'ifmdm_jax.studio', *words]
  done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=pages.ROOT)
  assert done.returncode == 2 and done.stderr.count('\n') == 1
  assert done.stderr.startswith(f'error: {said}')


def test_a_port_that_is_taken_is_one_line(studio):
  command = [sys.executable, '-m', 'ifmdm_jax.studio', '--port', str(studio.port)]
  done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=pages.ROOT)
  assert done.returncode == 2 and f'error: expected a free port, {studio.port}' in done.stderr
  assert 'Traceback' not in done.stderr


def test_the_extra_is_named_where_it_is_missing():
  error = ModuleNotFoundError("No module named 'gradio'", name='gradio')
  assert "pip install 'ifmdm_jax[demo]'" in extras.missing(error)


def test_jobs_take_turns_and_a_waiting_one_can_be_stopped():
  model, going, order = work.Model(lambda: None), threading.Event(), []

  def make(name):
    def made(job):
      order.append(name)
      note(f'note of {name}')
      while not going.wait(0.01):
        job.say('works')
      return name

    return made

  first = work.Job(model, make('first'))
  pages.until(lambda: order)
  second, third = (work.Job(model, make(name)) for name in ('second', 'third'))
  pages.until(lambda: third.done == 2)
  second.stop()
  assert second.finished.wait(10) and second.stopped and not first.finished.is_set()
  going.set()
  assert third.finished.wait(10) and first.finished.wait(10)
  assert (first.result, second.result, third.result) == ('first', None, 'third')
  assert order == ['first', 'third'] and third.notes == ['note of third']


def test_too_many_jobs_are_refused():
  model, going = work.Model(lambda: None), threading.Event()
  jobs = [work.Job(model, lambda job: going.wait(30)) for _ in range(work.MOST_WAITING + 2)]
  pages.until(lambda: any(job.finished.is_set() for job in jobs))
  (refused,) = [job for job in jobs if job.finished.is_set()]
  going.set()
  assert 'try again' in refused.error
  assert all(job.finished.wait(10) for job in jobs)


def test_a_line_of_a_command_becomes_a_line_of_the_page():
  line = 'expected --face 1 to 2, got 3: /a b/c.jpg shows 2 faces, or --crop none'
  assert making.plain(line, '/a b/c.jpg') == (
    'Expected face 1 to 2, got 3: c.jpg shows 2 faces, or “Use the whole picture”'
  )
  assert making.plain('/a/c.mp4 is silent', '/a/c.mp4') == 'c.mp4 is silent'


def test_only_what_was_changed_is_asked_of_the_weights():
  assert making.asked(dict(making.USUAL)) == {}
  asked = making.asked({**making.USUAL, 'mouth': 1.5, 'motion_mean': (0, 1, 0)})
  assert asked == dict(mouth=1.5, motion_mean=dict(pose_1=0.0, pose_2=1.0, pose_3=0.0))
  with pytest.raises(InputError, match='consent'):
    making.check(False, portrait='a.jpg')


def test_a_file_that_two_pages_use_stays_until_both_are_closed(tmp_path):
  visits, file = Visits(tmp_path), tmp_path / 'a.jpg'
  file.write_bytes(b'')
  for name in 'ab':
    visits[name].uses(file)
  visits.close('a')
  visits.close('unknown')
  assert file.exists()
  made = visits['b'].fresh()
  visits.close('b')
  pages.until(lambda: not file.exists() and not made.exists())
