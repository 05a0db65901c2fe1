"""Adapters do what their frameworks expect, and the examples of their page run as written."""

import asyncio
import importlib
import pathlib
import re
import sys
import types

import numpy as np
import pytest
from PIL import Image

import ifmdm_jax as ifm
from ifmdm_jax.errors import InputError
from ifmdm_jax.streaming.live import Live
from tests.apps import fakes

PAGE = pathlib.Path(__file__).parents[2] / 'docs' / 'apps.md'
ADAPTERS = 'livekit_avatar', 'pipecat_avatar', 'opentalking_avatar', 'comfyui_nodes'
RATE = 16_000


@pytest.fixture
def adapters(monkeypatch, sampler):
  """The adapters by name, imported over the stand-ins; `ifm.load` loads the tiny sampler."""
  fakes.install(monkeypatch, fakes.ALL)
  monkeypatch.setattr(ifm, 'load', lambda *_, **__: sampler)
  names = {name: f'ifmdm_jax.apps.{name}' for name in ADAPTERS}
  for name in names.values():
    monkeypatch.delitem(sys.modules, name, raising=False)
  fakes.MODELS.clear()
  yield types.SimpleNamespace(**{k: importlib.import_module(v) for k, v in names.items()})
  for name in names.values():
    sys.modules.pop(name, None)


def example(title):
  """Runs the example below a heading of the page; returns its names."""
  section = PAGE.read_text().split(f'## {title}\n')[1].split('\n## ')[0]
  names = {}
  exec(re.search(r'```python\n(.*?)```', section, re.DOTALL)[1], names)
  return names


def pcm(sound):
  return np.rint(sound * 32767).astype(np.int16)


async def until(condition, seconds=30):
  async with asyncio.timeout(seconds):
    while not condition():
      await asyncio.sleep(0.02)


def test_livekit_gets_pictures_always_and_sound_with_its_end_in_speech(adapters, image, voice):
  sent = pcm(voice(0.8, rate=24_000))

  async def main():
    room, agent = [], types.SimpleNamespace(output=types.SimpleNamespace(audio=None))
    runner = await example('LiveKit Agents')['show'](room, agent, image)
    await until(lambda: len(room) > 5)
    assert all(isinstance(frame, fakes.VideoFrame) for frame in room)  # silent
    frame = fakes.AudioFrame(sent.tobytes(), 24_000, 1, len(sent))
    for each in (frame, fakes.AudioSegmentEnd()):
      agent.output.audio.queue.put_nowait(each)
    await until(lambda: any(isinstance(frame, fakes.AudioSegmentEnd) for frame in room))
    for task in runner.tasks:
      task.cancel()
    await runner.generator.session.live.close()
    return room

  room = asyncio.run(main())
  sound = [frame for frame in room if isinstance(frame, fakes.AudioFrame)]
  heard = np.frombuffer(b''.join(frame.data for frame in sound), np.int16)
  assert np.abs(heard.astype(int) - sent).max() <= 1
  assert sum(isinstance(frame, fakes.AudioSegmentEnd) for frame in room) == 1
  picture = room[0]
  assert len(picture.data) == 3 * picture.width * picture.height == image.size


def test_livekit_is_silent_once_its_buffer_is_cleared(adapters, image, voice):
  async def main():
    live = Live(ifm.load())
    avatar = adapters.livekit_avatar.Avatar(await live.session(image, rate=RATE))
    sound = pcm(voice(10.0))
    await avatar.push_audio(fakes.AudioFrame(sound.tobytes(), RATE, 1, len(sound)))
    kinds = []
    async for frame in avatar:
      kinds.append(type(frame).__name__)
      if kinds.count('AudioFrame') == 5:
        await avatar.clear_buffer()
      if len(kinds) > 40:
        break
    await live.close()
    return kinds

  kinds = asyncio.run(main())
  assert kinds.count('AudioFrame') == 5 and 'AudioSegmentEnd' not in kinds


def service(adapters, live, image, act):
  """Runs act(avatar) with Pipecat's service; returns what it sent."""

  async def main():
    avatar = adapters.pipecat_avatar.Avatar(live, image, rate=RATE)
    await avatar.setup(None)
    await act(avatar)
    await avatar.stop(None)
    await avatar.cleanup()
    await live.close()
    return avatar

  return asyncio.run(main())


def test_pipecat_holds_the_end_of_speech_until_its_last_frame(adapters, image, voice):
  sent = pcm(voice(0.8))

  async def act(avatar):
    for block in np.split(sent, 8):
      await avatar.process_frame(fakes.TTSAudioRawFrame(block.tobytes(), RATE, 1), 1)
    await avatar.process_frame(fakes.TTSStoppedFrame(), 1)
    await until(lambda: any(isinstance(frame, fakes.TTSStoppedFrame) for frame in avatar.sent))

  frames = service(adapters, Live(ifm.load()), image, act).sent
  sound = [k for k, frame in enumerate(frames) if isinstance(frame, fakes.TTSAudioRawFrame)]
  stopped = [k for k, frame in enumerate(frames) if isinstance(frame, fakes.TTSStoppedFrame)]
  heard = np.frombuffer(b''.join(frames[k].audio for k in sound), np.int16)
  assert np.abs(heard.astype(int) - sent).max() <= 1
  assert len(stopped) == 1 and stopped[0] > sound[-1]
  # Each piece of sound comes after its picture, which waits for the sound before it.
  assert all(frames[k - 1].sync_with_audio for k in sound)


def test_pipecat_is_interrupted_and_other_frames_pass(adapters, image, voice):
  async def act(avatar):
    sound = pcm(voice(20.0))
    await avatar.process_frame(fakes.TTSAudioRawFrame(sound.tobytes(), RATE, 1), 1)
    await until(lambda: any(isinstance(f, fakes.TTSAudioRawFrame) for f in avatar.sent))
    await avatar.process_frame(fakes.TTSStoppedFrame(), 1)
    await avatar.process_frame(fakes.InterruptionFrame(), 1)
    count = len(avatar.sent)
    await until(lambda: len(avatar.sent) > count + 10)
    assert not any(isinstance(f, fakes.TTSAudioRawFrame) for f in avatar.sent[count + 1 :])
    assert sum(isinstance(f, fakes.TTSStoppedFrame) for f in avatar.sent) == 1
    await avatar.process_frame('text', 1)
    assert 'text' in avatar.sent

  service(adapters, Live(ifm.load()), image, act)


def test_pipecat_speaks_on_where_the_avatar_fails(adapters, image, voice):
  full = Live(ifm.load())
  asyncio.run(full.close())
  frame = fakes.TTSAudioRawFrame(pcm(voice(0.2)).tobytes(), RATE, 1)

  async def act(avatar):
    for each in (frame, fakes.TTSStoppedFrame()):
      await avatar.process_frame(each, 1)

  avatar = service(adapters, full, image, act)
  assert avatar.sent[0] is frame and isinstance(avatar.sent[1], fakes.TTSStoppedFrame)
  assert 'has been closed' in avatar.errors[0]


def test_pipecats_example_places_the_avatar_after_speech(adapters, image):
  ends = types.SimpleNamespace(input=lambda: 'in', output=lambda: 'out')
  made = example('Pipecat')['talking'](ends, 'stt', 'llm', 'tts', image)
  assert [made[k] for k in (0, 1, 2, 3, 5)] == ['in', 'stt', 'llm', 'tts', 'out']
  assert isinstance(made[4], adapters.pipecat_avatar.Avatar)


@pytest.fixture
def square(monkeypatch, image):
  """Portraits are taken as they are: noise has no face."""
  monkeypatch.setattr(ifm, 'read_portrait', lambda path: np.asarray(Image.open(path))[..., :3])
  return image


def test_opentalking_gets_as_many_frames_as_a_chunk_lasts(adapters, square, voice, tmp_path):
  Image.fromarray(square).save(tmp_path / 'reference.png')
  chunk = fakes.AudioChunk(pcm(voice(1.12, rate=24_000)), 24_000)
  frames = example('OpenTalking')['frames'](tmp_path, chunk)
  assert len(frames) == 28 and frames[1].timestamp_ms == 40
  assert frames[0].data.shape == square.shape and frames[0].data.dtype == np.uint8

  adapter = adapters.opentalking_avatar.Adapter()
  state = adapter.load_avatar(tmp_path)
  for _ in range(2):  # motion goes on from one chunk to the next, and at rest
    assert len(adapter.infer(adapter.extract_features(chunk), state)) == 28
    idle = np.stack([adapter.idle_frame(state, k).data for k in range(8)]).astype(int)
    assert np.abs(np.diff(idle, axis=0)).max() > 0
  with pytest.raises(InputError, match='reference.png'):
    adapter.load_avatar(tmp_path / 'empty')


def test_comfyui_makes_frames_of_an_image_and_a_voice(adapters, square, voice):
  (node,) = asyncio.run(asyncio.run(example('ComfyUI')['comfy_entrypoint']()).get_node_list())
  schema = node.define_schema()
  assert [args[0] for args, _ in schema.inputs] == [
    'portrait', 'voice', 'liveliness', 'mouth', 'seed'
  ]  # fmt: skip
  portrait = fakes.Tensor(np.float32(square)[None] / 255)
  sound = {'waveform': fakes.Tensor(voice(1.0)[None, None]), 'sample_rate': RATE}
  frames, same, fps = node.execute(portrait, sound, liveliness=0.5, seed=3)
  assert frames.array.shape == (25, *square.shape) and frames.array.dtype == np.float32
  assert 0 <= frames.array.min() and frames.array.max() <= 1 and fps == 25 and same is sound
  pair = fakes.Tensor(np.repeat(portrait.array, 2, axis=0))
  with pytest.raises(InputError, match='one picture and one voice, got 2 and 1'):
    node.execute(pair, sound)


@pytest.mark.parametrize('package', ['livekit.agents', 'pipecat'])
def test_real_base_classes_accept_the_adapters(package):
  pytest.importorskip(package, reason=f'{package} is not installed')
  name = {'livekit.agents': 'livekit_avatar', 'pipecat': 'pipecat_avatar'}[package]
  module = importlib.import_module(f'ifmdm_jax.apps.{name}')
  assert not getattr(module.Avatar, '__abstractmethods__', ())
