"""LiveKit Agents: an avatar for `AvatarRunner`; package livekit-agents 1.8.

  session = await live.session(portrait, rate=24_000)
  avatar = Avatar(session)
  runner = AvatarRunner(room, audio_recv=audio, video_gen=avatar, options=avatar.options())
  await runner.start()

`audio` is a `QueueAudioOutput` of the same process, or a `DataStreamAudioReceiver` of another one.
"""

import numpy as np
from livekit import rtc
from livekit.agents.voice.avatar import AudioSegmentEnd, AvatarOptions, VideoGenerator

from ifmdm_jax.rates import FPS


class Avatar(VideoGenerator):
  """Draws an agent's voice: pictures all the time, sound while it speaks."""

  def __init__(self, session):
    """`session`: a `streaming.session.Session`."""
    self.session = session

  def options(self):
    """Returns the `AvatarOptions` of a runner."""
    side = self.session.live.sampler.size
    return AvatarOptions(
      video_width=side,
      video_height=side,
      video_fps=FPS,
      audio_sample_rate=self.session.timeline.rate,
      audio_channels=1,
    )

  async def push_audio(self, frame):
    """Takes an `rtc.AudioFrame`, or an `AudioSegmentEnd`."""
    if isinstance(frame, AudioSegmentEnd):
      await self.session.flush()
      return
    pcm = np.frombuffer(frame.data, np.int16).reshape(-1, frame.num_channels)
    await self.session.push_audio(pcm, frame.sample_rate)

  async def clear_buffer(self):
    """Breaks off what is spoken."""
    await self.session.interrupt()

  async def __aiter__(self):
    """Yields `rtc.VideoFrame`s, each with its `rtc.AudioFrame` in speech, and the ends of it."""
    rate = self.session.timeline.rate
    async for frame in self.session:
      height, width = frame.image.shape[:2]
      yield rtc.VideoFrame(width, height, rtc.VideoBufferType.RGB24, frame.image.tobytes())
      if frame.speaking:
        yield rtc.AudioFrame(frame.audio.tobytes(), rate, 1, len(frame.audio))
        if frame.end_of_speech:  # of what was broken off the runner knows already
          yield AudioSegmentEnd()
