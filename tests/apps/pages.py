"""A real browser, a studio that is served, and a generator that works as fast as a test wants."""

import os
import pathlib
import shutil
import threading
import time

import numpy as np
import pytest

from ifmdm_jax.shot import Painted

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = ROOT / 'data' / 'fixtures'
PROGRAM = '/usr/bin/chromium'
WORDS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
         '--disable-background-networking', '--disable-component-update', '--disable-sync',
         '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream']  # fmt: skip
PATIENCE = 120_000  # milliseconds: the machine of a test may be busy


def browser():
  """Yields a headless Chromium; skips the test, and says why, where there is none."""
  sync_api = pytest.importorskip('playwright.sync_api', reason='playwright: pip install playwright')
  pytest.importorskip('gradio', reason="the studio needs the extra: pip install -e '.[demo]'")
  if not os.path.exists(PROGRAM):
    pytest.skip(f'no {PROGRAM}: apt-get install chromium')
  with sync_api.sync_playwright() as playwright:
    started = playwright.chromium.launch(executable_path=PROGRAM, args=WORDS)
    yield started
    started.close()


class Page:
  """A page that remembers what it asked for and what went wrong in it."""

  def __init__(self, browser, address, **context):
    self.context = browser.new_context(**({'viewport': {'width': 1280, 'height': 900}} | context))
    self.context.set_default_timeout(PATIENCE)
    self.page, self.asked, self.wrong = self.context.new_page(), [], []
    self.page.on('request', lambda request: self.asked.append(request.url))
    self.page.on('pageerror', lambda error: self.wrong.append(str(error)))
    self.page.on('console', self._console)
    self.page.goto(address)
    self.page.wait_for_selector('#talk-make')

  def _console(self, message):
    if message.type == 'error':
      self.wrong.append(f'{message.text} {message.location}')

  def __enter__(self):
    return self.page

  def __exit__(self, kind, *_):
    self.context.close()
    if kind is None:
      outside = [url for url in self.asked if '127.0.0.1' not in url and url[:5] != 'data:']
      assert not outside and not self.wrong, f'asked {outside}; wrong {self.wrong}'


def go_to(page, tab):
  """Opens a tab by its name."""
  page.get_by_role('tab', name=tab).click()
  page.wait_for_selector(f'#{tab.lower()}-make')


def ready(page, portrait=None, voice=None):
  """Fills the tab Talk in, and agrees."""
  if portrait is None:
    page.click('#talk-example')
  else:
    page.set_input_files('#talk-portrait input[type=file]', portrait)
  page.wait_for_selector('#talk-stage img')
  if voice is not None:
    if page.query_selector('#talk-voice button[aria-label="Clear"]'):
      page.click('#talk-voice button[aria-label="Clear"]')
    page.set_input_files('#talk-voice input[type=file]', voice)
  page.wait_for_selector('#talk-voice button[aria-label="Play"]')
  page.check('#talk-consent input')


def said(page, tab='talk'):
  """Waits for a line that a tab says, and returns it."""
  return page.wait_for_selector(f'#{tab}-said .line').inner_text()


def until(true, seconds=60):
  """Waits until something is true."""
  end = time.monotonic() + seconds
  while not true():
    assert time.monotonic() < end, 'it did not come'
    time.sleep(0.05)


class Painter:
  """A generator whose frames are the portrait, brighter and brighter.

  Attributes:
    pace: seconds a frame.
    images, options: what it was given.
  """

  name, needs, size, fps = 'painter', frozenset({'image', 'voice'}), 128, 25.0

  def __init__(self):
    self.pace, self.images, self.options, self.fails = 0.0, [], [], None

  def generate(self, clip, *, seed=0, **options):
    self.images.append(clip.image)
    self.options.append(dict(seed=seed, **options))
    for number in range(clip.num_frames):
      if self.fails:
        raise self.fails
      time.sleep(self.pace)
      small = clip.image[::4, ::4]
      yield np.clip(small.astype(int) + number % 50, 0, 255).astype(np.uint8)[None]

  def dub(self, shot, *, seed=0, **options):
    for frames in shot.blocks():
      mask = np.zeros(frames.shape[:3], np.float32)
      mask[:, 64:96, 40:90] = 1
      time.sleep(self.pace * len(frames))
      yield Painted(255 - frames, mask)


class Served:
  """The studio with `Painter`, served by this process.

  Attributes:
    address: of the page.
    folder: with what is uploaded and made.
    painter: the `Painter`.
  """

  def __init__(self, folder, **options):
    import uvicorn  # an extra

    from ifmdm_jax.apps.studio import app, work  # an extra

    self.folder, self.painter = pathlib.Path(folder).resolve(), Painter()
    made = app.application(work.Model(lambda: self.painter), self.folder, **options)
    found, come = [], threading.Event()

    def ready(port):
      found.append(port)
      come.set()

    config = uvicorn.Config(made, '127.0.0.1', 0, log_level='error', timeout_graceful_shutdown=1)
    self.server = app.Server(config, ready)
    self.thread = threading.Thread(target=self.server.run, daemon=True)
    self.thread.start()
    assert come.wait(60)
    self.port = found[0]
    self.address = f'http://127.0.0.1:{self.port}/'

  def files(self, pattern='*'):
    """Lists the names of files that lie there."""
    while True:
      try:
        return sorted(path.name for path in self.folder.rglob(pattern) if path.is_file())
      except FileNotFoundError:  # a folder went meanwhile
        pass

  def close(self):
    self.server.should_exit = True
    self.thread.join(30)
    shutil.rmtree(self.folder, ignore_errors=True)
