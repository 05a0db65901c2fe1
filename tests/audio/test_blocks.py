import numpy as np

from ifmdm_jax.audio import blocks


def track(frames, width=3):
  """Features that say their own number, from 1."""
  return np.tile(np.arange(1, 2 * frames + 1, dtype=np.float32)[:, None], (1, width))


def test_a_window_is_centred_on_its_frame_and_neighbours_are_three_before_to_four_after():
  block = blocks.blocks(track(40), [20])[0]
  assert block.shape == (8, 16, 3)
  centres = block[:, 8, 0] - 1  # the first feature of the middle, by its number
  np.testing.assert_array_equal(centres, 2 * np.arange(17, 25))


def test_beyond_the_ends_there_is_silence_and_the_end_frame_stands_for_its_neighbours():
  first, last = blocks.blocks(track(10), [0, 9])
  np.testing.assert_array_equal(first[0], first[3])  # frame -3 is frame 0
  assert (first[3, :8] == 0).all() and (first[3, 8:, 0] == np.arange(1, 9)).all()
  np.testing.assert_array_equal(last[3], last[7])  # frame 13 is frame 9
  assert (last[3, 10:] == 0).all() and last[3, 9, 0] == 20


def test_a_block_is_cut_out_of_the_whole_recording():
  whole = np.random.default_rng(0).normal(size=(80, 5)).astype(np.float32)
  np.testing.assert_array_equal(blocks.blocks(whole, [20, 3])[1], blocks.blocks(whole, [3])[0])


def test_a_standardised_recording_says_nothing_by_its_level():
  whole = np.random.default_rng(0).normal(size=(80, 5)).astype(np.float32)
  plain, loud = blocks.standardised(whole), blocks.standardised(3 * whole + 7)
  np.testing.assert_allclose(plain.std(0), 1, atol=2e-3)
  np.testing.assert_allclose(plain, loud, atol=5e-3)
