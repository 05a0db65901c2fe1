"""Edits of a filmed face: where landmarks go, when, and what is refused."""

import numpy as np
import pytest

from ifmdm_jax.errors import InputError
from ifmdm_jax.face import units
from ifmdm_jax.shot import Change, Painted, Shot
from ifmdm_jax.systems.vlogger import axes, body, edit, fit

SIZE, COUNT = 256, 50
BLINK = slice(30, 34)


def clip(closed=BLINK):
  """A `Shot` of a face that talks, and blinks in the frames `closed`: two seconds."""
  motion = np.zeros((COUNT, len(axes.AXES)), np.float32)
  motion[:] = axes.read({'headZ': 9.0, 'headYaw': 0.1})
  motion[:, axes.INDEX['jawOpen']] = np.clip(0.5 * np.sin(np.arange(COUNT) / 4), 0, 1)
  motion[:, axes.INDEX['mouthSmileLeft']] = 0.2
  for side in ('eyeBlinkLeft', 'eyeBlinkRight'):
    motion[closed, axes.INDEX[side]] = 1.0
  identity = np.zeros(len(body.load().identity), np.float32)
  found = fit.Fit(identity, 700.0, motion, np.zeros(COUNT), (SIZE, SIZE))
  landmarks = np.zeros((COUNT, 478, 3), np.float32)
  landmarks[..., :2] = fit.drawn(found)
  return Shot(None, landmarks, np.arange(COUNT) / 25, np.zeros(0, np.float32), SIZE)


@pytest.fixture(scope='module')
def shot():
  return clip()


class Painter:
  """Stands for what draws: keeps the landmarks."""

  name, size = 'painter', SIZE

  def redraw(self, shot, landmarks):
    """Yields nothing new."""
    self.landmarks = landmarks
    yield Painted(np.zeros((len(shot), 4, 4, 3), np.uint8), np.zeros((len(shot), 4, 4)))


def own_of(shot):
  return shot.landmarks[..., :2].astype(np.float64)


def gap(landmarks):
  return edit._gaps(landmarks)[:, 4]


def test_a_mouth_closes_over_its_span_and_nothing_moves_elsewhere(shot):
  own, target = own_of(shot), edit.moved(shot, [Change('close_mouth', 1, 0.2, 0.4)])
  around = (shot.times > 0.08) & (shot.times < 0.52)
  np.testing.assert_array_equal(target[~around], own[~around])
  whole = (shot.times >= 0.2) & (shot.times <= 0.4)
  assert gap(own)[whole].min() > 0.1  # it was open
  assert gap(target)[whole].max() < 0.15 * gap(own)[whole].max()
  chin = (target - own)[whole, 152, 1]
  assert chin.max() < -2  # pixels: the jaw goes along
  brow = np.abs(target - own)[whole][:, 105]
  assert brow.max() < 1


def test_a_change_comes_and_goes_softly():
  change, times = Change('jawOpen', 0.5, 1.0, 2.0), np.arange(75) / 25
  weight = edit.weights(change, times)
  assert (weight[(times >= 1.0) & (times <= 2.0)] == 1).all()
  assert (weight[(times < 0.87) | (times > 2.13)] == 0).all()
  assert 0 < weight[23] < weight[24] < 1 and 0 < weight[52] < weight[51] < 1


def test_units_by_name_hold_their_value(shot):
  target = edit.moved(shot, [Change('mouthSmileLeft', 0.8, 0.4, 1.6)])
  way = (target - own_of(shot))[25]
  assert way[291, 1] < -1 and abs(way[61, 1]) < 1  # the person's left corner goes up
  assert np.abs(way[10]).max() < 0.5


def test_a_blink_becomes_open_eyes_and_open_ones_stay(shot):
  own, target = own_of(shot), edit.moved(shot, [Change('no_blink', 1, 0.4, 1.8)])
  before, after = units.opening(own), units.opening(target)
  usual = np.median(before)
  assert before[31:33].max() < 0.5 * usual < 0.85 * usual < after[31:33].min()
  np.testing.assert_array_equal(target[:24], own[:24])
  np.testing.assert_array_equal(target[40:], own[40:])


def test_only_blinks_are_none_long_closed_eyes_are_not():
  shot = clip(slice(15, 40))
  kept = edit.moved(shot, [Change('no_blink', 1, 0.2, 1.9)])
  np.testing.assert_array_equal(kept, own_of(shot))
  opened = units.opening(edit.moved(shot, [Change('open_eyes', 1, 0.2, 1.9)]))
  assert opened[20:35].min() > 0.8 * np.median(opened)


def test_eyes_that_are_never_open_are_named_and_stay(capsys):
  shot = clip(slice(0, COUNT))
  target = edit.moved(shot, [Change('open_eyes', 1, 0.2, 1.9)])
  np.testing.assert_array_equal(target, own_of(shot))
  said = capsys.readouterr().err
  assert 'no frame of this take shows the eyes open' in said and said.count('\n') == 1


def test_eyes_close(shot):
  after = units.opening(edit.moved(shot, [Change('close_eyes', 1, 0.2, 0.8)]))
  assert after[9:16].max() < 0.02 and after[25] == pytest.approx(units.opening(own_of(shot))[25])


@pytest.mark.parametrize(
  ('changes', 'said'),
  [
    ([Change('mouthSmile', 0.5, 0, 1)], 'mouthSmileLeft or mouthSmileRight'),
    ([Change('headYaw', 0.5, 0, 1)], 'a unit of the face'),
    ([Change('jawOpen', 1.5, 0, 1)], '0 to 1'),
    ([Change('close_mouth', 1, 0, 2), Change('jawOpen', 0.5, 1, 3)], '1 to 2 s'),
    ([Change('close_eyes', 1, 0, 2), Change('no_blink', 1, 1, 3)], 'leave one out'),
    ([Change('jawOpen', 0.2, 0, 2), Change('jawOpen', 0.5, 1, 3)], 'one change of jawOpen'),
  ],
)
def test_what_cannot_be_done_is_said_in_one_line(changes, said):
  with pytest.raises(InputError, match=said) as raised:
    edit.Editor(Painter()).check(changes)
  assert '\n' not in str(raised.value)


def test_what_goes_together_is_taken():
  edit.Editor(Painter()).check([
    Change('close_mouth', 1, 0, 2), Change('mouthSmileLeft', 0.4, 0, 2),
    Change('close_mouth', 1, 2, 3), Change('open_eyes', 1, 0, 1), Change('no_blink', 1, 0, 3),
  ])  # fmt: skip


def test_whoever_draws_is_given_the_landmarks(shot):
  painter = Painter()
  [painted] = edit.Editor(painter).edit(shot, [Change('close_mouth', 1, 0.1, 0.5)])
  assert painter.landmarks.shape == (COUNT, 478, 2) and len(painted.mask) == COUNT


def test_weights_that_do_not_redraw_are_refused():
  with pytest.raises(InputError, match='redraw'):
    edit.Editor(object())
