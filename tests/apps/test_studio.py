"""The studio in a real browser, used as a person would: by clicks, by keys, on a phone, at night.

STUDIO_PICTURES=docs python -m pytest tests/apps/test_studio.py    makes those of docs/studio.md
"""

import io
import os
import re
import signal
import subprocess
import sys
import time

import av
import cv2
import numpy as np
import pytest
import soundfile
from PIL import Image

from ifmdm_jax.errors import InputError
from ifmdm_jax.trust import report
from tests.apps import pages
from tests.apps.pages import FIXTURES, Page

PICTURES = os.environ.get('STUDIO_PICTURES')
PHONE = dict(viewport={'width': 390, 'height': 844}, device_scale_factor=2, is_mobile=True,
             has_touch=True)  # fmt: skip


@pytest.fixture(scope='module')
def browser():
  yield from pages.browser()


@pytest.fixture(scope='module')
def shared(browser, tmp_path_factory):
  """One studio for all tests of a stand-in."""
  from ifmdm_jax.apps.studio import parts  # an extra

  with pytest.MonkeyPatch.context() as patch:
    patch.setenv('GRADIO_TEMP_DIR', '')
    patch.setattr(parts, 'speaks', lambda: True)
    served = pages.Served(tmp_path_factory.mktemp('studio'))
    yield served
    served.close()


@pytest.fixture
def studio(shared):
  """It, with nothing open and nothing in it."""
  pages.until(lambda: not shared.files('made/**/*'))
  shared.painter.__init__()
  return shared


@pytest.fixture(scope='module')
def inputs(tmp_path_factory):
  """A folder with short.wav, long.wav, two.jpg (two people), wall.png and broken.jpg."""
  folder = tmp_path_factory.mktemp('inputs')
  speech, rate = soundfile.read(FIXTURES / 'speech.wav')
  soundfile.write(folder / 'short.wav', speech[: rate * 2], rate)
  soundfile.write(folder / 'long.wav', np.tile(speech, 20), rate)
  one = np.asarray(Image.open(FIXTURES / 'portrait.jpg').convert('RGB'))
  other = cv2.resize(one[:, ::-1], (400, 400))
  other = cv2.copyMakeBorder(other, 112, 0, 0, 0, cv2.BORDER_REPLICATE)
  Image.fromarray(np.concatenate([one, other], 1)).save(folder / 'two.jpg')
  Image.new('RGB', (300, 300), 'teal').save(folder / 'wall.png')
  (folder / 'broken.jpg').write_text('no picture')
  return folder


def picture(page, name, **options):
  """Keeps a picture of the page for the manual, where that is asked for."""
  if PICTURES:
    page.mouse.move(0, 0)
    time.sleep(0.7)  # transitions
    shot = Image.open(io.BytesIO(page.screenshot(**options))).convert('RGB')
    shot.save(os.path.join(PICTURES, f'studio_{name}.jpg'), quality=80, optimize=True)


def downloaded(page, path, button='#talk-download'):
  with page.expect_download() as download:
    page.click(button)
  download.value.save_as(path)
  assert download.value.suggested_filename.endswith('.mp4')
  with av.open(str(path)) as container:
    frames = sum(1 for _ in container.decode(video=0))
    assert container.streams.audio
  return frames


def make(page):
  page.click('#talk-make')
  page.wait_for_selector('#talk-download')


def test_the_command_makes_the_example_and_a_dub_by_clicks(
  browser, inputs, tmp_path, record_property
):
  began = time.monotonic()
  command = [sys.executable, '-m', 'ifmdm_jax.studio', '--port', '0']
  with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=pages.ROOT, text=True) as server:
    try:
      address = re.search(r'http://127.0.0.1:\d+/', server.stdout.readline())[0]
      with Page(browser, address) as page:
        picture(page, 'empty')
        pages.ready(page)
        picture(page, 'talk')
        page.click('#talk-make')
        page.wait_for_selector('#talk-stage progress[value]')
        seen = set()
        while not page.is_visible('#talk-download'):
          seen.add(page.evaluate("document.querySelector('#talk-stage img')?.src"))
          if len(seen) == 8:
            picture(page, 'drawing')
        assert len(seen) > 3, 'frames are shown while they are drawn'
        assert pages.said(page) == 'Done: 6.8 s of video'
        assert '-m ifmdm_jax.verify portrait_speech.mp4' in page.inner_text('#talk-verify')
        plays = "document.querySelector('#talk-video video').readyState >= 2"
        page.wait_for_function(plays)
        picture(page, 'made')
        assert downloaded(page, tmp_path / 'made.mp4') == 170
        assert report.examine(tmp_path / 'made.mp4')['verdict'] == report.SYNTHETIC
        example = time.monotonic() - began

        pages.go_to(page, 'Dub')
        page.click('#dub-last')
        page.click('#dub-example')
        page.wait_for_selector('#dub-voice button[aria-label="Play"]')
        page.check('#dub-consent input')
        page.click('#dub-make')
        page.wait_for_selector('#dub-download')
        assert 'new lips' in page.inner_text('#dub-said .parts')
        page.wait_for_function(plays.replace('talk', 'dub'))
        picture(page, 'dub')
        assert downloaded(page, tmp_path / 'dubbed.mp4', '#dub-download') == 170
        assert report.examine(tmp_path / 'dubbed.mp4')['verdict'] == report.SYNTHETIC

        pages.go_to(page, 'Live')
        page.click('#live-make')
        assert 'Pick a portrait' in page.inner_text('#live-said')
        page.click('#live-example')
        page.click('#live-make')
        assert 'Tick that you may' in page.inner_text('#live-said')
        page.check('#live-consent')
        page.click('#live-make')
        page.wait_for_function("document.querySelector('#live-video').videoWidth == 512")
        assert page.inner_text('#live-said') == 'Speak: the portrait says it.'
        moves = "document.querySelector('#live-video').currentTime"
        first = page.evaluate(moves)
        page.wait_for_function(f'{moves} > {first} + 2')
        picture(page, 'live')
        page.click('#live-make')
        page.wait_for_function("document.querySelector('#live-video').srcObject === null")
        whole = time.monotonic() - began

        page.set_input_files('#live-portrait', inputs / 'two.jpg')
        page.click('#live-make')
        page.get_by_text('2 faces are in the picture: pick one').wait_for()
        page.select_option('#live-face', '2')
        page.click('#live-make')
        page.wait_for_function(f"document.querySelector('#live-video').srcObject && {moves} > 0")
        assert page.inner_text('#live-said') == 'Speak: the portrait says it.'
        page.click('#live-make')
        page.wait_for_function("document.querySelector('#live-video').srcObject === null")
        record_property('took', f'studio: the example by clicks in Chromium {example:.1f} s, '
                        f'with a dub and a live session {whole:.1f} s')  # fmt: skip
    finally:
      server.send_signal(signal.SIGINT)
      try:
        assert server.wait(30) in (0, 130)
      finally:
        server.kill()


def test_nothing_is_made_without_consent(browser, studio, inputs):
  with Page(browser, studio.address) as page:
    pages.ready(page, voice=inputs / 'short.wav')
    page.uncheck('#talk-consent input')
    page.click('#talk-make')
    assert pages.said(page).startswith('Expected your consent')
    pages.go_to(page, 'Dub')
    page.click('#dub-make')
    assert pages.said(page, 'dub').startswith('Expected a film')
    page.click('#dub-last')
    page.get_by_text('make one first').wait_for()
  assert not studio.painter.images


def test_by_keyboard_alone_in_the_order_of_the_page(browser, studio):
  name = """() => { const here = document.activeElement;
    return here.id || here.getAttribute('aria-label') || here.closest('label')?.innerText
      || here.innerText; }"""
  with Page(browser, studio.address) as page:
    stops = []
    while 'talk-make' not in stops:
      page.keyboard.press('Tab')
      stops.append(page.evaluate(name).strip().split('\n')[0])
      assert len(stops) < 30 and stops[-1], stops
      if stops[-1] == 'talk-example':
        page.keyboard.press('Enter')
        page.wait_for_selector('#talk-stage img')
        page.wait_for_selector('#talk-voice button[aria-label="Play"]')
      if stops[-1] == 'I may animate this face and use this voice':
        page.keyboard.press('Space')
    asked = [stops.index(each) for each in
             ('Talk', 'Upload file', 'talk-example', 'Performance', 'talk-make')]  # fmt: skip
    assert asked == sorted(asked)
    page.keyboard.press('Enter')
    page.wait_for_selector('#talk-download')
    assert page.evaluate('document.activeElement.id') == 'talk-make'
    unnamed = page.eval_on_selector_all(
      'button, input, textarea, img',
      """all => all.filter(each => each.offsetParent && !(each.alt || each.title
        || each.getAttribute('aria-label') || each.innerText || each.labels?.length
        || each.closest('label')?.innerText)).map(each => each.outerHTML)""",
    )
    assert not unnamed


@pytest.mark.parametrize('theme', ['light', 'dark'])
def test_a_phone_shows_all_of_it_without_sideways_scrolling(browser, studio, theme):
  with Page(browser, f'{studio.address}?__theme={theme}', **PHONE) as page:
    pages.ready(page)
    picture(page, f'phone_{theme}')
    page.click('#talk-knobs > button')
    page.click('#talk-pose > button')
    width = 'Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)'
    assert page.evaluate(width) == 390
    beyond = "[...document.querySelectorAll('button, input')].filter(each => each.offsetParent &&"
    assert not page.evaluate(f'{beyond} each.getBoundingClientRect().right > 391).length')
    make(page)
    assert page.evaluate(width) == 390
    pages.go_to(page, 'Dub')
    page.click('#dub-knobs > button')
    assert page.evaluate(width) == 390
    shades = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert('L'))
    assert (np.median(shades) < 60) == (theme == 'dark')


def test_of_several_faces_one_is_picked(browser, studio, inputs):
  with Page(browser, studio.address) as page:
    pages.ready(page, inputs / 'two.jpg', inputs / 'short.wav')
    assert len(page.query_selector_all('.faces [data-face]')) == 2
    page.click('.faces [data-face="2"]')
    page.wait_for_selector('.faces [data-face="2"].chosen')
    picture(page, 'faces')
    make(page)
    page.focus('#talk-face input[value="1"]')
    page.keyboard.press('Space')
    page.wait_for_selector('.faces [data-face="1"].chosen')
    page.wait_for_selector('#talk-stage img')
    make(page)
  second, first = studio.painter.images
  away = lambda a, b: np.abs(a.astype(int) - b).mean()
  assert away(second, first) > 20 and away(second, first[:, ::-1]) < 12  # the one is the other's


def test_stop_ends_the_work_and_leaves_no_file(browser, studio):
  studio.painter.pace = 0.05
  with Page(browser, studio.address) as page:
    pages.ready(page)
    page.click('#talk-make')
    page.wait_for_selector('#talk-stage progress[value]')
    page.click('#talk-stop')
    assert pages.said(page) == 'Stopped: nothing was kept'
    page.wait_for_selector('#talk-stop', state='hidden')
    page.wait_for_function("document.activeElement.id == 'talk-make'")
    assert not studio.files('made/**/*')
    studio.painter.pace = 0
    make(page)
    assert studio.files('made/**/*') == ['portrait_speech.mp4']


def test_what_cannot_be_used_is_one_line(browser, studio, inputs):
  with Page(browser, studio.address) as page:
    for name, line in [('broken.jpg', 'broken.jpg cannot be read'), ('wall.png', 'shows none')]:
      page.set_input_files('#talk-portrait input[type=file]', inputs / name)
      page.wait_for_selector(f'#talk-said .line.error:has-text("{line}")')
      assert str(studio.folder) not in pages.said(page) and '--' not in pages.said(page)
      page.click('#talk-portrait button[aria-label="Remove Image"]')
      page.wait_for_selector('#talk-said .line.error', state='detached')
    pages.ready(page, voice=inputs / 'long.wav')
    page.click('#talk-make')
    page.get_by_text('Expected a voice of 120 s at most').wait_for()
    picture(page, 'error')
    pages.ready(page, voice=inputs / 'short.wav')
    for fails, line in [(InputError('expected --mouth to be less'), 'Expected mouth to be less'),
                        (RuntimeError('a bug'), 'Something went wrong in the studio')]:  # fmt: skip
      studio.painter.fails = fails
      page.click('#talk-make')
      page.get_by_text(line).wait_for()
    assert 'a bug' not in page.content() and 'Traceback' not in page.content()
    assert not studio.files('made/**/*')


def test_takes_and_knobs(browser, studio, inputs):
  with Page(browser, studio.address) as page:
    pages.ready(page, voice=inputs / 'short.wav')
    page.click('#talk-knobs > button')
    picture(page, 'knobs', full_page=True)
    page.get_by_label('number input for Takes').fill('2')
    page.get_by_label('number input for Liveliness').fill('0.5')
    page.get_by_label('On the camera').check()
    page.get_by_label('Seed').fill('7')
    page.get_by_label('Seed').press('Tab')
    make(page)
    page.check('#talk-take input[value="2"]')
    page.get_by_text('portrait_short_take2.mp4').wait_for()
    assert page.is_visible('#talk-sheet')
  asked = dict(motion_std=0.5, gaze='camera')
  assert studio.painter.options == [dict(seed=7, **asked), dict(seed=8, **asked)]


def test_a_voice_from_the_microphone(browser, studio):
  with Page(browser, studio.address) as page:
    page.set_input_files('#talk-portrait input[type=file]', FIXTURES / 'portrait.jpg')
    page.wait_for_selector('#talk-stage img')
    page.click('#talk-voice button[aria-label="Record audio"]')
    page.click('#talk-voice button:has-text("Record")')
    time.sleep(1.5)  # of sound
    page.locator('#talk-voice button:has-text("Stop"):visible').first.click()
    page.wait_for_selector('#talk-voice button[aria-label="Play"]')
    page.check('#talk-consent input')
    make(page)
    assert re.match(r'Done: [12]\.\d s of video', pages.said(page))


def test_a_text_is_spoken(browser, studio, monkeypatch):
  from ifmdm_jax.apps.studio import making  # an extra

  texts = []

  def write(path, text, **_):
    texts.append(text)
    soundfile.write(path, np.zeros(16_000), 16_000)

  monkeypatch.setattr(making.spoken, 'write', write)
  with Page(browser, studio.address) as page:
    pages.ready(page)
    page.check('#talk-kind input[value="A text"]')
    page.fill('#talk-text textarea', 'Good morning.')
    make(page)
    assert 'portrait_spoken.mp4' in page.inner_text('#talk-verify')
  assert texts == ['Good morning.']


def test_one_video_at_a_time(browser, studio, inputs):
  studio.painter.pace = 0.1
  with Page(browser, studio.address) as page, Page(browser, studio.address) as other:
    for each in (page, other):
      pages.ready(each, voice=inputs / 'short.wav')
    page.click('#talk-make')
    page.wait_for_selector('#talk-stage progress[value]')
    other.click('#talk-make')
    other.get_by_text('Waiting for another video: 1 before yours').wait_for()
    assert len(studio.painter.images) == 1
    studio.painter.pace = 0
    for each in (page, other):
      each.wait_for_selector('#talk-download')
  assert len(studio.painter.images) == 2


def test_a_closed_page_takes_its_files_and_its_work_with_it(browser, studio, inputs):
  studio.painter.pace = 0.05
  with Page(browser, studio.address) as page:
    pages.ready(page, inputs / 'two.jpg', inputs / 'short.wav')
    page.click('#talk-make')
    page.wait_for_selector('#talk-stage progress[value]')
    assert {'two.jpg', 'short.wav'} <= set(studio.files())
  pages.until(lambda: not {'two.jpg', 'short.wav'} & set(studio.files()))
  pages.until(lambda: not studio.files('made/**/*'))
