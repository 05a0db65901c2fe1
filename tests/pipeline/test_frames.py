import numpy as np
import pytest

from ifmdm_jax.pipeline import frames as codec


def test_frames_are_read_in_any_order_like_an_array():
  shades = np.arange(30, dtype=np.uint8)[:, None, None, None] * 8
  frames = np.broadcast_to(shades, (30, 32, 32, 3))
  read = codec.Frames(codec.encode(frames))
  got = read[[17, 3, 29, 0, 3, 8]]
  assert len(read) == 30
  assert np.abs(got.astype(int) - frames[[17, 3, 29, 0, 3, 8]]).max() <= 3
  np.testing.assert_array_equal(read[:][5], read[5])
  np.testing.assert_array_equal(read[-1], read[29])
  assert codec.Frames(codec.encode(frames), 16)[:2].shape == (2, 16, 16, 3)
  grey = codec.Frames(codec.encode(frames[..., 0]))[[2, 9]]
  assert np.abs(grey.astype(int) - frames[[2, 9]]).max() <= 3
  with pytest.raises(IndexError):
    read[30]


def test_the_same_frames_are_the_same_bytes():
  frames = np.random.default_rng(0).integers(0, 255, (9, 32, 32, 3), np.uint8)
  assert codec.encode(frames) == codec.encode(frames)


@pytest.mark.parametrize('quality', [codec.QUALITY, codec.LOSSLESS])
@pytest.mark.parametrize('side', [16, 50])
def test_the_side_is_known_before_anything_is_decoded(quality, side):
  pictures = np.random.default_rng(0).integers(0, 255, (2, side, side, 3), np.uint8)
  read = codec.Frames(codec.encode(pictures, quality))
  assert read.side == side == len(read[0]) and read.shape == (2, side, side, 3)


def test_without_loss_every_pixel_is_what_was_written():
  pictures = np.random.default_rng(0).integers(0, 255, (2, 32, 32, 3), np.uint8)
  read = codec.Frames(codec.encode(pictures, codec.LOSSLESS))
  np.testing.assert_array_equal(read[:], pictures)
