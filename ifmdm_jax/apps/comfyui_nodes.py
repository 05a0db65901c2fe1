"""ComfyUI: a node that makes a portrait talk; the V3 interface, comfy_api.latest.

Put a folder with an __init__.py into ComfyUI's custom_nodes, with one line in it:

  from ifmdm_jax.apps.comfyui_nodes import comfy_entrypoint
"""

import functools
import tempfile

import numpy as np
import torch
from comfy_api.latest import ComfyExtension, io
from PIL import Image

import ifmdm_jax as ifm
from ifmdm_jax.errors import InputError
from ifmdm_jax.rates import FPS
from ifmdm_jax.trust import mark


@functools.cache
def sampler():
  """Loads the bundled weights, once."""
  return ifm.load()


class TalkingPortrait(io.ComfyNode):
  """A portrait and a voice become frames; they carry the mark, see `trust.mark`."""

  @classmethod
  def define_schema(cls):
    """Lists what goes in and out."""
    knob = functools.partial(io.Float.Input, default=1.0, min=0.0, max=2.0, step=0.05)
    return io.Schema(
      node_id='IfmdmTalkingPortrait',
      display_name='Talking portrait (IF-MDM)',
      category='video/talking head',
      description='Animate only faces and voices that you may animate.',
      inputs=[
        io.Image.Input('portrait', tooltip='One clearly visible, upright face.'),
        io.Audio.Input('voice'),
        knob('liveliness', tooltip='Of head, brows and lids; 0: lips alone move.'),
        knob('mouth', tooltip='How far the lips move.'),
        io.Int.Input('seed', default=0, min=0, max=2**31 - 1),
      ],
      outputs=[
        io.Image.Output(display_name='frames'),
        io.Audio.Output(display_name='voice'),
        io.Float.Output(display_name='frames per second'),
      ],
    )

  @classmethod
  def execute(cls, portrait, voice, liveliness=1.0, mouth=1.0, seed=0):
    """Draws float32 [T, S, S, 3] in [0, 1] of portrait [1, H, W, 3] and voice [1, C, L]."""
    if len(portrait) != 1 or len(voice['waveform']) != 1:
      raise InputError(
        f'expected one picture and one voice, got {len(portrait)} and {len(voice["waveform"])}: '
        'take one of a batch'
      )
    waveform = voice['waveform'][0].cpu().numpy().T
    blocks = sampler().frames(
      _square(portrait[0].cpu().numpy()), waveform, voice['sample_rate'], seed,
      motion_std=liveliness, mouth=mouth,
    )  # fmt: skip
    frames = np.concatenate(list(mark.live(blocks, FPS)))
    return io.NodeOutput(torch.from_numpy(frames.astype(np.float32) / 255), voice, float(FPS))


class Extension(ComfyExtension):
  """Lists the nodes."""

  async def get_node_list(self):
    """Returns them."""
    return [TalkingPortrait]


async def comfy_entrypoint():
  """Called by ComfyUI."""
  return Extension()


def _square(picture):
  """Cuts the face out of float [H, W, 3] in [0, 1] as every portrait is: uint8 [512, 512, 3]."""
  with tempfile.NamedTemporaryFile(suffix='.png') as file:
    Image.fromarray(np.rint(255 * np.clip(picture[..., :3], 0, 1)).astype(np.uint8)).save(file.name)
    return ifm.read_portrait(file.name)
