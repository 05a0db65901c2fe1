import io

import cv2
import numpy as np
import pytest
from PIL import Image

from ifmdm_jax.errors import InputError
from ifmdm_jax.video import image


def quarters(height=100, width=200):
  """Red, green, blue and grey quarters: no turn or mirror leaves it as it is."""
  picture = np.zeros((height, width, 3), np.uint8)
  h, w = height // 2, width // 2
  picture[:h, :w], picture[:h, w:], picture[h:, :w], picture[h:, w:] = (
    (250, 0, 0),
    (0, 250, 0),
    (0, 0, 250),
    (90, 90, 90),
  )
  return picture


def save(path, picture, orientation=None, **options):
  exif = Image.Exif()
  if orientation:
    exif[0x112] = orientation
  data = io.BytesIO()
  Image.fromarray(picture).save(data, path.suffix[1:], exif=exif.tobytes(), **options)
  path.write_bytes(data.getvalue())
  return path


UNDO = {
  1: lambda p: p,
  2: lambda p: p[:, ::-1],
  3: lambda p: np.rot90(p, 2),
  4: lambda p: p[::-1],
  5: lambda p: p.swapaxes(0, 1),
  6: lambda p: np.rot90(p, -1),
  7: lambda p: np.rot90(p, 2).swapaxes(0, 1),
  8: lambda p: np.rot90(p, 1),
}


@pytest.mark.parametrize('orientation', UNDO)
@pytest.mark.parametrize('suffix', ['jpeg', 'png'])
def test_exif_rotation_is_applied(tmp_path, orientation, suffix):
  path = save(tmp_path / f'a.{suffix}', quarters(), orientation)
  expected = UNDO[orientation](quarters())
  read = image.read_image(path)
  assert read.shape == expected.shape
  assert np.abs(read.astype(int) - expected)[::9, ::9].mean() < 4  # JPEG


@pytest.mark.parametrize('orientation', UNDO)
def test_alpha_turns_with_its_picture_and_becomes_white(tmp_path, orientation):
  picture = np.dstack([quarters(), np.full((100, 200), 255, np.uint8)])
  picture[:30, :30, 3], picture[-30:, -30:, 3] = 0, 128
  read = image.read_image(save(tmp_path / 'a.png', picture, orientation))
  over = picture[..., 3:] / 255
  expected = UNDO[orientation](np.round(picture[..., :3] * over + 255 * (1 - over)))
  np.testing.assert_allclose(read, expected, atol=1)


def test_grey_and_16_bit_pictures_become_8_bit_rgb(tmp_path):
  ramp = np.tile(np.linspace(0, 65535, 128).astype(np.uint16), (80, 1))
  for name, picture in (
    ('g16.png', ramp),
    ('g8.png', (ramp // 256).astype(np.uint8)),
    ('c16.png', np.dstack([ramp] * 3)),
    ('a16.tiff', np.dstack([ramp] * 3)),
  ):
    assert cv2.imwrite(str(tmp_path / name), picture)
    read = image.read_image(tmp_path / name)
    assert read.dtype == np.uint8
    assert read.shape == (80, 128, 3)
    np.testing.assert_allclose(read[..., 1], ramp / 257, atol=1.5)


def test_a_file_that_is_no_usable_picture_says_so(tmp_path):
  (tmp_path / 'text.jpg').write_text('not a picture')
  (tmp_path / 'empty.png').write_bytes(b'')
  save(tmp_path / 'tiny.png', quarters(40, 300))
  cut = save(tmp_path / 'whole.png', quarters()).read_bytes()[:60]
  (tmp_path / 'cut.png').write_bytes(cut)
  for name, said in (
    ('none.jpg', 'is not a file'),
    ('', 'is not a file'),
    ('text.jpg', 'cannot be read'),
    ('empty.png', 'cannot be read'),
    ('cut.png', 'cannot be read'),
    ('tiny.png', '300 x 40'),
  ):
    with pytest.raises(InputError, match=said):
      image.read_image(tmp_path / name)
