"""Any picture that OpenCV reads -> upright, opaque uint8 RGB [H, W, 3]."""

import pathlib

import cv2
import numpy as np

from ifmdm_jax.errors import InputError

SMALLEST = 64  # pixels: less holds no usable face


def read_image(path):
  """Reads a picture: EXIF rotation applied, alpha laid on white, grey and 16 bits converted.

  Returns:
    uint8 [H, W, 3], RGB.

  Raises:
    InputError: there is no such file, OpenCV cannot read it, or a side is under 64 pixels.
  """
  path = pathlib.Path(path)
  if not path.is_file():
    raise InputError(f'expected a picture, {path} is not a file: check the path')
  try:
    data = np.fromfile(path, np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)  # 8 bits, 3 channels, upright
    raw = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)  # keeps alpha, but may lie on its side
  except (cv2.error, OSError):
    image = None
  if image is None:
    raise InputError(f'expected a picture, {path} cannot be read as one: convert it to PNG or JPEG')
  if min(image.shape[:2]) < SMALLEST:
    raise InputError(
      f'expected a picture of at least {SMALLEST} x {SMALLEST} pixels, {path} is '
      f'{image.shape[1]} x {image.shape[0]}: use a larger one'
    )
  if raw is not None and raw.ndim == 3 and raw.shape[2] == 4 and raw.dtype != np.float32:
    image = _on_white(image, _turn_like(raw, image))
  return image


def _on_white(image, raw):
  alpha = raw[..., 3:].astype(np.float32) / np.iinfo(raw.dtype).max
  return np.round(255 + alpha * (image.astype(np.float32) - 255)).astype(np.uint8)


def _turn_like(raw, image):
  """`raw` turned or mirrored as `image` was: OpenCV keeps alpha or obeys EXIF, never both."""
  turned = [np.rot90(flipped, turns) for flipped in (raw, raw[:, ::-1]) for turns in range(4)]
  fitting = [each for each in turned if each.shape[:2] == image.shape[:2]]
  scale = 255 / np.iinfo(raw.dtype).max

  def distance(each):
    thumb = each[::4, ::4, 2::-1].astype(np.float32) * scale
    return np.abs(thumb - image[::4, ::4]).mean()

  return min(fitting, key=distance)
