"""The tab Talk: a portrait and a voice become a video."""

import functools

import gradio as gr

from ifmdm_jax import read
from ifmdm_jax.apps.studio import making, show
from ifmdm_jax.apps.studio.parts import (
  QUIET,
  RECORDING,
  Buttons,
  Result,
  VoiceInput,
  anything,
  as_sent,
  follow,
  read_voice,
  refuse,
)  # fmt: skip
from ifmdm_jax.errors import InputError, notes_to
from ifmdm_jax.face.crop import cut
from ifmdm_jax.face.detect import FaceDetector
from ifmdm_jax.video import image as images

CAMERA, FREE = 'On the camera', 'Free'
CLICKS = """element.addEventListener('click', event => {
  const face = event.target.closest('[data-face]');
  if (face) trigger('click', {face: Number(face.dataset.face)});
});"""


def build(studio):
  """Builds the tab.

  Args:
    studio: `parts.Studio`.
  """
  with gr.Row(equal_height=False, elem_classes='work'):
    with gr.Column(scale=5, min_width=300):
      portrait = as_sent(gr.Image(
        label='Portrait', type='filepath', image_mode=None, sources=['upload', 'webcam'],
        height=220, elem_id='talk-portrait', buttons=[], alt_text='The portrait',
      ))  # fmt: skip
      faces = gr.HTML('', visible=False, js_on_load=CLICKS, elem_id='talk-faces')
      face = gr.Radio([1], value=1, label='Face', visible=False, elem_id='talk-face')
      voice = VoiceInput(studio, 'talk')
      example = gr.Button(
        'Use the example portrait and voice', size='sm', elem_id='talk-example',
        elem_classes='quiet', visible=bool(studio.example('portrait.jpg')),
      )  # fmt: skip
      with gr.Accordion('Performance', open=False, elem_id='talk-knobs'):
        knobs = _knobs()
      whole = knobs.pop('whole')
      consent = gr.Checkbox(
        label='I may animate this face and use this voice', elem_id='talk-consent'
      )
      buttons = Buttons('talk', 'Make the video', 'Making …')
    with gr.Column(scale=6, min_width=300, elem_classes='result'):
      result = Result('talk')

  names = list(knobs)
  inputs = anything(portrait, whole, face, voice.inputs, list(knobs.values()), consent)

  async def make(request: gr.Request, portrait, whole, face, kind, sound, text, *rest):
    visit, values = studio.visit(request), dict(zip(names, rest))
    try:
      given = read_voice(visit, kind, sound, text)
      making.check(rest[-1], portrait=portrait, voice=given)
      picture = _read(portrait, whole)
      square, count = _square(picture, portrait, whole, face)
    except InputError as error:
      yield refuse(buttons, result, error, portrait, sound)
      return

    def kept(made):
      visit.made, visit.results = made.paths[0], made.paths

    work = functools.partial(
      making.video, model=studio.model, visit=visit, limits=studio.limits, portrait=portrait,
      voice=given, whole=whole, face=face if count > 1 else None, seed=int(values['seed'] or 0),
      count=int(values['takes']), checkpoint=studio.checkpoint, **_chosen(values),
    )  # fmt: skip
    resting = cut(picture, square)
    files = portrait, sound
    async for updates in follow(studio, visit, buttons, result, work, resting, files, kept):
      yield updates

  def pictured(portrait, whole, request: gr.Request):
    studio.visit(request).uses(portrait)
    return _pictured(portrait, whole, 1)

  def _pictured(portrait, whole, chosen):
    hidden = {faces: gr.update(visible=False), face: gr.update(visible=False, value=1)}
    if not portrait:
      return result.cleared() | hidden
    try:
      picture = _read(portrait, whole)
      boxes = [] if whole else _boxes(picture)
      several = len(boxes) > 1
      if several:
        drawn = show.faces(picture, [each.box for each in boxes], chosen)
        hidden = {
          faces: gr.update(visible=True, value=drawn),
          face: gr.update(visible=True, choices=list(range(1, len(boxes) + 1)), value=chosen),
        }
      square, _ = _square(picture, portrait, whole, chosen)
    except InputError as error:
      line = show.error(making.plain(str(error), portrait))
      return result.cleared() | hidden | {result.said: line}
    return result.cleared(cut(picture, square)) | hidden

  def clicked(event: gr.EventData):
    return event.face

  def taken(number, request: gr.Request):
    return result.shown(studio.visit(request).results[number - 1])

  shown = anything(result.outputs, faces, face)
  portrait.change(pictured, [portrait, whole], shown, **QUIET)
  whole.input(pictured, [portrait, whole], shown, **QUIET)
  face.input(_pictured, [portrait, whole, face], shown, **QUIET)
  faces.click(clicked, None, face, **QUIET).then(_pictured, [portrait, whole, face], shown, **QUIET)
  result.take.input(taken, result.take, [result.video, result.download, result.verify], **QUIET)
  example.click(
    lambda: [studio.example('portrait.jpg'), studio.example('speech.wav'), RECORDING],
    None, [portrait, voice.sound, voice.kind], **QUIET,
  )  # fmt: skip
  buttons.connect(studio, make, inputs, anything(result.outputs, [buttons.begin, buttons.cancel]))


def _knobs():
  """Builds the controls of a performance: {option: component}."""

  def slide(low, high, value, label, info=None, step=0.1):
    return gr.Slider(low, high, value, step=step, label=label, info=info, buttons=[])

  knobs = dict(
    liveliness=slide(0, 2, 1, 'Liveliness', 'Of head, lids and brows; at 0 the lips alone move'),
    head=slide(0, 2, 1, 'Head', 'How far it moves'),
    mouth=slide(0, 2, 1, 'Mouth', 'How far it opens'),
    gaze=gr.Radio([FREE, CAMERA], value=FREE, label='Gaze'),
    often=gr.Checkbox(True, label='Blink as people do', elem_id='talk-often'),
    blinks=slide(0, 60, 0, 'Blinks a minute', 'Where the box above is not ticked', 1),
  )
  with gr.Accordion('Pose', open=False, elem_id='talk-pose'):
    knobs |= dict(
      sideways=slide(-2, 2, 0, 'To the side', 'Where the head rests'),
      down=slide(-2, 2, 0, 'Down', 'Where the head rests'),
      tilt=slide(-2, 2, 0, 'Tilt', 'Where the head rests'),
    )
  return knobs | dict(
    seed=gr.Number(0, precision=0, minimum=0, maximum=2**31 - 1, label='Seed',
                   info='The same seed gives the same video'),
    takes=slide(1, making.MOST_TAKES, 1, 'Takes', 'Different performances at once', 1),
    whole=gr.Checkbox(label='Use the whole picture', info='A square portrait, uncut'),
  )  # fmt: skip


def _chosen(values):
  """Turns what the controls say into options of `making.video`."""
  return dict(
    motion_std=values['liveliness'], head=values['head'], mouth=values['mouth'],
    blinks_per_minute=None if values['often'] else float(values['blinks']),
    gaze='camera' if values['gaze'] == CAMERA else 'free',
    motion_mean=(values['sideways'], values['down'], values['tilt']),
  )  # fmt: skip


def _read(portrait, whole):
  """Reads a picture, uint8 [H, W, 3]."""
  crop = 'none' if whole else 'auto'
  if crop == 'none':
    return read.read_picture(portrait, crop=crop, max_pixels=making.MAX_PIXELS).pixels
  return images.read_image(portrait, making.MAX_PIXELS)


def _boxes(picture):
  """Finds the faces of a picture, the largest first."""
  return FaceDetector(smallest=read.SMALLEST_FACE)(picture)


def _square(picture, name, whole, face):
  """Finds the square that moves, and how many faces there are."""
  if whole:
    return (0, 0, picture.shape[0]), 1
  count = len(_boxes(picture))
  with notes_to(lambda line: None):  # they are said once, with the video
    return read.find_square(picture, int(face or 1) if count > 1 else None, name), count
