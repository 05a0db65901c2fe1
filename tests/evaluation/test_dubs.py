import json

import numpy as np
import pytest

from ifmdm_jax import evaluate, video
from ifmdm_jax.errors import InputError
from ifmdm_jax.evaluation import (
  dubs,
  fingerprint,
  images,
  landmarks,
  protocol,
  run,
  scoring,
  seams,
  suite,
)
from ifmdm_jax.evaluation.types import Reference
from ifmdm_jax.shot import Painted
from tests import test_evaluate
from tests.evaluation import synthetic

SIDE, FRAMES = test_evaluate.SIDE, test_evaluate.FRAMES


class Landmarker:
  """Knows the drawn face, as `test_evaluate.Mesh` does, in 468 points."""

  def track(self, frames):
    return test_evaluate.Mesh(1).track(frames)


class Units:
  """Knows its irises as well."""

  def track(self, frames):
    points = test_evaluate.Mesh(1).track(frames)
    return np.concatenate([points, points[:, -10:]], axis=1), np.zeros((len(points), 52))


class Painter:
  """Paints the lower half in one colour, and keeps the shots that it was given."""

  needs, size, fps, name = frozenset({'video', 'voice'}), SIDE // 2, 25, 'painter'

  def __init__(self):
    self.shots = []

  def dub(self, shot, *, seed=0):
    self.shots.append(shot)
    for block in shot.blocks():
      mask = np.zeros(block.shape[:3], np.float32)
      mask[:, self.size // 2 :] = 1
      yield Painted(np.full_like(block, 99), mask)


class Lazy(Painter):
  """Forgets the last frame."""

  def dub(self, shot, *, seed=0):
    for painted in super().dub(shot):
      yield Painted(*(each[:-1] for each in painted))


@pytest.fixture
def clips(tmp_path, monkeypatch):
  """The path of a protocol of two films."""
  for seed, name in enumerate('ab'):
    frames, _, waveform = test_evaluate.talking_face(FRAMES, SIDE, seed)
    video.write(tmp_path / f'{name}.mp4', frames, waveform)
  clips = [dict(video=f'{name}.mp4', person=name) for name in 'ab']
  content = dict(kind='dub', root='.', size=SIDE, clips=clips)
  (tmp_path / 'protocol.json').write_text(json.dumps(content))
  families = (
    suite.Family(images, suite.OWN, ('psnr',)),
    suite.Family(landmarks, suite.OWN, ('lmd',)),
    suite.Family(seams, suite.ANOTHER),
    suite.Family(test_evaluate.Brightness(), suite.ANOTHER),
  )
  monkeypatch.setattr(suite, 'DUBBING', families)
  monkeypatch.setattr(run, 'FaceMesh', test_evaluate.Mesh)
  monkeypatch.setattr(dubs, 'FaceLandmarker', Landmarker)
  monkeypatch.setattr(dubs, 'FaceUnits', Units)
  monkeypatch.setattr(run.features, 'load', lambda *_, **__: test_evaluate.Speech())
  monkeypatch.setattr(scoring, 'definitions', lambda: 'one')
  monkeypatch.setattr(fingerprint, 'of_generator', lambda generator: 'one')
  return tmp_path / 'protocol.json'


def test_a_dub_is_scored_by_its_own_voice_and_by_anothers_beside_the_film(clips):
  painter = Painter()
  result = run.evaluate([dubs.Engine(painter)], clips, clips.parent / 'out')
  assert list(result.rows) == ['film', 'pasted', 'painter'] and result.main == 'painter'
  film, drawn = result.rows['film'], result.rows['painter']
  assert film['own_psnr'].value == 100 and film['own_lmd'].value == 0
  assert film['another_changed'].value == 0 and drawn['another_changed'].value > 40
  assert drawn['own_psnr'].value < result.rows['pasted']['own_psnr'].value < 100
  assert drawn['another_brightness'].value == pytest.approx(
    film['another_brightness'].value, rel=0.5
  )
  assert drawn['speed'].value > 0 and 'sync_ridge' not in drawn
  own, *_, another = painter.shots
  first, second = (test_evaluate.talking_face(FRAMES, SIDE, seed)[2] for seed in (0, 1))
  assert len(own) == FRAMES and own.size == SIDE // 2
  assert own.landmarks.shape == (FRAMES, 478, 3)  # as `Shot` says
  assert similarity(own.waveform, first) > 0.99 > similarity(own.waveform, second)
  assert similarity(another.waveform, first) > 0.99  # the second clip's, by the first one's voice
  assert (clips.parent / 'out' / 'report.html').exists()


def similarity(a, b):
  count = min(len(a), len(b))
  return float(np.corrcoef(a[:count], b[:count])[0, 1])


def test_what_is_not_painted_is_the_films(clips):
  painter = Painter()
  reference = Reference(film())
  drawn = dubs.Engine(painter).own(reference, 0).frames
  half = SIDE // 2
  np.testing.assert_array_equal(drawn[:, : half - 2], reference.clip.frames[:, : half - 2])
  assert (drawn[:, half + 2 :] == 99).all()


def film():
  frames, points, waveform = test_evaluate.talking_face(FRAMES, SIDE)
  return protocol.Clip(
    'a', 'p', frames[0], waveform, frames=frames, landmarks=(points * SIDE).astype(np.float32)
  )


def test_pasted_lips_are_those_of_the_first_frame_and_the_upper_face_stays():
  clip = synthetic.pair(FRAMES, SIDE)
  reference = Reference(
    protocol.Clip('a', 'p', frames=clip.reference, landmarks=clip.reference_landmarks)
  )
  frames = dubs.Pasted().own(reference, 0).frames
  top = int(clip.reference_landmarks[:, dubs.points.LOWER_FACE, 1].min()) - 8
  np.testing.assert_array_equal(frames[:, :top], clip.reference[:, :top])
  assert np.abs(frames[0].astype(int) - clip.reference[0]).max() <= 1


def test_a_generator_that_loses_frames_is_no_dub(clips):
  with pytest.raises(dubs.ContractError, match=f'{FRAMES - 2} frames of a shot of {FRAMES}'):
    dubs.Engine(Lazy()).own(Reference(film()), 0)


def test_what_does_not_dub_is_refused_by_name(clips, monkeypatch):
  with pytest.raises(InputError, match='Still has no dub'):
    dubs.Engine(test_evaluate.Still())
  with pytest.raises(InputError, match='this protocol dubs films'):
    evaluate.row('ground_truth', suite.DUB)


def test_a_protocol_of_an_unknown_kind_is_refused(clips):
  clips.write_text(clips.read_text().replace('"dub"', '"sing"'))
  with pytest.raises(InputError, match='expected talk or dub as "kind".*\'sing\''):
    protocol.read(clips)
