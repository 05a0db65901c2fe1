"""Portraits that speak, on one sheet: each as it is, then with closed and with open mouth.

  python experiments/release/contact_sheet.py --images data/fixtures/portrait.jpg \
      --audio data/fixtures/speech.wav --treatments --output sheet.jpg

`--treatments` adds drawings and paintings that OpenCV makes of the first picture, since few works
of art may be shown here.
"""

import cv2
import numpy as np
from absl import flags

from ifmdm_jax import errors
from ifmdm_jax.face.crop import cut
from ifmdm_jax.face.mesh import FaceMesh
from ifmdm_jax.face.points import mouth_opening
from ifmdm_jax.read import find_square  # before the flags: both have --audio

_IMAGES = flags.DEFINE_list('images', None, 'Portraits.', required=True, **errors.SHARED)
_AUDIO = flags.DEFINE_string('audio', 'data/fixtures/speech.wav', 'Speech.', **errors.SHARED)
_CHECKPOINT = flags.DEFINE_string('checkpoint', None, 'Default: bundled.', **errors.SHARED)
_TREATMENTS = flags.DEFINE_bool('treatments', False, 'Add drawn and painted ones.', **errors.SHARED)
_OUTPUT = flags.DEFINE_string('output', 'sheet.jpg', 'Picture to write.', **errors.SHARED)
SECONDS, SIDE, COLUMNS = 5.0, 160, 4


def treatments(picture):
  """The picture as pencil drawing, coloured pencil, watercolour, print, photograph, bronze, ..."""
  grey_pencil, pencil = cv2.pencilSketch(picture, sigma_s=60, sigma_r=0.07, shade_factor=0.05)
  grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
  smooth = cv2.edgePreservingFilter(picture, flags=1, sigma_s=60, sigma_r=0.5)
  lines = cv2.adaptiveThreshold(cv2.medianBlur(grey, 5), 255, 0, cv2.THRESH_BINARY, 21, 4)
  tint = lambda levels: (grey[..., None] / 255.0 * np.array(levels)).astype(np.uint8)
  return [
    cv2.cvtColor(grey_pencil, cv2.COLOR_GRAY2RGB),
    pencil,
    cv2.stylization(picture, sigma_s=60, sigma_r=0.5),
    smooth // 48 * 48 + 24,
    cv2.bitwise_and(smooth, smooth, mask=lines),
    cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB),
    tint([255, 220, 170]),
    tint([150, 230, 200]),
  ]


def speak(sampler, picture, voice, rate):
  """The portrait, its most closed and its most open moment: [SIDE, 3 SIDE, 3]."""
  frames = sampler(picture, voice, rate, seed=0)
  opening = mouth_opening(FaceMesh(1).track(iter(frames)))
  shown = [picture]
  if np.isfinite(opening).any():
    shown += [frames[np.nanargmin(opening)], frames[np.nanargmax(opening)]]
  else:
    shown += [frames[len(frames) // 3], frames[2 * len(frames) // 3]]
  return np.concatenate(
    [cv2.resize(f, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for f in shown], axis=1
  )


def main(_):
  import ifmdm_jax as ifm
  from ifmdm_jax.audio import waveform
  from ifmdm_jax.video import image

  voice, rate = waveform.read(_AUDIO.value)
  voice = voice[: round(SECONDS * rate)]
  pictures = [image.read_image(path) for path in _IMAGES.value]
  pictures = [cut(picture, find_square(picture)) for picture in pictures]
  if _TREATMENTS.value:
    pictures += treatments(pictures[0])
  sampler = ifm.load(_CHECKPOINT.value)
  tiles = [speak(sampler, picture, voice, rate) for picture in pictures]
  tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % COLUMNS)
  rows = [np.concatenate(tiles[i : i + COLUMNS], axis=1) for i in range(0, len(tiles), COLUMNS)]
  cv2.imwrite(_OUTPUT.value, np.concatenate(rows)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == '__main__':
  errors.run(main)
