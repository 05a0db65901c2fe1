import contextlib
import io
import struct
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from ifmdm_jax import testing
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


def profile(red=(0.7347, 0.2653), green=(0.1596, 0.8404), blue=(0.0366, 0.0001), gamma=1.8):
  """An ICC profile of three primaries (xy, white D50) and a gamma: ProPhoto's by default."""
  xyz = np.array([(x / y, 1, (1 - x - y) / y) for x, y in (red, green, blue)]).T
  white = np.array([0.9642, 1.0, 0.8249])
  columns = (xyz * np.linalg.solve(xyz, white)).T
  number = lambda value: int(round(value * 65536)).to_bytes(4, 'big', signed=True)
  curve = b'curv' + bytes(4) + (1).to_bytes(4, 'big') + round(gamma * 256).to_bytes(2, 'big')
  text = b'desc' + bytes(4) + (5).to_bytes(4, 'big') + b'wide\0' + bytes(78)
  tags = {b'desc': text, b'wtpt': b'XYZ ' + bytes(4) + b''.join(map(number, white)),
          b'cprt': b'text' + bytes(4) + b'none\0'}  # fmt: skip
  for letter, column in zip(b'rgb', columns):
    tags[bytes([letter]) + b'XYZ'] = b'XYZ ' + bytes(4) + b''.join(map(number, column))
    tags[bytes([letter]) + b'TRC'] = curve
  table, data, at = b'', b'', 132 + 12 * len(tags)
  for name, value in tags.items():
    value += bytes(-len(value) % 4)
    table += name + (at + len(data)).to_bytes(4, 'big') + len(value).to_bytes(4, 'big')
    data += value
  size = at + len(data)
  head = size.to_bytes(4, 'big') + bytes(4) + bytes.fromhex('02400000') + b'mntrRGB XYZ '
  head += bytes(12) + b'acsp' + bytes(28) + b''.join(map(number, white)) + bytes(48)
  return head + len(tags).to_bytes(4, 'big') + table + data


@pytest.mark.parametrize('suffix', ['jpeg', 'png', 'webp', 'avif', 'tiff'])
def test_a_colour_profile_becomes_srgb(tmp_path, suffix):
  colour = np.array([200, 60, 50])  # of sRGB; and the same in ProPhoto, by hand
  linear = np.where(colour / 255 > 0.04045, ((colour / 255 + 0.055) / 1.055) ** 2.4, 0)
  to_xyz = np.array([[0.4361, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7141]])
  to_wide = np.linalg.inv([[0.7977, 0.1352, 0.0313], [0.2880, 0.7119, 0.0001], [0.0, 0.0, 0.8249]])
  wide = 255 * (to_wide @ to_xyz @ linear) ** (1 / 1.8)
  picture = np.tile(np.round(wide).astype(np.uint8), (80, 80, 1))
  path = save(tmp_path / f'a.{suffix}', picture, icc_profile=profile())
  assert np.abs(image.read_image(path)[40, 40].astype(int) - colour).max() <= 6


def test_a_broken_profile_is_said_and_passed_over(tmp_path, capsys):
  path = save(tmp_path / 'a.png', quarters(), icc_profile=profile()[:150] + bytes(20))
  np.testing.assert_array_equal(image.read_image(path), quarters())
  assert 'colour profile' in capsys.readouterr().err


def test_16_bit_tiff_has_alpha_and_orientation(tmp_path):
  picture = np.dstack([quarters().astype(np.uint16) * 257, np.full((100, 200), 65535, np.uint16)])
  picture[:30, :30, 3] = 0
  assert cv2.imwrite(str(tmp_path / 'a.tiff'), picture[..., [2, 1, 0, 3]])
  read = image.read_image(tmp_path / 'a.tiff')
  assert (read[:30, :30] == 255).all()
  np.testing.assert_allclose(read[31:, 31:], quarters()[31:, 31:], atol=1)


def test_grey_cmyk_and_palettes_are_read(tmp_path):
  for mode in ('L', 'CMYK', 'P', 'LA', '1'):
    path = tmp_path / f'{mode}.tiff'
    Image.fromarray(quarters()).convert(mode.removesuffix('A')).convert(mode).save(path)
    assert image.read_image(path).shape == (100, 200, 3), mode


def png_header(width, height):
  """A PNG that only says how large it is, and holds a few bytes of zeros."""
  chunk = lambda kind, data: (
    len(data).to_bytes(4, 'big') + kind + data + zlib.crc32(kind + data).to_bytes(4, 'big')
  )
  head = width.to_bytes(4, 'big') + height.to_bytes(4, 'big') + bytes([8, 0, 0, 0, 0])
  body = zlib.compress(bytes(100_000))
  return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', head) + chunk(b'IDAT', body) + chunk(b'IEND', b'')


def gif_header(width, height):
  size = width.to_bytes(2, 'little') + height.to_bytes(2, 'little')
  return b'GIF89a' + size + bytes([0, 0, 0]) + b',' + bytes(4) + size + bytes([0, 2, 2, 0x4C, 1, 0])


def tiff_header(width, height):
  tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 16), (277, 3, 1, 3)]
  rows = b''.join(struct.pack('<HHII', *tag) for tag in tags)
  return b'II*\0' + struct.pack('<IH', 8, len(tags)) + rows + bytes(4)


@pytest.mark.parametrize('make', [png_header, gif_header, tiff_header])
def test_a_bomb_is_refused_by_its_header(tmp_path, make):
  path = tmp_path / 'bomb.png'
  path.write_bytes(make(30_000, 30_000))
  tracemalloc.start()
  with pytest.raises(InputError, match='134217728 pixels at most.*--max_pixels'):
    image.read_image(path)
  assert tracemalloc.get_traced_memory()[1] < 2**24
  tracemalloc.stop()
  with pytest.raises(InputError, match='30000000 pixels at most'):
    image.read_image(path, max_pixels=30_000_000)


def test_a_file_of_many_gigabytes_is_not_read(tmp_path):
  path = tmp_path / 'large.jpg'
  with open(path, 'wb') as file:
    file.truncate(40 * 2**30)
  with pytest.raises(InputError, match='1,074 MB at most'):
    image.read_image(path)


def test_what_would_start_another_program_is_no_picture(tmp_path):
  """Pillow hands EPS to Ghostscript, which runs what it says."""
  path, harm = tmp_path / 'a.jpg', tmp_path / 'harm'
  path.write_text(
    f'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n({harm}) (w) file closefile\n%%EOF\n'
  )
  with pytest.raises(InputError, match='cannot be read'):
    image.read_image(path)
  assert not harm.exists()


def test_a_picture_that_is_cut_short_says_so(tmp_path):
  whole = save(tmp_path / 'a.jpeg', quarters(400, 600)).read_bytes()
  (tmp_path / 'a.jpeg').write_bytes(whole[: len(whole) // 2])
  with pytest.raises(InputError, match='cut short'):
    image.read_image(tmp_path / 'a.jpeg')


@pytest.mark.parametrize('brand', [b'heic', b'mif1'])
def test_heic_that_cannot_be_read_is_named(tmp_path, brand):
  (tmp_path / 'a.jpg').write_bytes(b'\0\0\0\x18ftyp' + brand + bytes(40))
  with pytest.raises(InputError, match='is HEIC'):
    image.read_image(tmp_path / 'a.jpg')


HEIC = testing.REPOSITORY / 'tests' / 'video' / 'fixtures'
TILES = {  # each of 2 x 3 tiles of 128 pixels, made by libheif
  'tiles': lambda p: p,
  'tiles_turned': lambda p: p,  # stored as a column, turned and mirrored by its properties
  'tiles_profile': lambda p: p[..., ::-1],  # whose red is blue
}


@pytest.mark.parametrize('name', TILES)
def test_heic_in_tiles_is_put_together(name):
  read = image.read_image(HEIC / f'{name}.heic')
  expected = TILES[name](quarters(200, 300))
  assert read.shape == expected.shape
  assert np.abs(read.astype(int) - expected).mean() < 3  # lossy


def test_tiles_that_are_not_there_are_said(tmp_path):
  whole = (HEIC / 'tiles.heic').read_bytes()
  at = whole.index(b'dimg') + 8
  twice = whole[: at + 2] + whole[at : at + 2] + whole[at + 4 :]  # the second tile is the first
  for name, data in dict(short=whole[:-200], twice=twice).items():
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match='tiles|is HEIC, which cannot be read|cut short'):
      image.read_image(tmp_path / name)


def test_heic_is_as_large_as_its_header_says_before_it_is_decoded(tmp_path):
  with pytest.raises(InputError, match='of 50000 pixels at most.*300 x 200'):
    image.read_image(HEIC / 'tiles.heic', max_pixels=50_000)


def test_nothing_but_the_line_is_printed(tmp_path, capfd):
  rng = np.random.default_rng(0)
  for suffix in ('jpeg', 'png', 'tiff', 'webp', 'gif'):
    data = bytearray(save(tmp_path / f'a.{suffix}', quarters()).read_bytes())
    for at in rng.integers(20, len(data), 20):
      data[at] ^= 0x55
    (tmp_path / f'a.{suffix}').write_bytes(data)
    with contextlib.suppress(InputError):
      image.read_image(tmp_path / f'a.{suffix}')
  assert capfd.readouterr() == ('', '')
