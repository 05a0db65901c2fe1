"""The studio as an ASGI application, beside whose page other routes can stand."""

import contextlib
import os
import pathlib
import tempfile

import fastapi
import gradio as gr
import uvicorn

from ifmdm_jax.apps.studio import dub_tab, look, talk_tab
from ifmdm_jax.apps.studio.gate import Gate
from ifmdm_jax.apps.studio.making import Limits
from ifmdm_jax.apps.studio.parts import FIXTURES, Studio
from ifmdm_jax.apps.studio.visits import OLDEST, Visits
from ifmdm_jax.server.gate import LOOPBACK

FREQUENCY = 60  # seconds between two looks for old files


def blocks(studio, tabs=()):
  """Builds the page.

  Args:
    studio: `parts.Studio`.
    tabs: further ones, (name, function of the studio that builds it).

  Returns:
    `gradio.Blocks`.
  """
  with gr.Blocks(title='Studio', analytics_enabled=False, delete_cache=(FREQUENCY, OLDEST)) as page:
    gr.HTML(look.HEAD)
    with gr.Tabs(elem_id='tabs'):
      for name, build in [('Talk', talk_tab.build), ('Dub', dub_tab.build), *tabs]:
        with gr.Tab(name, id=name.lower()):
          build(studio)
    gr.HTML(look.FOOT)

    def closed(request: gr.Request):
      studio.visits.close(request.session_hash)

    page.unload(closed)
  return page


def application(
  model, folder, *, limits=None, checkpoint=None, token=None, hosts=LOOPBACK, routes=None,
  tabs=(), examples=FIXTURES,
):  # fmt: skip
  """Builds the application.

  Args:
    model: `work.Model`.
    folder: for what is uploaded and made; it should be empty, and go with the process.
    limits: `making.Limits`; None: the usual ones.
    checkpoint: name of the weights, or None.
    token, hosts: see `gate.Gate`.
    routes: a function of the `fastapi.FastAPI` that adds routes, which come before the page.
    tabs: see `blocks`.
    examples: folder with portrait.jpg and speech.wav.

  Returns:
    An ASGI application.
  """
  folder = pathlib.Path(folder).resolve()
  os.environ['GRADIO_TEMP_DIR'] = str(folder)
  studio = Studio(model, Visits(folder), limits or Limits(), checkpoint, pathlib.Path(examples))
  page = blocks(studio, tabs)
  app = fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
  if routes is not None:
    routes(app)
  gr.mount_gradio_app(
    app, page, path='/', footer_links=[], run_history=False, show_error=False, ssr_mode=False,
    max_file_size=f'{studio.limits.megabytes}mb', mcp_server=False, pwa=False,
    enable_monitoring=False, theme=look.theme(), css_paths=[look.CSS], js=look.JS,
  )  # fmt: skip
  page.has_launched = True  # else a mounted page may be sent names of files that nobody uploaded
  return Gate(app, token, hosts)


@contextlib.contextmanager
def folder():
  """Makes a folder for uploads, and removes it with all that is in it."""
  with tempfile.TemporaryDirectory(prefix='ifmdm_studio_', ignore_cleanup_errors=True) as path:
    yield path


def serve(app, host, port, ready):
  """Serves an application until it is stopped.

  Args:
    app: of `application`.
    host, port: where; 0 is any free port.
    ready: called with the port when it can be reached.

  Returns:
    Whether it could be.
  """
  config = uvicorn.Config(
    app, host, port, log_level='critical', timeout_graceful_shutdown=3, server_header=False
  )
  server = Server(config, ready)
  try:
    server.run()
  except SystemExit:  # of uvicorn, where it cannot listen
    if server.started:
      raise
  return server.started


class Server(uvicorn.Server):
  """Says when it can be reached."""

  def __init__(self, config, ready):
    """`ready`: called with the port."""
    super().__init__(config)
    self._ready = ready

  async def startup(self, sockets=None):
    """Begins to listen."""
    await super().startup(sockets)
    if self.started:
      self._ready(self.servers[0].sockets[0].getsockname()[1])
