"""Tables of jobs: what they mean, and how a wrong one is refused."""

import pytest

from ifmdm_jax.batch import jobs
from ifmdm_jax.errors import InputError


def table(tmp_path, text, encoding='utf-8'):
  path = tmp_path / 'jobs.csv'
  path.write_text(text, encoding=encoding)
  return path


def test_cells_say_what_a_job_is_and_flags_what_they_leave_empty(tmp_path):
  path = table(
    tmp_path,
    'image,audio,text,output,seed,head,unit,motion_std\n'
    'a.jpg,v.wav,,,7,0.5,"jawOpen=0.1,mouthLeft=-1",none\n'
    '\n'
    'b.jpg,,"Good morning, all.",hello\\b.MP4,,,,\n',
    'utf-8-sig',
  )
  one, two = jobs.read(path, {'head': 1.5, 'audio': '/v/other.wav', 'seed': 3})
  assert one[:4] == (2, 'a.jpg', 'v.wav', 'a_v.mp4') and one.seed == 7
  assert one.options == {
    'head': 0.5, 'unit': {'jawOpen': 0.1, 'mouthLeft': -1.0}, 'motion_std': None,
  }  # fmt: skip
  assert two[:5] == (4, 'b.jpg', '', 'hello/b.MP4', 'Good morning, all.')
  assert two.seed == 3 and two.options == {'head': 1.5}


def test_videos_are_named_after_portrait_and_voice_below_the_same_folders(tmp_path):
  path = table(tmp_path, 'image,audio\nx/a.b.jpg,v/w.wav\n/y/a.jpg,w.wav\n../z/c.png,w.wav\n')
  assert [job.output for job in jobs.read(path, {})] == ['x/a.b_w.mp4', 'a_w.mp4', 'c_w.mp4']


@pytest.mark.parametrize(
  'text, message',
  [
    ('', 'is empty'),
    ('image,audio\n', 'no rows below its header'),
    ('image,output\na.jpg,a.mp4\n', 'expected a column audio or text'),
    ('audio\nv.wav\n', 'expected a column image'),
    ('image,audio,Seed\na,b,1\n', "has 'Seed': rename it"),
    ('image,image,audio\na,b,c\n', "has 'image' twice"),
    ('image,audio,seed\na,b,one\n', "line 2: expected a whole number as seed, got 'one'"),
    ('image,audio,seed\na,b,99999999999999999999\n', 'line 2: seed should be'),
    ('image,audio,head\na,b,nan\n', 'line 2: expected a number as head'),
    ('image,audio,crop\na,b,round\n', 'line 2: expected auto or none as crop'),
    ('image,audio,unit\na,b,jawOpen\n', 'line 2: expected --unit NAME=NUMBER'),
    ('image,audio\na,b\na,b,c\n', 'line 3: expected 2 cells, got 3'),
    ('image,audio\n,b\n', 'line 2: expected an image'),
    ('image,audio\na,\n', 'line 2: expected audio or text, got neither'),
    ('image,audio,text,output\na,b,c,o.mp4\n', 'line 2: expected audio or text, got both'),
    ('image,text\na,Hello.\n', 'line 2: expected a name in the column output'),
    ('image,audio,output\na,b,o.mov\n', 'line 2: expected an output named'),
    ('image,audio,output\na,b,../o.mp4\n', 'line 2: expected an output below'),
    ('image,audio,output\na,b,/o.mp4\n', 'line 2: expected an output below'),
    ('image,audio,output\na,b,c:\\o.mp4\n', 'line 2: expected an output below'),
    ('image,audio,output\na,b,x\\..\\..\\o.mp4\n', 'line 2: expected an output below'),
    ('image,audio,output\na,b,.o.mp4\n', 'line 2: expected names of letters'),
    ('image,audio,output\na,b,' + 'o' * 300 + '.mp4\n', 'line 2: expected names of 200 bytes'),
    ('image,audio,output\na,b,o.mp4\nc,d,O.mp4\n', 'numbers 2 and 3: name them'),
    ('image,audio\na.jpg,b.wav\na.png,b.mp3\n', 'a_b.mp4 for numbers 2 and 3'),
    ('image,audio,output\na,b,o.mp4\nc,d,o.mp4/p.mp4\n', 'within it'),
    ('image,audio\na,"b\n', 'expected CSV'),
  ],
)
def test_a_wrong_table_is_one_clear_line(tmp_path, text, message):
  with pytest.raises(InputError, match=message) as raised:
    jobs.read(table(tmp_path, text), {})
  assert '\n' not in str(raised.value)


def test_a_table_that_is_none_is_refused(tmp_path):
  (tmp_path / 'jobs.csv').write_bytes(b'image,audio\n\xff\xfe\n')
  with pytest.raises(InputError, match='UTF-8'):
    jobs.read(tmp_path / 'jobs.csv', {})
  with pytest.raises(InputError, match='is not a file'):
    jobs.read(tmp_path / 'none.csv', {})


def test_every_portrait_of_a_folder_meets_every_voice(tmp_path):
  for name in ('p/a.jpg', 'p/more/b.PNG', 'p/.hidden/c.jpg', 'p/notes.txt', 'v/1.wav', 'v/2.mp3'):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).touch()
  found = jobs.pairs(tmp_path / 'p', tmp_path / 'v', {'seed': 5})
  assert [(job.number, job.image, job.output) for job in found] == [
    (1, 'a.jpg', 'a_1.mp4'), (2, 'a.jpg', 'a_2.mp4'),
    (3, 'more/b.PNG', 'more/b_1.mp4'), (4, 'more/b.PNG', 'more/b_2.mp4'),
  ]  # fmt: skip
  assert found[0].audio == str(tmp_path / 'v/1.wav') and found[0].seed == 5
  assert len(jobs.pairs(tmp_path / 'p', tmp_path / 'v/1.wav', {})) == 2
  with pytest.raises(InputError, match='expected files with pictures'):
    jobs.pairs(tmp_path / 'v', tmp_path / 'v', {})
