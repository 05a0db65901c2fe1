"""Shows the controls of a portrait: as it is, and with the head turned and the mouth open.

python experiments/vlogger_body/show.py --image data/fixtures/portrait.jpg --output docs/vlogger.jpg
"""

import cv2
import numpy as np
from absl import flags

from ifmdm_jax import errors
from ifmdm_jax.face.units import FaceUnits
from ifmdm_jax.systems.vlogger import axes, body, controls, fit
from ifmdm_jax.video import image

_IMAGE = flags.DEFINE_string('image', None, 'A portrait.', required=True)
_OUTPUT = flags.DEFINE_string('output', None, 'File.jpg.', required=True)

WIDE, HIGH = 384, 256  # pixels of the whole picture's width, and of what is shown of its height
QUALITY = 62
TURNED = {'headYaw': 0.35, 'jawOpen': 0.6}  # added


def main(_):
  picture = image.read_image(_IMAGE.value)
  size = WIDE, round(WIDE * picture.shape[0] / picture.shape[1])
  picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
  found = fit.fit(*FaceUnits().track([picture]), picture.shape[:2])
  print(f'error {found.error[0]:.2%} of the eye distance')
  model = body.load()
  known = controls.reference(model, found.identity, found.motion[0], found.focal, picture)
  rows = []
  for change in ({}, TURNED):
    motion = found.motion + axes.read(change)
    drawn = controls.draw(
      model, found.identity, motion, found.focal, known, size=picture.shape[:2])  # fmt: skip
    rows.append(controls.show(drawn, picture / 255)[:HIGH])
  cv2.imwrite(_OUTPUT.value, np.concatenate(rows)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


if __name__ == '__main__':
  errors.run(main)
