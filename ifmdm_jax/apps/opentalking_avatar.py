"""OpenTalking: a model adapter, registered as `ifmdm`; read at its main branch of 2026.

  import ifmdm_jax.apps.opentalking_avatar    # once, where OpenTalking's models are imported

An avatar is a folder with reference.png, .jpg, .jpeg or .webp. A chunk of sound gives as many
frames as it lasts. Its end is drawn without knowing what comes next, so that long chunks are
better than short ones.
"""

import dataclasses
import pathlib
import threading
from typing import Any

import numpy as np
from opentalking.core.types.frames import VideoFrameData
from opentalking.models.registry import register_model

import ifmdm_jax as ifm
from ifmdm_jax.audio import waveform
from ifmdm_jax.errors import InputError
from ifmdm_jax.rates import FPS, SAMPLE_RATE
from ifmdm_jax.streaming.slots import Slots
from ifmdm_jax.streaming.timeline import Timeline
from ifmdm_jax.trust.mark import Marker

NAMES = 'reference.png', 'reference.jpg', 'reference.jpeg', 'reference.webp'


@dataclasses.dataclass
class State:
  """One avatar that is running.

  Attributes:
    extra: what OpenTalking keeps here.
  """

  slots: Slots
  who: int
  timeline: Timeline
  marker: Marker = dataclasses.field(default_factory=Marker)
  resting: list = dataclasses.field(default_factory=list)  # frames
  extra: dict = dataclasses.field(default_factory=dict)

  def windows(self, frames):
    """Makes frames uint8 [n, S, S, 3], exactly so many of them."""
    made = []
    while len(made) < frames:
      made += [frame for _, some in self.slots.step() for frame in some]
    first = self.timeline.done - len(made)
    self.slots.rewind(self.who, first + frames)
    self.timeline.rewind(first + frames)
    self.timeline.sounds.clear()
    return [self.marker.mark(f, (first + k) / FPS) for k, f in enumerate(made[:frames])]


@register_model('ifmdm')
class Adapter:
  """See OpenTalking's `ModelAdapter`."""

  model_type = 'ifmdm'

  def __init__(self, load=ifm.load):
    """`load`: () -> a sampler."""
    self._load, self._sampler, self._lock = load, None, threading.Lock()

  def load_model(self, device='cpu'):
    """Loads the weights; JAX chooses the device."""
    self._sampler = self._sampler or self._load()

  def load_avatar(self, avatar_path):
    """Reads the portrait in a folder: a `State`."""
    folder = pathlib.Path(avatar_path)
    found = [folder / name for name in NAMES if (folder / name).is_file()]
    if not found:
      raise InputError(
        f'expected one of {", ".join(NAMES)} in {folder}, found none: add a portrait'
      )
    self.load_model()
    slots = Slots(self._sampler, 1, self._sampler.live)
    timeline = Timeline(self._sampler.audio, slots.plan, SAMPLE_RATE)
    return State(slots, slots.join(ifm.read_portrait(found[0]), listener=timeline), timeline)

  def warmup(self):
    """Compiles."""
    self._sampler.warm(self._sampler.live)

  def extract_features(self, audio_chunk):
    """Returns the sound of a chunk, float32 [l] at 16 kHz; speech is encoded in `infer`."""
    sound = np.asarray(audio_chunk.data, np.int16).reshape(-1)
    return waveform.prepare(sound, audio_chunk.sample_rate)

  def infer(self, features, avatar_state) -> list[Any]:
    """Draws a chunk: uint8 RGB [S, S, 3], as many as it lasts, rounded up."""
    frames = -(-len(features) // avatar_state.timeline.hop)
    with self._lock:
      avatar_state.resting.clear()
      avatar_state.timeline.push(features)
      avatar_state.timeline.flush()
      return avatar_state.windows(frames)

  def compose_frame(self, avatar_state, frame_idx, prediction):
    """Returns a frame in OpenTalking's type, BGR."""
    height, width = prediction.shape[:2]
    data = np.ascontiguousarray(prediction[..., ::-1])
    return VideoFrameData(
      data=data, width=width, height=height, timestamp_ms=1000 * frame_idx / FPS
    )

  def idle_frame(self, avatar_state, frame_idx):
    """Returns the next frame of the face at rest."""
    with self._lock:
      if not avatar_state.resting:
        avatar_state.resting += avatar_state.windows(avatar_state.slots.plan.new)
      frame = avatar_state.resting.pop(0)
    return self.compose_frame(avatar_state, frame_idx, frame)
