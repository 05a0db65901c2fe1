"""The command: flags to one call each."""

import pytest
from absl import flags
from absl.testing import flagsaver

from ifmdm_jax import prepare
from ifmdm_jax.errors import InputError
from ifmdm_jax.pipeline import codes, features, records
from tests.pipeline import films

pytest.importorskip('tensorflow_datasets')
pytest.importorskip('grain.python')  # defines flags, which must be there before any are saved


def command(*words):
  with flagsaver.flagsaver():
    flags.FLAGS(['prepare', *words])
    prepare.main(None)


def test_ready_clips_become_a_set_for_both_stages(tmp_path, capsys):
  clips, output = tmp_path / 'clips', tmp_path / 'set'
  clips.mkdir()
  films.talking(clips / 'a.mp4', seconds=0.6, side=96)
  (clips / 'MANIFEST.csv').write_text('file,split\na.mp4,train\n')
  place = f'--output={output}'
  command(f'--source={clips}', place, '--format=folder', '--size=32', '--workers=1')
  command(place, '--features', '--audio=mel')
  command(place, '--codes', '--audio=mel')
  (clip,), (track,) = records.clips(output), codes.read(output, 'train')
  assert clip.frames.shape == (15, 32, 32, 3) and track.codes.shape == (15, 20)
  assert (track.features == features.read(output, 'mel')[0]).all()
  said = capsys.readouterr().out
  assert '1 tracks' in said and 'features of 1 clips' in said and 'report.html' in said


@pytest.mark.parametrize(
  ('words', 'message'),
  [
    (['--output=here'], 'expected --output and one of --source'),
    (['--source=here'], 'expected --output and one of --source'),
    (['--source=.', '--output=here', '--limit=faces=3'], 'NAME of seconds, face'),
    (['--source=.', '--output=here', '--limit=face=tall'], '--limit face=tall'),
    (['--source=.', '--output=here', '--layout=tapes'], 'expected one of folder, hdtf'),
    (['--source=.', '--output=here', '--format=animated'], 'should hold prepared records'),
    (['--output=here,there', '--codes'], 'expected one folder'),
  ],
)
def test_what_cannot_be_done_is_said_before_any_work(tmp_path, monkeypatch, words, message):
  monkeypatch.chdir(tmp_path)
  with pytest.raises(InputError, match=message):
    command(*words)
  assert not list(tmp_path.iterdir())
