"""Stand-ins for the frameworks that adapters plug into: as much of them as an adapter touches."""

import abc
import asyncio
import dataclasses
import enum
import sys
import types


def install(monkeypatch, modules):
  """Puts modules {dotted name: {name: value}} where `import` finds them."""
  for name, content in modules.items():
    parts = name.split('.')
    for k in range(1, len(parts) + 1):
      dotted = '.'.join(parts[:k])
      if dotted not in sys.modules or dotted == name:
        monkeypatch.setitem(sys.modules, dotted, types.ModuleType(dotted))
    for key, value in content.items():
      setattr(sys.modules[name], key, value)
    for k in range(1, len(parts)):
      parent, child = '.'.join(parts[:k]), '.'.join(parts[: k + 1])
      setattr(sys.modules[parent], parts[k], sys.modules[child])


# LiveKit


class VideoBufferType(enum.IntEnum):
  RGBA, RGB24 = 0, 4


@dataclasses.dataclass
class VideoFrame:
  width: int
  height: int
  type: int
  data: bytes


@dataclasses.dataclass
class AudioFrame:
  data: bytes
  sample_rate: int
  num_channels: int
  samples_per_channel: int


class AudioSegmentEnd:
  pass


@dataclasses.dataclass
class AvatarOptions:
  video_width: int
  video_height: int
  video_fps: float
  audio_sample_rate: int
  audio_channels: int


class VideoGenerator(abc.ABC):
  @abc.abstractmethod
  async def push_audio(self, frame): ...

  @abc.abstractmethod
  def clear_buffer(self): ...

  @abc.abstractmethod
  def __aiter__(self): ...


class QueueAudioOutput:
  def __init__(self, sample_rate):
    self.sample_rate, self.queue = sample_rate, asyncio.Queue()


class AvatarRunner:
  """Moves sound in and frames out, as the real one does."""

  def __init__(self, room, *, audio_recv, video_gen, options):
    assert options.audio_sample_rate == audio_recv.sample_rate
    self.room, self.voice, self.generator = room, audio_recv, video_gen

  async def start(self):
    async def listen():
      while True:
        await self.generator.push_audio(await self.voice.queue.get())

    async def show():
      async for frame in self.generator:
        self.room.append(frame)

    self.tasks = [asyncio.create_task(listen()), asyncio.create_task(show())]


LIVEKIT = {
  'livekit.rtc': dict(
    VideoBufferType=VideoBufferType, VideoFrame=VideoFrame, AudioFrame=AudioFrame
  ),
  'livekit.agents.voice.avatar': dict(
    AudioSegmentEnd=AudioSegmentEnd, AvatarOptions=AvatarOptions, VideoGenerator=VideoGenerator,
    AvatarRunner=AvatarRunner, QueueAudioOutput=QueueAudioOutput,
  ),
}  # fmt: skip


# Pipecat


class InterruptionFrame:
  pass


class TTSStoppedFrame:
  pass


@dataclasses.dataclass
class TTSAudioRawFrame:
  audio: bytes
  sample_rate: int
  num_channels: int


@dataclasses.dataclass
class OutputImageRawFrame:
  image: bytes
  size: tuple
  format: str
  sync_with_audio: bool = False


class AIService:
  def __init__(self, **_):
    self.sent, self.errors = [], []

  async def setup(self, setup): ...
  async def stop(self, frame): ...
  async def cancel(self, frame): ...
  async def cleanup(self): ...
  async def process_frame(self, frame, direction): ...

  async def push_frame(self, frame, direction=1):
    self.sent.append(frame)

  async def push_error(self, error_msg, exception):
    self.errors.append(error_msg)

  def create_task(self, coroutine):
    return asyncio.create_task(coroutine)

  async def cancel_task(self, task):
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


PIPECAT = {
  'pipecat.frames.frames': dict(
    InterruptionFrame=InterruptionFrame, TTSStoppedFrame=TTSStoppedFrame,
    TTSAudioRawFrame=TTSAudioRawFrame, OutputImageRawFrame=OutputImageRawFrame,
  ),
  'pipecat.services.ai_service': dict(AIService=AIService),
  'pipecat.services.settings': dict(ServiceSettings=dict),
  'pipecat.pipeline.pipeline': dict(Pipeline=list),
}  # fmt: skip


# OpenTalking


@dataclasses.dataclass
class VideoFrameData:
  data: object
  width: int
  height: int
  timestamp_ms: float


@dataclasses.dataclass
class AudioChunk:
  data: object
  sample_rate: int
  duration_ms: float = 0.0


MODELS = {}


def register_model(name):
  return lambda kind: MODELS.setdefault(name, kind)


OPENTALKING = {
  'opentalking.core.types.frames': dict(VideoFrameData=VideoFrameData, AudioChunk=AudioChunk),
  'opentalking.models.registry': dict(
    register_model=register_model, get_adapter=lambda name: MODELS[name]()
  ),
}


# ComfyUI, and as much of PyTorch as its node needs


class Kind:
  """A kind of socket: Input and Output keep what they are given."""

  Input = Output = staticmethod(lambda *args, **kwargs: (args, kwargs))


class Tensor:
  """An array with PyTorch's names."""

  def __init__(self, array):
    self.array = array

  def __len__(self):
    return len(self.array)

  def __getitem__(self, key):
    return Tensor(self.array[key])

  def cpu(self):
    return self

  def numpy(self):
    return self.array


class NodeOutput(tuple):
  def __new__(cls, *values):
    return super().__new__(cls, values)


IO = types.SimpleNamespace(
  ComfyNode=object, Schema=types.SimpleNamespace, NodeOutput=NodeOutput,
  Image=Kind, Audio=Kind, Float=Kind, Int=Kind,
)  # fmt: skip
COMFYUI = {
  'comfy_api.latest': dict(ComfyExtension=object, io=IO),
  'torch': dict(from_numpy=Tensor),
}
ALL = LIVEKIT | PIPECAT | OPENTALKING | COMFYUI
