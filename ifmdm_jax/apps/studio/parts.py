"""What the tabs of the studio share: their context, inputs, and how a page follows a job."""

import asyncio
import dataclasses
import functools
import importlib.metadata
import importlib.util
import pathlib
import shutil
from typing import Any

import gradio as gr

from ifmdm_jax.apps.studio import making, show
from ifmdm_jax.apps.studio.visits import Visits
from ifmdm_jax.apps.studio.work import Job, Model
from ifmdm_jax.audio import spoken

FIXTURES = pathlib.Path(__file__).resolve().parents[3] / 'data' / 'fixtures'
OFTEN = 0.12  # seconds between two looks at a job
RECORDING, TEXT = 'A recording', 'A text'
QUIET = dict(api_visibility='private', show_progress='hidden')  # of events
RESTS = "() => document.querySelector('{}')?.focus()"  # where the keyboard goes on
SEEN = """() => {
  const stage = document.querySelector('%s');
  if (stage && stage.getBoundingClientRect().top > innerHeight - 160)
    stage.scrollIntoView({block: 'center', behavior: 'smooth'});
}"""  # of a phone, where the stage lies under the buttons


@dataclasses.dataclass(frozen=True)
class Studio:
  """What all tabs work with.

  Attributes:
    model: `work.Model`.
    visits: `visits.Visits`.
    limits: `making.Limits`.
    checkpoint: name of the weights, or None.
    examples: folder with portrait.jpg and speech.wav.
  """

  model: Model
  visits: Visits
  limits: making.Limits = making.Limits()
  checkpoint: str | None = None
  examples: pathlib.Path = FIXTURES

  def example(self, name):
    """Returns the path of an example, or None where it is not installed."""
    path = self.examples / name
    return str(path) if path.is_file() else None

  def visit(self, request):
    """Returns the `visits.Visit` that a request belongs to."""
    return self.visits[request.session_hash]


def as_sent(component):
  """Makes a component hand on a file as it was sent: what reads it here says what is wrong with it.

  By no class of its own: Gradio would write a file beside the one that has the class.
  """
  component.preprocess = lambda payload: payload.path if payload else None
  return component


@functools.cache
def speaks():
  """Says whether a program that reads text aloud is installed."""
  return bool(
    importlib.metadata.entry_points(group=spoken.ENTRY_POINTS)
    or importlib.util.find_spec(spoken.HIBARI)
    or shutil.which(spoken.ESPEAK)
  )


class VoiceInput:
  """Asks for a voice: a file, the microphone, or a text where something here can speak."""

  def __init__(self, studio, name):
    """`name`: of the tab, in the page."""
    self.kind = gr.Radio(
      [RECORDING, TEXT], value=RECORDING, label='Voice from', visible=speaks(),
      elem_id=f'{name}-kind',
    )  # fmt: skip
    self.sound = gr.Audio(
      sources=['upload', 'microphone'], type='filepath', label='Voice', editable=False,
      elem_id=f'{name}-voice', buttons=[], waveform_options=dict(show_recording_waveform=True),
    )  # fmt: skip
    self.text = gr.Textbox(
      label='Text', lines=4, max_length=making.LONGEST_TEXT, visible=False,
      placeholder='What is said', elem_id=f'{name}-text',
    )  # fmt: skip
    self.sound.change(uploaded(studio), self.sound, queue=False, **QUIET)
    self.kind.change(
      lambda kind: [gr.update(visible=kind == RECORDING), gr.update(visible=kind == TEXT)],
      self.kind, [self.sound, self.text], queue=False, **QUIET,
    )  # fmt: skip

  @property
  def inputs(self):
    """Lists the components that `read` takes the values of."""
    return [self.kind, self.sound, self.text]


def read_voice(visit, kind, sound, text):
  """Returns the `making.Voice` that was given, or None."""
  visit.uses(sound)
  if kind == TEXT:
    return making.Voice(text=text) if (text or '').strip() else None
  return making.Voice(sound) if sound else None


def uploaded(studio):
  """Returns a handler of a file that has come, which then goes with its visit."""

  def uploaded(file, request: gr.Request):
    studio.visit(request).uses(file)

  return uploaded


class Result:
  """Shows what is made: the stage, the video, how to take it home."""

  def __init__(self, name):
    """`name`: of the tab, in the page."""
    self.name = name
    self.stage = gr.HTML(show.stage(), elem_id=f'{name}-stage')
    self.video = gr.Video(
      label='Video', show_label=False, visible=False, autoplay=True, buttons=[],
      elem_id=f'{name}-video',
    )  # fmt: skip
    self.take = gr.Radio([1], value=1, label='Take', visible=False, elem_id=f'{name}-take')
    self.download = gr.DownloadButton(
      'Download the video', visible=False, variant='primary', elem_id=f'{name}-download'
    )
    self.sheet = gr.DownloadButton(
      'Download the contact sheet', visible=False, elem_id=f'{name}-sheet', size='md'
    )
    self.said = gr.HTML('', elem_id=f'{name}-said')
    self.verify = gr.HTML('', elem_id=f'{name}-verify')

  @property
  def outputs(self):
    """Lists its components."""
    return [self.stage, self.video, self.take, self.download, self.sheet, self.said, self.verify]

  def cleared(self, resting=None):
    """Returns updates for the time before there is a video."""
    away = gr.update(visible=False, value=None)
    return {
      self.stage: gr.update(visible=True, value=show.stage(resting, 'What will be animated')),
      self.video: away, self.take: gr.update(visible=False), self.download: away,
      self.sheet: away, self.said: '', self.verify: '',
    }  # fmt: skip

  def finished(self, made, notes):
    """Returns updates that show a `making.Made`."""
    count = len(made.paths)
    done = f'Done: {made.seconds:.1f} s of video' + (f', {count} takes' if count > 1 else '')
    return {
      self.stage: gr.update(visible=False),
      self.take: gr.update(visible=count > 1, choices=list(range(1, count + 1)), value=1),
      self.sheet: gr.update(visible=made.sheet is not None, value=made.sheet and str(made.sheet)),
      self.said: show.lines(done, *notes) + show.parts(made.lines),
      **self.shown(made.paths[0]),
    }

  def shown(self, path):
    """Returns updates that show one video."""
    return {
      self.video: gr.update(visible=True, value=str(path)),
      self.download: gr.update(visible=True, value=str(path)),
      self.verify: show.verify(path.name),
    }


class Buttons:
  """The button that begins, and the one that stops while something is made."""

  def __init__(self, name, words, working):
    """`words`, `working`: of the button that begins, before and while something is made."""
    self.name, self.words, self.working = name, words, working
    with gr.Row(elem_classes='go'):
      self.begin = gr.Button(words, variant='primary', elem_id=f'{name}-make', scale=3)
      self.cancel = gr.Button(
        'Stop', variant='secondary', visible=False, elem_id=f'{name}-stop', scale=1
      )

  def busy(self, yes):
    """Returns updates for the time that something is made, or not."""
    return {
      self.begin: self.working if yes else self.words,
      self.cancel: gr.update(visible=yes),
    }

  def connect(self, studio, handler, inputs, outputs):
    """Begins and stops on clicks; see `follow`."""
    self.begin.click(handler, inputs, outputs, concurrency_limit=None, trigger_mode='once', **QUIET)
    self.begin.click(None, js=SEEN % f'#{self.name}-stage', **QUIET)
    stopped = self.cancel.click(_stop(studio), queue=False, **QUIET)
    stopped.then(None, js=RESTS.format(f'#{self.name}-make'), **QUIET)


def _stop(studio):
  def stop(request: gr.Request):
    studio.visit(request).stop()

  return stop


async def follow(studio, visit, buttons, result, make, resting=None, files=(), done=None):
  """Yields updates of a page while something is made for it, and when it is.

  Args:
    studio: `Studio`.
    visit: `visits.Visit` that it is for; what was made for it before ends.
    buttons, result: `Buttons` and `Result` of the tab.
    make: (job) -> `making.Made`.
    resting: picture uint8 [H, W, 3] for the time before the first frame, or None.
    files: whose paths may stand in a line that is said.
    done: called with the result.
  """
  visit.stop()
  visit.job = job = Job(studio.model, make)
  try:
    yield result.cleared(resting) | buttons.busy(True)
    before = ''
    while not job.finished.is_set():
      await asyncio.sleep(OFTEN)
      now = show.working(job, resting)
      if now != before:
        before = now
        yield {result.stage: now}
  finally:
    job.stop()  # the page was closed; where it has finished, nothing
  words = functools.partial(_in_words, files=files)
  if job.stopped:
    said = {result.said: show.lines('Stopped: nothing was kept')}
  elif job.error:
    said = {result.said: show.error(words(job.error))}
  else:
    if done is not None:
      done(job.result)
    said = result.finished(job.result, [words(note) for note in dict.fromkeys(job.notes)])
  yield result.cleared(resting) | buttons.busy(False) | said


def _in_words(line, files):
  return making.plain(line, *files)


def refuse(buttons, result, error, *files):
  """Returns updates that say why nothing can be made."""
  return buttons.busy(False) | {result.said: show.error(making.plain(str(error), *files))}


def anything(*components: Any):
  """Flattens lists of components into one."""
  flat = []
  for each in components:
    flat += each if isinstance(each, list) else [each]
  return flat
