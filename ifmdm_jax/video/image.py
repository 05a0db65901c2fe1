"""Any picture -> upright, opaque uint8 RGB [H, W, 3] in the colours of sRGB."""

import io
import warnings

import numpy as np
from PIL import Image, ImageCms, TiffImagePlugin

from ifmdm_jax import files
from ifmdm_jax.errors import InputError, note
from ifmdm_jax.video import heic

SMALLEST = 64  # pixels: less holds no usable face
MAX_PIXELS = 2**27  # 134 million; decoding them takes 1.5 GB
MAX_BYTES = 2**30  # of a file
# By Pillow. Never EPS, which starts another program.
FORMATS = ('JPEG', 'PNG', 'WEBP', 'GIF', 'BMP', 'DIB', 'TIFF', 'AVIF', 'JPEG2000', 'PPM',
           'TGA', 'PSD', 'QOI')  # fmt: skip
ORIENTATION, ICC = 0x112, 34675  # tags of EXIF and of TIFF
TURNED = {  # value of ORIENTATION -> how the picture becomes upright
  2: lambda p: p[:, ::-1],
  3: lambda p: p[::-1, ::-1],
  4: lambda p: p[::-1],
  5: lambda p: p.swapaxes(0, 1),
  6: lambda p: np.rot90(p, -1),
  7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
  8: lambda p: np.rot90(p),
}


def read_image(path, max_pixels=MAX_PIXELS):
  """Reads a picture as people see it.

  Rotation and mirroring are applied, a colour profile is turned into sRGB, alpha is laid on white;
  grey, CMYK and 16 bits are converted. Of an animation it is the first picture. Nothing is decoded
  before its header has said how large it is.

  Args:
    path: JPEG, PNG, WebP, AVIF, HEIC, TIFF, GIF, BMP, JPEG 2000 and a few more; the content
      decides, not the name.
    max_pixels: of a picture that is read.

  Returns:
    uint8 [H, W, 3], RGB.

  Raises:
    InputError: there is no such file, it is no picture or a damaged one, it has more pixels than
      that, or a side is under 64 pixels.
  """
  path = files.check(path, 'a picture', MAX_BYTES)
  limit = Image.MAX_IMAGE_PIXELS
  Image.MAX_IMAGE_PIXELS = max_pixels  # Pillow's own look at the frames of a GIF
  try:
    with warnings.catch_warnings():
      warnings.simplefilter('ignore')  # about odd metadata, and what is refused here
      image = _decoded(path, max_pixels)
  except InputError:
    raise
  except Exception as error:  # each decoder raises its own
    raise InputError(_unreadable(path, error)) from error
  finally:
    Image.MAX_IMAGE_PIXELS = limit
  return np.ascontiguousarray(image)


def check_size(size, path, max_pixels=MAX_PIXELS):
  """Raises InputError where (width, height) is too small or too large."""
  width, height = size
  if min(size) < SMALLEST:
    raise InputError(
      f'expected a picture of at least {SMALLEST} x {SMALLEST} pixels, {path} is '
      f'{width} x {height}: use a larger one'
    )
  if width * height > max_pixels:
    raise InputError(
      f'expected a picture of {max_pixels} pixels at most, {path} has {width * height} '
      f'({width} x {height}): make it smaller, or raise --max_pixels'
    )


def _decoded(path, max_pixels):
  try:
    picture = Image.open(path, formats=FORMATS)
  except Image.UnidentifiedImageError:
    return _by_ffmpeg(path, max_pixels)
  except Image.DecompressionBombError as error:
    raise InputError(
      f'expected a picture of {max_pixels} pixels at most, {path} has more: make it smaller, or '
      'raise --max_pixels'
    ) from error
  with picture:
    check_size(picture.size, path, max_pixels)
    profile = picture.info.get('icc_profile')
    orientation = _orientation(picture)
    image = np.asarray(_rgb(picture, profile, path))
  return TURNED.get(orientation, lambda p: p)(image)


def _orientation(picture):
  try:
    picture.load()  # PNG and WebP may tell it last
    return picture.getexif().get(ORIENTATION, 1)
  except (SyntaxError, TypeError, ValueError, KeyError):  # damaged EXIF; a damaged picture goes on
    return 1


def _rgb(picture, profile, path):
  """Converts any mode of Pillow to opaque RGB in sRGB."""
  if picture.mode.startswith('I'):
    picture = Image.fromarray(_to_8_bits(np.asarray(picture)))
  elif picture.mode == 'F':
    raise InputError(f'expected 8 or 16 bits, {path} holds floats: convert it to PNG')
  alpha = None
  if picture.has_transparency_data:
    picture = picture.convert('RGBA')
    alpha = picture.getchannel('A')
    picture = picture.convert('RGB')
  elif picture.mode not in ('RGB', 'L', 'CMYK', 'LAB'):
    picture = picture.convert('RGB')
  picture = _to_srgb(picture, profile, path)
  if alpha is None:
    return picture
  white = Image.new('RGB', picture.size, 'white')
  white.paste(picture, mask=alpha)
  return white


def _to_srgb(picture, profile, path):
  """Converts the colours of a profile; pictures without one are sRGB."""
  if profile:
    try:
      source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
      if 'srgb' not in ImageCms.getProfileDescription(source).lower():
        target = ImageCms.createProfile('sRGB')
        return ImageCms.profileToProfile(picture, source, target, outputMode='RGB')
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
      note(f'the colour profile of {path} cannot be used: its colours are taken as sRGB')
  return picture.convert('RGB')


def _to_8_bits(values):
  """Converts whole numbers of 16 bits, or of more that hold as many, to uint8."""
  if values.dtype != np.uint16:
    values = np.clip(values, 0, 65535).astype(np.uint16)
  return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _by_ffmpeg(path, max_pixels):
  """HEIC, and TIFF of 16 bits, which Pillow does not know."""
  with open(path, 'rb') as file:
    head = file.read(64)
    if heic.is_heic(head):
      return _heic(path, max_pixels)
    if head[:4] not in (b'II*\0', b'MM\0*'):
      raise InputError(_unreadable(path))
    tags = TiffImagePlugin.ImageFileDirectory_v2(head[:8])
    file.seek(tags.next)
    tags.load(file)
    size = tags[TiffImagePlugin.IMAGEWIDTH], tags[TiffImagePlugin.IMAGELENGTH]
    check_size([int(side) for side in size], path, max_pixels)
  image = _to_8_bits(_tiff(path))
  opaque, alpha = Image.fromarray(image[..., :3]), Image.fromarray(image[..., 3])
  white = Image.new('RGB', opaque.size, 'white')
  white.paste(_to_srgb(opaque, tags.get(ICC), path), mask=alpha)
  return TURNED.get(tags.get(ORIENTATION), lambda p: p)(np.asarray(white))


def _heic(path, max_pixels):
  image, profile = heic.read(path, lambda size: check_size(size, path, max_pixels))
  return np.asarray(_to_srgb(Image.fromarray(np.ascontiguousarray(image)), profile, path))


def _tiff(path):
  """Decodes a TIFF of 16 bits: uint16 [H, W, 4]."""
  import av  # here: networks and their training run without

  limits = {'format_whitelist': 'tiff_pipe', 'protocol_whitelist': 'file'}
  with av.open(str(path.absolute()), format='tiff_pipe', options=limits) as opened:
    return next(opened.decode(video=0)).to_ndarray(format='rgba64le')


def _unreadable(path, error=None):
  if error is not None and 'truncated' in str(error):
    return f'expected a picture, {path} cannot be read, it is cut short: fetch it again'
  named = 'is HEIC, which cannot be read here' if _is_heic(path) else 'cannot be read as one'
  return f'expected a picture, {path} {named}: convert it to PNG or JPEG'


def _is_heic(path):
  with open(path, 'rb') as file:
    head = file.read(12)
  return heic.is_heic(head)
