"""How `lite` draws one frame, as five pictures: portrait, matte, flow, without mouth, result.

python experiments/reproduction/parts.py --output docs/lite.jpg

Takes the moment of the bundled voice at which the mouth is widest.
"""

import cv2
import jax.numpy as jnp
import numpy as np
from absl import flags

import ifmdm_jax as ifm
from ifmdm_jax import errors
from ifmdm_jax.face import matte
from ifmdm_jax.face.points import mouth_opening
from ifmdm_jax.systems.ifmdm.autoencoder.lite import composite, model
from ifmdm_jax.systems.ifmdm.autoencoder.pictures import flow_colours

_IMAGE = flags.DEFINE_string('image', 'data/fixtures/portrait.jpg', 'A portrait.', **errors.SHARED)
_AUDIO = flags.DEFINE_string('audio', 'data/fixtures/speech.wav', 'A voice.', **errors.SHARED)
_OUTPUT = flags.DEFINE_string('output', 'docs/lite.jpg', 'Picture to write.', **errors.SHARED)
SIDE, EDGE = 256, 4
MOST = 0.08  # flow in full colour, fractions of the side


def as_tile(picture):
  """Turns a picture [1, R, R, 3] in [-1, 1] into uint8 [SIDE, SIDE, 3]."""
  values = np.clip((np.asarray(picture[0], np.float32) + 1) * 127.5, 0, 255).astype(np.uint8)
  return cv2.resize(values, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def main(_):
  picture = ifm.read_portrait(_IMAGE.value)
  voice, rate = ifm.read_voice(_AUDIO.value)
  sampler = ifm.load()
  stage = sampler.stages[0]
  portrait = model.portrait(stage.params, picture, stage.config)
  own = np.asarray(portrait.code)
  codes = sampler.codes(picture, voice, rate)[:, : own.shape[1]] - own
  moved = portrait.appearance.points + model.moves(stage.params, codes)
  widest = int(np.argmax(mouth_opening(np.asarray(moved))))
  code = codes[widest : widest + 1]

  drawing = model.apply(
    stage.params, stage.config, 'draw', portrait.appearance, code, model.moves(stage.params, code)
  )
  result, _ = model.render(portrait.layers, portrait.inside, drawing)
  small = model.shrink(jnp.asarray(picture)[None] / 255.0, model.VIEW)
  person = matte.find(stage.params['person'], small)
  flow = drawing.grid - composite.identity_grid(drawing.grid.shape[1])[None]

  tiles = [
    model.as_float(jnp.asarray(picture)[None]),
    jnp.repeat(2 * person - 1, 3, axis=-1),
    flow_colours(np.asarray(composite.upsample(flow, SIDE)), MOST),
    composite.warped(portrait.layers, drawing),
    result,
  ]
  gap = np.full((SIDE, EDGE, 3), 255, np.uint8)
  strip = np.concatenate([part for tile in tiles for part in (as_tile(tile), gap)][:-1], axis=1)
  cv2.imwrite(_OUTPUT.value, strip[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == '__main__':
  errors.run(main)
