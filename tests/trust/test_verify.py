"""Anybody can check: each kind of file gets the right answer, and an exit status to go with it."""

import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from ifmdm_jax import video
from ifmdm_jax.trust import certificate, report
from ifmdm_jax.trust.origin import Origin
from tests.trust import videos

NUMBER = 0x0BADCAB


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """Our video, and what may become of it."""
  folder = tmp_path_factory.mktemp('films')
  voice = 0.1 * np.sin(np.arange(64_000) / 20)
  soundfile.write(folder / 'other.wav', voice, 16_000)
  ours, says = folder / 'ours.mp4', Origin(number=NUMBER)
  video.write(ours, videos.talk(), voice[::-1], provenance=says)
  videos.again(ours, folder / 'encoded.mp4')
  videos.again(ours, folder / 'cropped.mp4', crop=0.8, scale=0.75)
  videos.remuxed(ours, folder / 'copied.mp4')
  videos.remuxed(ours, folder / 'other_sound.mp4', folder / 'other.wav')
  video.write(folder / 'stranger.mp4', videos.talk(60), provenance=False, metadata={})
  whole = bytearray(ours.read_bytes())
  whole[whole.index(b'trainedAlgorithmicMedia')] = ord('T')
  (folder / 'tampered.mp4').write_bytes(whole)
  whole = bytearray(ours.read_bytes())
  whole[-100:-50] = bytes(50)
  (folder / 'changed.mp4').write_bytes(whole)
  return folder


RIGHT = {  # file -> verdict, manifest, mark
  'ours': (report.SYNTHETIC, report.PRESENT, report.PRESENT),
  'encoded': (report.SYNTHETIC, report.ABSENT, report.PRESENT),
  'cropped': (report.SYNTHETIC, report.ABSENT, report.PRESENT),
  'copied': (report.SYNTHETIC, report.ABSENT, report.PRESENT),
  'other_sound': (report.SYNTHETIC, report.ABSENT, report.PRESENT),
  'stranger': (report.SILENT, report.ABSENT, report.ABSENT),
  'tampered': (report.CHANGED, report.BROKEN, report.PRESENT),
  'changed': (report.CHANGED, report.BROKEN, report.PRESENT),
}


@pytest.mark.parametrize('name', RIGHT)
def test_each_kind_of_file_gets_the_right_answer(folder, name):
  found = report.examine(folder / f'{name}.mp4')
  layers = found['layers']
  assert (found['verdict'], layers['manifest']['state'], layers['mark']['state']) == RIGHT[name]
  if layers['mark']['state'] == report.PRESENT:
    assert layers['mark']['number'] == '0badcab'
  assert all(isinstance(line, str) for line in report.lines(found))


def test_a_mark_that_the_manifest_does_not_name_is_a_contradiction(tmp_path):
  marked = np.stack(list(videos.talk(100, 256)))
  marker = video.Writer(tmp_path / 'x.mp4', provenance=Origin(number=1)).marker
  marked = [marker.mark(frame, k / 25) for k, frame in enumerate(marked)]
  video.write(tmp_path / 'a.mp4', marked, provenance=Origin(number=2, marked=False))
  found = report.examine(tmp_path / 'a.mp4')
  assert found['verdict'] == report.CHANGED and found['layers']['mark']['state'] == report.BROKEN


def run(*words):
  """Runs the command: its exit status, and what it says."""
  command = [sys.executable, '-m', 'ifmdm_jax.verify', *map(str, words)]
  done = subprocess.run(command, capture_output=True, text=True, check=False)
  return done.returncode, done.stdout, done.stderr


def test_the_exit_status_says_it(folder):
  status, said, _ = run(folder / 'ours.mp4')
  assert status == 0 and 'manifest  present' in said and '0badcab' in said
  assert run('--seconds', '10', folder / 'tampered.mp4')[0] == 3


def test_a_folder_is_one_list_of_json(tmp_path, folder):
  (tmp_path / 'in').mkdir()
  for name in ('ours', 'stranger'):
    (tmp_path / 'in' / f'{name}.mp4').write_bytes((folder / f'{name}.mp4').read_bytes())
  status, said, _ = run(tmp_path, '--json')
  assert status == 1
  assert [each['verdict'] for each in json.loads(said)] == [report.SYNTHETIC, report.SILENT]


def test_what_is_no_video_is_one_line(tmp_path):
  (tmp_path / 'a.mp4').write_text('no film')
  (tmp_path / 'empty').mkdir()
  for words, reason in (((tmp_path / 'a.mp4',), 'a file with pictures'), ((), 'got none'),
                        ((tmp_path / 'empty',), 'holds none')):  # fmt: skip
    status, _, said = run(*words)
    assert status == 2 and reason in said and said.count('\n') == 1


def test_certificates_to_trust_are_named(tmp_path, folder):
  (tmp_path / 'roots.pem').write_bytes(certificate.local().chain)
  assert 'trusted: yes' in run(folder / 'ours.mp4', '--trust', tmp_path / 'roots.pem')[1]
  status, _, said = run(folder / 'ours.mp4', '--trust', folder / 'other.wav')
  assert status == 2 and 'holds none' in said
