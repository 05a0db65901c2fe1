"""The tab Dub: a film and another voice become the film with new lips."""

import functools

import gradio as gr

from ifmdm_jax.apps.studio import making
from ifmdm_jax.apps.studio.parts import (
  QUIET,
  RECORDING,
  Buttons,
  Result,
  VoiceInput,
  anything,
  follow,
  read_voice,
  refuse,
  uploaded,
)  # fmt: skip
from ifmdm_jax.errors import InputError
from ifmdm_jax.video import read as films

WHO = {'Seen most': None, 'Speaking': 'speaking', 'On the left': 'left', 'On the right': 'right',
       'Largest': 'largest'}  # fmt: skip
LONGER = {'Hold the last frame': 'hold', 'Begin anew': 'loop', 'Go back and forth': 'pingpong',
          'Cut the voice': 'cut'}  # fmt: skip


def build(studio):
  """Builds the tab.

  Args:
    studio: `parts.Studio`.
  """
  with gr.Row(equal_height=False, elem_classes='work'):
    with gr.Column(scale=5, min_width=300):
      film = gr.Video(label='Film', sources=['upload'], height=220, elem_id='dub-film', buttons=[])
      last = gr.Button(
        'Use the video from Talk', size='sm', elem_id='dub-last', elem_classes='quiet'
      )
      voice = VoiceInput(studio, 'dub')
      example = gr.Button(
        'Use the example voice', size='sm', elem_id='dub-example', elem_classes='quiet',
        visible=bool(studio.example('speech.wav')),
      )  # fmt: skip
      with gr.Accordion('How', open=False, elem_id='dub-knobs'):
        who = gr.Radio(list(WHO), value='Seen most', label='Whose lips', info='Of several people')
        longer = gr.Radio(list(LONGER), value='Hold the last frame',
                          label='Where the voice is longer')  # fmt: skip
        stretch = gr.Checkbox(label='Bring the voice to the length of the film',
                              info='By 12 % at most; its pitch stays')  # fmt: skip
        seed = gr.Number(0, precision=0, minimum=0, maximum=2**31 - 1, label='Seed')
      consent = gr.Checkbox(
        label='The person has agreed to be dubbed, and I may use film and voice',
        elem_id='dub-consent',
      )
      buttons = Buttons('dub', 'Dub the film', 'Dubbing …')
    with gr.Column(scale=6, min_width=300, elem_classes='result'):
      result = Result('dub')

  inputs = anything(film, voice.inputs, who, longer, stretch, seed, consent)

  async def make(request: gr.Request, film, kind, sound, text, who, longer, stretch, seed, consent):
    visit = studio.visit(request)
    try:
      given = read_voice(visit, kind, sound, text)
      making.check(consent, film=film, voice=given)
      first = next(iter(films.frames(film)), None)
    except InputError as error:
      yield refuse(buttons, result, error, film, sound)
      return
    work = functools.partial(
      making.dub, model=studio.model, visit=visit, limits=studio.limits, film=film, voice=given,
      who=WHO[who], longer=LONGER[longer], stretch=stretch, seed=int(seed or 0),
      checkpoint=studio.checkpoint,
    )  # fmt: skip
    async for updates in follow(studio, visit, buttons, result, work, first, (film, sound)):
      yield updates

  def from_talk(request: gr.Request):
    made = studio.visit(request).made
    if made is None:
      line = InputError('expected a video of the tab Talk, there is none yet: make one first')
      return refuse(buttons, result, line) | {film: gr.skip()}
    return {film: str(made), result.said: ''}

  film.change(uploaded(studio), film, queue=False, **QUIET)
  last.click(from_talk, None, [film, result.said, buttons.begin, buttons.cancel], **QUIET)
  example.click(
    lambda: [studio.example('speech.wav'), RECORDING], None,
    [voice.sound, voice.kind], **QUIET,
  )  # fmt: skip
  buttons.connect(studio, make, inputs, anything(result.outputs, [buttons.begin, buttons.cancel]))
