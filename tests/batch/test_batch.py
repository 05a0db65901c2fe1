"""Batches: what is made, what is kept, what a bad job costs, and what is left after a kill."""

import csv
import errno
import gc
import os
import pickle
import signal
import subprocess
import sys

import pytest
from absl import flags
from absl.testing import flagsaver

import ifmdm_jax
from ifmdm_jax import read, talk, testing
from ifmdm_jax import sample as cli
from ifmdm_jax.audio import spoken
from ifmdm_jax.batch import command, jobs, maker, run
from ifmdm_jax.clip import Clip
from ifmdm_jax.errors import InputError
from ifmdm_jax.trust import certificate
from ifmdm_jax.trust.origin import Options
from tests.batch import small

posix = pytest.mark.skipif(os.name == 'nt', reason='Windows has no SIGKILL')
UNSIGNED = Options(wanted=False)
ROWS = ['p0.png,v0.wav,a.mp4,1', 'p1.png,v0.wav,x/b.mp4,2', 'p0.png,v1.wav,c.mp4,3']


@pytest.fixture
def loads(monkeypatch):
  made = []

  def load(checkpoint=None, **_):
    made.append(checkpoint)
    return small.Quick()

  monkeypatch.setattr(ifmdm_jax, 'load', load, raising=False)
  return made


@pytest.fixture
def place(tmp_path):
  small.inputs(tmp_path)
  return tmp_path


def make(place, rows=ROWS, output='out', provenance=UNSIGNED, **options):
  path = rows if not isinstance(rows, list) else small.table(place, rows)
  defaults = {'crop': 'none'} | options.pop('defaults', {})
  return command.make(
    path,
    place / output,
    defaults,
    workers=0,
    provenance=provenance,
    compile_cache='none',
    **options,
  )


def report(folder):
  with open(folder / 'report.csv', newline='') as file:
    return {row['output']: row for row in csv.DictReader(file)}


def contents(folder):
  """{path: bytes} but for the lock."""
  return {
    path.relative_to(folder).as_posix(): path.read_bytes()
    for path in folder.rglob('*')
    if path.is_file() and path.name != '.lock'
  }


def test_weights_and_portraits_are_read_once_and_all_jobs_made(place, loads, monkeypatch, capsys):
  pictures, real = [], read.read_picture
  monkeypatch.setattr(read, 'read_picture', lambda p, **o: pictures.append(p.name) or real(p, **o))
  assert make(place) == 0
  assert len(loads) == 1 and pictures == ['p0.png', 'p1.png']
  assert set(contents(place / 'out')) == {'a.mp4', 'x/b.mp4', 'c.mp4', 'report.csv'}
  assert all(small.count(place / 'out' / name) == 10 for name in ('a.mp4', 'x/b.mp4', 'c.mp4'))
  rows = report(place / 'out')
  assert [row['status'] for row in rows.values()] == ['done'] * 3
  assert rows['x/b.mp4'] == dict(
    job='3', output='x/b.mp4', status='done', reason='', seconds='0.40', image='p1.png',
    audio='v0.wav', seed='2',
  )  # fmt: skip
  assert '3 videos made' in capsys.readouterr().out


def test_a_portrait_is_encoded_once_for_all_its_voices(sampler, voice, image, monkeypatch):
  program, seen = sampler.renderer.programs['portrait'], []

  class Counted:
    begin = program.begin

    def __call__(self, *args):
      seen.append(args)
      return program(*args)

  monkeypatch.setitem(sampler.renderer.programs, 'portrait', Counted())
  monkeypatch.setattr(sampler.renderer, '_last', (None, None))
  draw = lambda picture, seed: list(
    sampler.generate(Clip(image=picture, waveform=voice(0.4), rate=16_000), seed=seed)
  )
  one, again, _ = draw(image, 1), draw(image.copy(), 1), draw(image, 2)
  assert len(seen) == 1 and all((a == b).all() for a, b in zip(one, again))
  draw(image[::-1].copy(), 1)
  assert len(seen) == 2


def test_what_is_finished_is_not_made_again(place, loads, capsys):
  make(place)
  before, began = contents(place / 'out'), (place / 'out/a.mp4').stat()
  (place / 'out/c.mp4').unlink()
  assert make(place) == 0
  assert contents(place / 'out') == before and len(loads) == 2
  assert (place / 'out/a.mp4').stat().st_mtime_ns == began.st_mtime_ns
  assert '1 videos made, 2 were there already' in capsys.readouterr().out
  assert make(place) == 0 and len(loads) == 2  # nothing to do needs no weights


def test_a_video_of_something_else_is_replaced_only_when_asked(place, loads):
  make(place)
  (place / 'out/c.mp4').write_bytes(b'mine')
  kept = (place / 'out/x/b.mp4').stat().st_mtime_ns
  changed = [ROWS[0].replace(',1', ',9'), *ROWS[1:]]
  assert make(place, changed) == 1
  rows = report(place / 'out')
  assert [row['status'] for row in rows.values()] == ['failed', 'done', 'failed']
  assert 'made of something else' in rows['a.mp4']['reason']
  assert (place / 'out/c.mp4').read_bytes() == b'mine'
  assert make(place, changed, overwrite=True) == 0
  assert (place / 'out/x/b.mp4').stat().st_mtime_ns == kept
  assert small.count(place / 'out/c.mp4') == 10


def test_other_weights_make_another_video(place, loads):
  make(place)
  (place / 'weights').mkdir()
  (place / 'weights/config.json').write_text('{}')
  assert make(place, checkpoint=str(place / 'weights')) == 1
  assert all('something else' in row['reason'] for row in report(place / 'out').values())


def test_a_bad_job_stops_no_other(place, loads, capsys):
  (place / 'p9.png').write_bytes(b'no picture')
  (place / 'out').mkdir()
  os.symlink(place, place / 'out/away')
  rows = ['p9.png,v1.wav,1.mp4,', 'p9.png,v0.wav,2.mp4,', 'p0.png,p1.png,3.mp4,',
          'p0.png,v0.wav,away/4.mp4,', *ROWS]  # fmt: skip
  assert make(place, rows) == 1
  found = report(place / 'out')
  assert [row['status'] for row in found.values()] == ['failed'] * 4 + ['done'] * 3
  reasons = [row['reason'] for row in found.values()]
  for reason, said in zip(reasons, ('p9.png', 'p9.png', 'p1.png', 'leads out')):
    assert said in reason and '\n' not in reason
  assert not (place / '4.mp4').exists() and not (place / 'out/1.mp4').exists()
  assert 'failed: 1.mp4' in capsys.readouterr().err


def test_weights_that_cannot_be_loaded_are_tried_once(place, monkeypatch):
  tried = []

  def load(*_, **__):
    tried.append(1)
    raise InputError('expected weights')

  monkeypatch.setattr(ifmdm_jax, 'load', load, raising=False)
  assert make(place) == 1 and len(tried) == 1


@pytest.mark.parametrize(
  'rows, options, message',
  [
    (['p0.png,v0.wav,a.mov,'], {}, 'named'),
    (['p0.png,v0.wav,a.mp4,'] * 2, {}, 'numbers 2 and 3'),
    (ROWS, dict(checkpoint='nowhere'), 'nowhere does not exist'),
    (ROWS, dict(output='v0.wav'), 'is a file'),
    ([*ROWS, 'none.png,v0.wav,d.mp4,'], {}, 'job 5: expected a picture, .*none.png is not a file'),
    (['p0.png,no.wav,d.mp4,', 'no.png,v0.wav,e.mp4,'], {}, r'no.wav is not .* \(2 of 2 jobs'),
    (ROWS, dict(beam=['--runner=DirectRunner']), 'without --runner'),
  ],
)
def test_a_wrong_batch_is_refused_before_any_work(place, loads, rows, options, message):
  before = contents(place)
  with pytest.raises(InputError, match=message):
    make(place, rows, **options)
  assert contents(place) | {'jobs.csv': b''} == before | {'jobs.csv': b''} and not loads
  assert not (place / 'out').exists()


def test_no_video_replaces_what_another_job_is_made_of(place, loads):
  make(place, ROWS[:1], output='.')
  film = (place / 'a.mp4').read_bytes()
  with pytest.raises(InputError, match='job 2: .*a.mp4 is the portrait or the voice'):
    make(place, ['p1.png,v1.wav,a.mp4,', 'p0.png,a.mp4,b.mp4,'], output='.', overwrite=True)
  assert (place / 'a.mp4').read_bytes() == film


def test_a_full_disk_ends_the_batch_and_the_report_says_how_far_it_came(place, loads, monkeypatch):
  tried, real = [], talk.make

  def full(*args, **options):
    tried.append(args)
    if len(tried) == 2:
      raise OSError(errno.ENOSPC, 'full')
    return real(*args, **options)

  monkeypatch.setattr(talk, 'make', full)
  with pytest.raises(InputError, match='no room is left.*the same command goes on'):
    make(place)
  assert len(tried) == 2
  rows = report(place / 'out').values()
  assert sorted(row['status'] for row in rows) == ['done', 'failed', 'waiting']
  assert make(place) == 0


def test_a_private_key_is_handed_to_no_other_machine(tmp_path):
  made = certificate.made()
  for name, text in zip(('cert.pem', 'key.pem'), made):
    (tmp_path / name).write_bytes(text)
  own = Options(certificate=certificate.read(tmp_path / 'cert.pem', tmp_path / 'key.pem'))
  packed = pickle.dumps(maker.Settings(str(tmp_path), str(tmp_path), provenance=own))
  assert b'PRIVATE KEY' not in packed
  assert pickle.loads(packed).provenance == own and own.certificate.own


def test_a_text_is_spoken(place, loads, monkeypatch):
  words = []

  def speak(path, text, speaker, voice, seed):
    words.append((text, voice, seed))
    path.write_bytes((place / 'v0.wav').read_bytes())
    assert path.is_relative_to(place / 'out')  # or a killed command would leave it for ever

  monkeypatch.setattr(spoken, 'write', speak)
  monkeypatch.setattr(spoken, 'speaker', lambda name: None)
  path = place / 'jobs.csv'
  path.write_text('image,text,voice,output\np0.png,Hello.,emma,o.mp4\n')
  assert make(place, path, defaults={'seed': 4}) == 0 and make(place, path) == 1
  left = sorted(path.name for path in (place / 'out').iterdir())
  assert left == ['.lock', 'o.mp4', 'report.csv']
  assert words == [('Hello.', 'emma', 4)]  # the second run is refused before it speaks


def test_a_video_made_again_has_the_same_bytes_but_for_its_signature(place, loads):
  both = [('one', Options()), ('two', Options()), ('three', UNSIGNED), ('four', UNSIGNED)]
  for output, provenance in both:
    make(place, ROWS[:2], output=output, provenance=provenance)
  one, two, three, four = (place / output / 'a.mp4' for output, _ in both)
  assert three.read_bytes() == four.read_bytes()
  assert small.unsigned(one) == small.unsigned(two) != small.unsigned(three)
  assert small.unsigned(one) != small.unsigned(place / 'one/x/b.mp4')
  assert (place / 'one/report.csv').read_bytes() == (place / 'two/report.csv').read_bytes()


def test_a_maker_keeps_one_picture_however_many_jobs(place, loads):
  small.inputs(place, portraits=12)
  make_one = maker.Maker(maker.Settings(str(place), str(place / 'out'), compile_cache='none'))
  for number in range(12):
    job = jobs.Job(number, f'p{number}.png', 'v0.wav', f'{number}.mp4', options={'crop': 'none'})
    assert make_one(job).status == maker.MADE
  gc.collect()
  assert sum(type(each) is read.Picture for each in gc.get_objects()) == 1


def test_a_worker_stays_with_its_portrait_and_helps_with_the_last_one():
  job = lambda number, image: jobs.Job(number, image, 'v', f'{number}.mp4')
  shelf = run.Shelf([job(1, 'a'), job(2, 'b'), job(3, 'a'), job(4, 'b'), job(5, 'a')])
  first, second = shelf.next(), shelf.next()
  assert (first.number, second.number) == (1, 2)
  assert shelf.next(second.portrait).number == 4
  assert shelf.next(second.portrait).number == 3  # b has none left: it helps with a
  assert shelf.next(first.portrait).number == 5 and shelf.next(first.portrait) is None


@posix
def test_a_job_that_kills_its_process_costs_itself_only(monkeypatch, tmp_path):
  monkeypatch.setattr(run, '_maker', small.dying)
  wanted = [jobs.Job(number, 'p.png', 'v.wav', f'{number}.mp4') for number in range(5)]
  settings = maker.Settings(str(tmp_path), str(tmp_path))
  found = {each.number: each for each in run.outcomes(wanted, settings, workers=2)}
  assert [found[number].status for number in range(5)] == ['made', 'failed'] * 2 + ['made']
  assert f'status -{signal.SIGKILL.value}' in found[1].reason
  assert found[0].frames != os.getpid()


@posix
def test_batches_killed_at_random_moments_end_with_the_same_bytes():
  """In a process of its own, which may be copied as it has computed nothing; `make kill`: more."""
  command = [sys.executable, '-m', 'tests.fuzz.kill', '--jobs', 'batch', '--moments', '4']
  said = subprocess.run(command, capture_output=True, text=True, cwd=testing.REPOSITORY)
  assert said.returncode == 0, said.stdout + said.stderr
  assert said.stdout.strip() == 'batch: 4 moments, 0 failures'


def test_the_command_says_by_its_status_how_it_went(place, loads, monkeypatch):
  (place / 'p9.png').write_bytes(b'no picture')
  rows = ['p0.png,v0.wav,a.mp4,1', 'p9.png,v0.wav,b.mp4,1']
  given = dict(output=str(place / 'out'), workers='0', crop='none', compile_cache='none')
  if not flags.FLAGS.is_parsed():
    flags.FLAGS(['sample'])
  for count, status in ((1, 0), (2, 1)):
    path = str(small.table(place, rows[:count]))
    with flagsaver.as_parsed(batch=path, no_provenance='true', **given):
      with pytest.raises(SystemExit) as ended:
        cli.main([])
    assert ended.value.code == status
  (place / 'p9.png').unlink()
  folders = dict(given, batch=str(place), audio=str(place / 'v1.wav'), seed='5')
  with flagsaver.as_parsed(**folders), pytest.raises(SystemExit) as ended:
    cli.main([])
  assert ended.value.code == 0 and report(place / 'out')['p1_v1.mp4']['seed'] == '5'


@pytest.mark.parametrize(
  'given, message',
  [
    (dict(batch='jobs.csv'), 'expected --output with --batch'),
    (dict(batch='jobs.csv', output='out', takes='2'), 'expected --takes without --batch'),
    (dict(batch='.', output='out'), 'expected --audio, a folder of voices'),
    (dict(image='p0.png', audio='v0.wav', runner='FlinkRunner'), 'expected --runner with --batch'),
  ],
)
def test_flags_that_contradict_each_other_are_refused(place, loads, monkeypatch, given, message):
  monkeypatch.chdir(place)
  small.table(place, ROWS)
  if not flags.FLAGS.is_parsed():
    flags.FLAGS(['sample'])
  with flagsaver.as_parsed(**given), pytest.raises(InputError, match=message):
    cli.main([])
  assert not (place / 'out').exists()
