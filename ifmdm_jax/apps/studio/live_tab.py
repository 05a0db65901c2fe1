"""The tab Live: a microphone speaks through a portrait, by WebRTC, in the page."""

import asyncio
import pathlib

import gradio as gr

from ifmdm_jax.errors import InputError
from ifmdm_jax.server.gate import LOOPBACK
from ifmdm_jax.server.limits import Limits
from ifmdm_jax.server.routes import application
from ifmdm_jax.server.state import State
from ifmdm_jax.streaming.live import Live
from ifmdm_jax.streaming.slots import Streamable

PATH = '/live'  # of the routes that the page asks
MOST = 2  # sessions at once
SCRIPT = pathlib.Path(__file__).with_name('live.js')
PAGE = """
<div class="live" data-path="{path}" data-example="{example}">
  <div class="controls">
    <label class="pick">Portrait <input type="file" id="live-portrait" accept="image/*"></label>
    <label class="pick" hidden>Face, the largest first <select id="live-face"></select></label>
    <button type="button" id="live-example" class="quiet" {hidden}>Use the example portrait</button>
    <label class="tick"><input type="checkbox" id="live-consent">
      I may animate this face and use this voice</label>
    <label class="tick"><input type="checkbox" id="live-sound">
      Play the voice as well (with headphones, or it comes back)</label>
    <label>Liveliness
      <input type="range" id="live-lively" min="0" max="2" step="0.1" value="1"></label>
    <button type="button" id="live-make" class="start">Start</button>
    <p id="live-said" role="status" aria-live="polite"></p>
  </div>
  <video id="live-video" autoplay playsinline muted aria-label="The avatar"></video>
</div>
"""


class Door:
  """The server's application, begun when somebody first asks for it: it needs the model."""

  def __init__(self, model, portraits=None, hosts=LOOPBACK):
    """Prepares.

    Args:
      model: `work.Model`.
      portraits: folder of pictures that may be named.
      hosts: names that it answers to; None: any.
    """
    self._model, self._portraits, self._hosts = model, portraits, hosts
    self._app, self._lock = None, asyncio.Lock()

  async def __call__(self, scope, receive, send):
    """Answers a request."""
    async with self._lock:
      if self._app is None:
        self._app = await asyncio.to_thread(self._begin)
    await self._app(scope, receive, send)

  def _begin(self):
    generator = self._model.get()
    if not isinstance(generator, Streamable):
      raise InputError(
        f'expected weights that stream, {generator.name} cannot: take another --checkpoint'
      )
    live = Live(generator, MOST)
    live.warm()
    state = State(live, portraits=self._portraits, limits=Limits())
    return application(state, hosts=self._hosts)


def build(studio):
  """Builds the tab.

  Args:
    studio: `parts.Studio`.
  """
  example = studio.example('portrait.jpg')
  filled = PAGE.format(
    path=PATH, example='portrait' if example else '', hidden='' if example else 'hidden'
  )
  gr.HTML(filled, js_on_load=SCRIPT.read_text(encoding='utf-8'), elem_id='live')
