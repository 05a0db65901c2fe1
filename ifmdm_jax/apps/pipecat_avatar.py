"""Pipecat: an avatar between the speech of a pipeline and its transport; package pipecat-ai 1.14.

  avatar = Avatar(live, portrait)
  pipeline = Pipeline([transport.input(), stt, llm, tts, avatar, transport.output()])

The transport: `video_out_enabled=True, video_out_is_live=True, video_out_framerate=25`, and the
sampler's side as `video_out_width` and `video_out_height`.
"""

import asyncio

import numpy as np
from pipecat.frames.frames import (
  InterruptionFrame,
  OutputImageRawFrame,
  TTSAudioRawFrame,
  TTSStoppedFrame,
)
from pipecat.services.ai_service import AIService
from pipecat.services.settings import ServiceSettings


class Avatar(AIService):
  """Takes speech away from the pipeline and gives it back frame by frame, with its pictures.

  Where the avatar fails, an error goes down the pipeline and speech passes as it is.
  """

  def __init__(self, live, portrait, *, rate=24_000, seed=0, options=None, **kwargs):
    """Prepares.

    Args:
      live: a `streaming.live.Live`.
      portrait: uint8 RGB [R, R, 3].
      rate: Hz, of the sound that comes out.
      seed: of the motion.
      options: of the session, {name: value}.
      kwargs: of `AIService`.
    """
    super().__init__(settings=ServiceSettings(model=None), **kwargs)
    self._begin = lambda: live.session(portrait, rate=rate, seed=seed, **(options or {}))
    self._rate, self._session, self._frames = rate, None, None
    self._stopped = asyncio.Queue()  # ends of speech that wait for their last frame

  async def setup(self, setup):
    """Begins the session."""
    await super().setup(setup)
    try:
      self._session = await self._begin()
    except Exception as error:
      await self._fail(error)
      return
    self._frames = self.create_task(self._send())

  async def stop(self, frame):
    """Ends with the pipeline."""
    await super().stop(frame)
    await self._close()

  async def cancel(self, frame):
    """Ends at once."""
    await super().cancel(frame)
    await self._close()

  async def cleanup(self):
    """Frees what is left."""
    await super().cleanup()
    await self._close()

  async def process_frame(self, frame, direction):
    """Takes speech, its end and interruptions; all else passes."""
    await super().process_frame(frame, direction)
    if self._session is not None:
      try:
        if isinstance(frame, TTSAudioRawFrame):
          pcm = np.frombuffer(frame.audio, np.int16).reshape(-1, frame.num_channels)
          await self._session.push_audio(pcm, frame.sample_rate)
          return
        if isinstance(frame, TTSStoppedFrame) and self._session.busy:
          self._stopped.put_nowait((frame, direction))
          await self._session.flush()
          return
        if isinstance(frame, InterruptionFrame):
          await self._session.interrupt()
          await self._release()
      except Exception as error:
        await self._fail(error)
    await self.push_frame(frame, direction)

  async def _send(self):
    """Sends pictures all the time, and sound while there is speech."""
    try:
      async for frame in self._session:
        height, width = frame.image.shape[:2]
        picture = OutputImageRawFrame(frame.image.tobytes(), (width, height), 'RGB')
        picture.sync_with_audio = frame.speaking
        await self.push_frame(picture)
        if frame.speaking:
          await self.push_frame(TTSAudioRawFrame(frame.audio.tobytes(), self._rate, 1))
        if frame.end_of_speech and not self._stopped.empty():
          await self.push_frame(*self._stopped.get_nowait())
    except Exception as error:
      await self._fail(error)

  async def _fail(self, error):
    """Gives the avatar up: speech goes on without it."""
    self._session = None
    await self._release()
    await self.push_error(error_msg=f'no avatar: {error}', exception=error)

  async def _release(self):
    """Passes on the ends of speech that no frame will bring."""
    while not self._stopped.empty():
      await self.push_frame(*self._stopped.get_nowait())

  async def _close(self):
    session, self._session = self._session, None
    if session is not None:
      await session.close()
    task, self._frames = self._frames, None
    if task is not None:
      await self.cancel_task(task)
