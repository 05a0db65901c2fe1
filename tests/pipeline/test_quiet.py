import numpy as np

from ifmdm_jax.pipeline import quiet

RATE, SECONDS = 16_000, 8


def altered(seed):
  time = np.arange(SECONDS * RATE) / RATE
  voice = np.float32(0.3 * np.sin(2 * np.pi * 150 * time))
  return voice, *quiet.alter(voice, RATE, 25 * SECONDS, np.random.default_rng(seed))


def test_where_lips_are_at_rest_the_voice_is_gone_and_else_it_is_as_it_was():
  for seed in range(12):
    voice, sound, share = altered(seed)
    assert sound.dtype == np.float32 and sound.shape == voice.shape
    assert share.min() >= 0 and share.max() <= 1
    frames = lambda x: x.reshape(25 * SECONDS, -1)
    heard = (frames(sound) * frames(voice)).sum(1) / (frames(voice) ** 2).sum(1)
    assert np.abs(heard[share == 1]).max(initial=0) < 0.5  # a bed of sound may be there,
    assert np.abs(heard[share == 0] - 1).max(initial=0) < 0.5  # or a frame be half a pause


def test_every_so_many_clips_nobody_speaks_at_all():
  shares = [altered(seed)[2] for seed in range(30)]
  assert 2 < sum(share.min() == 1 for share in shares) < 15
  assert any(share.min() == 0 and share.max() == 1 for share in shares)


def test_lips_close_after_a_voice_and_open_before_one():
  silent = np.zeros(60, bool)
  silent[20:40] = True
  share = quiet.resting(silent)
  assert share[19] == 0 and share[19 + quiet.CLOSING] == 1
  assert share[40 - quiet.OPENING] == 1 and share[40] == 0
  assert (np.diff(share[20:30]) >= 0).all() and (np.diff(share[33:41]) <= 0).all()


def test_the_same_draw_gives_the_same_sound():
  np.testing.assert_array_equal(altered(3)[1], altered(3)[1])
