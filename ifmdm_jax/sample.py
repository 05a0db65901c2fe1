"""A portrait and a voice, or a film of somebody else, become a video.

  python -m ifmdm_jax.sample --image portrait.jpg --audio speech.wav
  python -m ifmdm_jax.sample --image portrait.jpg --audio speech.wav --output out/talk.mp4
  python -m ifmdm_jax.sample --image portrait.jpg --drive film.mp4 --output out/driven.mp4

The picture: JPEG, PNG, WebP, AVIF, HEIC and more, any size, one clearly visible, upright face. It
is cut to a square around the face; --paste_back puts the moving square back into the whole picture.
The sound: any file that FFmpeg decodes, a video's too; it decides how long the result is (25 frames
per second) and is kept as it was recorded. Same seed, same video. With --drive the largest face of
a film is what the portrait moves like, and the film's sound is kept. Weights that know a person may
need no picture.

  livelier, or calm (the lips still move)        --motion_std 1.3      --motion_std 0
  part by part, 1 as it is made, 0 still         --head 0.5 --mouth 1.2 --expression 0 --brows 2
  a pose by the names of its directions          --motion_mean pose_1=0.5,brows_2=-1
  without control, as in the paper's Table 1     --motion_mean none --motion_std none
  blinks, and eyes that stay on the camera       --blinks_per_minute 15 --gaze camera
  a lasting smile, by names of face units        --unit mouthSmileLeft=0.3,mouthSmileRight=0.3
  several people in the picture                  --face 2              (1 is the largest face)
  a square portrait, to be used as it is         --crop none
  weights of your own                            --checkpoint runs/motion
  by a video model all, or what no pixel shows   --checkpoint runs/clips --stage fill
  a text in place of the voice                   --text "Good morning." --voice emma
  by VLOGGER's motion: head, gaze, blinks        --system vlogger
  five different performances, and a sheet       --takes 5
  by names: held, or moved less (vlogger)        --pin jawOpen=0 --scale head=0.5,gaze=0
  a film that shows the person of the portrait   --same_person
  a track of face units: ARKit, Audio2Face       --drive track.csv --audio a.wav --system vlogger
  the same of FLAME's numbers                    --drive track.npz --flame runs/flame
  whose shape drawn landmarks have (few-shot)    --retarget mean_shape    (none, similarity)
  another sound track of a film                  --track 2            (1 is the first)
  hours of sound, in memory that does not grow   --stream
  compiled programs elsewhere, or not kept       --compile_cache DIR   --compile_cache none
  a notice in the first two seconds, or spoken   --label               --spoken_label
  your own certificate, a stamp of the time      --sign cert.pem,key.pem  --time_authority URL
  without the signature and the mark             --no_provenance
  ten thousand jobs, resumed after any stop      --batch jobs.csv --output DIR
  every portrait of a folder with every voice    --batch portraits/ --audio voices/ --output DIR
  the same on a cluster                          --runner FlinkRunner

The result says that it is synthetic, in a signed manifest, in its pixels and in its metadata:
`python -m ifmdm_jax.verify talk.mp4`. Animate only faces you may animate.
Bad input ends in one line, exit status 2 and no file. A batch: docs/batch.md; it ends with 0 where
all videos are there, 1 where some failed (DIR/report.csv says why), 2 where none was begun.
"""

import contextlib
import functools
import pathlib
import sys
import tempfile

from absl import flags

import ifmdm_jax as ifm
from ifmdm_jax import bundle, compile_cache, drive, errors, files, takes, talk
from ifmdm_jax.audio import spoken
from ifmdm_jax.batch import command
from ifmdm_jax.batch.cells import by_name, numbers
from ifmdm_jax.errors import SHARED, InputError
from ifmdm_jax.face import retarget
from ifmdm_jax.rates import FPS
from ifmdm_jax.track import SUFFIXES
from ifmdm_jax.trust import flags as provenance
from ifmdm_jax.video import image

# fmt: off
string, integer, real, boolean, words, enum, several = (
  functools.partial(define, **SHARED) for define in (
  flags.DEFINE_string, flags.DEFINE_integer, flags.DEFINE_float, flags.DEFINE_bool,
  flags.DEFINE_list, flags.DEFINE_enum, flags.DEFINE_multi_string))
IMAGE = string('image', None, 'The portrait.')
AUDIO = string('audio', None, 'The voice: a sound file, or a video with sound.')
TEXT = string('text', None, 'Instead of a voice: what is spoken, by --speaker.')
SPEAKER = string('speaker', None, 'Who reads --text: hibari (extra tts), espeak-ng, or another '
                 'that is installed; default: the first of them.')
VOICE = string('voice', '', 'Which voice of the speaker; default: as it advises.')
DRIVE = string('drive', None, 'Instead of a voice: a film whose face the portrait moves like, or a '
               'track of face units: *.csv, *.json, *.npz.')
DRIVE_FPS = real('drive_fps', None, 'Moments a second of that track; default: as its file says.')
FLAME = string('flame', None, 'The track is of FLAME: the folder that import_weights wrote.')
SAME_PERSON = boolean('same_person', False, 'The film of --drive shows the person of the picture.')
RETARGET = enum('retarget', None, retarget.KINDS, 'How landmarks of --drive become the person\'s: '
                'not, in size and place, or in shape as well; weights that draw landmarks.')
OUTPUT = string('output', None, 'The video to write, *.mp4; default: beside the voice or film.')
CHECKPOINT = string('checkpoint', None, 'Folder of weights; default: the bundled.')
SYSTEM = string('system', None, 'Whose bundled weights: ifmdm or vlogger; default: ifmdm.')
DRAWN_BY = string('drawn_by', None, 'Weights that draw what vlogger moves, as those of a person '
                  'that adapt learned; default: the bundled.')
TAKES = integer('takes', 1, 'Performances, by seeds that follow each other; with a contact sheet.',
                lower_bound=1, upper_bound=takes.MOST)
SEED = integer('seed', 0, 'Of the motion; the same seed gives the same video.')
TEACHER = boolean('teacher', False, 'The undistilled network: slower, any --steps and --guidance.')
STEPS = integer('steps', None, 'Diffusion steps; default: as the weights advise.', lower_bound=1)
GUIDANCE = real('guidance', None, 'How strictly the motion follows the voice, 1 and more.')
MOTION_MEAN = words('motion_mean', None, 'Offset of the pose: one number, one each, some by name.')
HEAD, MOUTH, EXPRESSION, BROWS = (
  real(name, None, f'How much {what} move: 1 as it is made, 0 not at all, up to 2.')
  for name, what in (('head', 'the head may'), ('mouth', 'the lips'),
                     ('expression', 'lids and brows'), ('brows', 'the brows')))
BLINKS = real('blinks_per_minute', None, 'From 0 to 60; default: as often as people do.')
UNIT = several('unit', None, 'Lasting shape by face units, NAME=NUMBER from -1 to 1; repeatable.')
PIN = several('pin', None, 'Numbers of the motion that are held, NAME=NUMBER; repeatable; vlogger.')
SCALE = several('scale', None, 'How much they move, NAME=FACTOR, 1 as made; repeatable; vlogger.')
STAGE = string('stage', None, 'controls, warp: pixels of the picture alone, or paint; with weights '
               'of a video model fill: by it what no pixel shows, or diffusion: all; vlogger.')
SHOW_CONTROLS = boolean('show_controls', False, 'Also write what the motion of vlogger is of a '
                        'body: *_controls.mp4.')
GAZE = string('gaze', None, 'free: eyes shift now and then; camera: they stay as in the portrait.')
MOTION_STD = string('motion_std', None, 'Liveliness, 1 is natural, 0 moves lips alone; or none.')
CROP = enum('crop', 'auto', ['auto', 'none'], 'A square around the face, or the picture as it is.')
FACE = integer('face', None, 'Which face, 1 is the largest.', lower_bound=1)
TRACK = integer('track', None, 'Which sound track of the voice\'s file; default: as it says.',
                lower_bound=1)
MAX_PIXELS = integer('max_pixels', image.MAX_PIXELS, 'Of a picture that is read.', lower_bound=1)
PASTE_BACK = boolean('paste_back', False, 'Put the moving square back into the picture.')
STREAM = boolean('stream', False, 'Take the sound as a live one, block by block: bounded memory, '
                 '160 ms of look-ahead with the bundled weights.')
COMPILE_CACHE = string('compile_cache', None, 'Folder for compiled programs, or none; default: '
                       "in the user's cache folder.")
OVERWRITE = boolean('overwrite', False, 'Replace an existing output.')
BATCH = string('batch', None, 'A table of jobs (CSV), or a folder of portraits for every voice of '
               '--audio, a folder or file; other flags are for jobs that do not say it themselves.')
WORKERS = integer('workers', None, 'Processes of --batch; 0: this one; default: one for each core, '
                  'or one where there is an accelerator.', lower_bound=0)
RUNNER = string('runner', 'none', 'none: this machine; or DirectRunner, FlinkRunner, SparkRunner, '
                'DataflowRunner or another of Apache Beam, for --batch (extra beam).')
BEAM_OPTIONS = words('beam_pipeline_options', None, 'Further ones of that runner.')
# fmt: on
flags.adopt_module_key_flags(provenance)


KNOBS = STEPS, GUIDANCE, HEAD, MOUTH, EXPRESSION, BROWS, BLINKS, GAZE
BY_NAME = UNIT, PIN, SCALE
OF_TEXT = SPEAKER, VOICE
OF_TRACK = DRIVE_FPS, FLAME
OF_VOICE = (*KNOBS, *BY_NAME, *OF_TEXT, SEED, TEACHER, MOTION_MEAN, MOTION_STD, STREAM, TRACK,
            TAKES, SHOW_CONTROLS)  # fmt: skip


def main(_):
  if BATCH.value is not None:
    sys.exit(batched())
  for flag in (WORKERS, RUNNER, BEAM_OPTIONS):
    if flag.present:
      raise InputError(f'expected --{flag.name} with --batch, got it without: leave it out')
  by_units = DRIVE.value is not None and DRIVE.value.lower().endswith(SUFFIXES)
  drivers = [flag for flag in (AUDIO, TEXT, DRIVE) if flag.value is not None]
  if by_units and AUDIO.value is not None:
    drivers.remove(AUDIO)  # whose sound the video gets
  if len(drivers) > 1:
    raise InputError(
      f'expected --audio, --text or --drive, got --{drivers[0].name} and --{drivers[1].name}: '
      'one of them drives'
    )
  if IMAGE.value is None and CHECKPOINT.value is None:  # which may know a person
    raise InputError('expected --image and --audio, got no --image: --help shows an example')
  if not drivers:
    raise InputError('expected --image and --audio, got no --audio: --help shows an example')
  if PASTE_BACK.value and STAGE.value == 'controls':
    raise InputError('expected --paste_back with a stage that draws the portrait: leave it out')
  compile_cache.keep(COMPILE_CACHE.value)
  made = talked if DRIVE.value is None else enacted if by_units else driven
  for result in made():
    print(
      f'{result.path}: {result.frames / FPS:.2f} s of video ({result.frames} frames), made in '
      f'{result.seconds:.1f} s, {result.frames / result.seconds:.1f} frames per second'
    )


def driven():
  """Makes the video that a film drives."""
  given = [flag.name for flag in OF_VOICE if flag.present]
  if given:
    raise InputError(f'expected --{given[0]} with --audio, got it with --drive: leave it out')
  for flag in OF_TRACK:
    if flag.present:
      raise InputError(
        f'expected --{flag.name} with a track of face units, got a film: leave it out'
      )
  options = {flag.name: flag.value for flag in (RETARGET, STAGE) if flag.value is not None}
  return [drive.make(
    DRIVE.value, OUTPUT.value, IMAGE.value, weights(), load=load_options(), own=SAME_PERSON.value,
    crop=CROP.value, face=FACE.value, max_pixels=MAX_PIXELS.value, paste_back=PASTE_BACK.value,
    overwrite=OVERWRITE.value, provenance=provenance.chosen(), **options,
  )]  # fmt: skip


def enacted():
  """Makes the video that a track of face units drives."""
  for flag in (*OF_VOICE, SAME_PERSON, RETARGET):
    if flag.present and (flag is not TRACK or AUDIO.value is None):  # which is of the sound
      raise InputError(f'expected --{flag.name} without a track of face units: leave it out')
  options = {} if STAGE.value is None else {'stage': STAGE.value}
  return [drive.enact(
    DRIVE.value, OUTPUT.value, IMAGE.value, weights(), load=load_options(), sound=AUDIO.value,
    track=TRACK.value, fps=DRIVE_FPS.value, flame=FLAME.value, crop=CROP.value, face=FACE.value,
    max_pixels=MAX_PIXELS.value, paste_back=PASTE_BACK.value, overwrite=OVERWRITE.value,
    provenance=provenance.chosen(), **options,
  )]  # fmt: skip


def talked():
  """Makes the video that a voice drives, or several; lists what was written."""
  for flag in (SAME_PERSON, RETARGET, *OF_TRACK):
    if flag.present:
      raise InputError(f'expected --{flag.name} with --drive, got it with --audio: leave it out')
  options = chosen()
  with voice() as (audio, output):
    make = functools.partial(
      talk.make, IMAGE.value, audio, checkpoint=weights(), crop=CROP.value, face=FACE.value,
      max_pixels=MAX_PIXELS.value, paste_back=PASTE_BACK.value, overwrite=OVERWRITE.value,
      stream=STREAM.value, teacher=TEACHER.value, track=TRACK.value, provenance=provenance.chosen(),
      **options,
    )  # fmt: skip
    once = loaded() if DRAWN_BY.value or SHOW_CONTROLS.value else None
    if TAKES.value == 1:
      results = [make(output=output, seed=SEED.value, generator=once)]
      if SHOW_CONTROLS.value:
        path = results[0].path.with_name(f'{results[0].path.stem}_controls.mp4')
        own = dict(stage='controls', paste_back=False)
        results.append(make(output=path, seed=SEED.value, generator=once, **own))
      return results
    each = lambda output, seed, generator: make(output=output, seed=seed, generator=generator)
    results, sheet = takes.make(
      output or talk.beside(audio), TAKES.value, SEED.value, loaded, each,
      overwrite=OVERWRITE.value,
    )  # fmt: skip
  print(f'{sheet}: a row of pictures for each of {len(results)} takes')
  return results


def batched():
  """Makes the videos of a batch; returns the exit status."""
  for flag in (DRIVE, SAME_PERSON, RETARGET, *OF_TRACK, TAKES, SHOW_CONTROLS):
    if flag.present:
      raise InputError(f'expected --{flag.name} without --batch, got both: leave it out')
  if OUTPUT.value is None:
    raise InputError('expected --output with --batch, got none: name a folder for the videos')
  own = dict(image=IMAGE, audio=AUDIO, text=TEXT, speaker=SPEAKER, voice=VOICE, seed=SEED,
             face=FACE, track=TRACK, crop=CROP)  # fmt: skip
  defaults = {name: flag.value for name, flag in own.items() if flag.present}
  beam = [f'--runner={RUNNER.value}', *(BEAM_OPTIONS.value or [])]
  return command.make(
    BATCH.value, OUTPUT.value, defaults | chosen(), workers=WORKERS.value,
    beam=None if RUNNER.value == 'none' else beam,
    checkpoint=weights(), load=load_options(), stream=STREAM.value, paste_back=PASTE_BACK.value,
    max_pixels=MAX_PIXELS.value, overwrite=OVERWRITE.value, provenance=provenance.chosen(),
    compile_cache=COMPILE_CACHE.value,
  )  # fmt: skip


def chosen():
  """Reads the options of the generator that are asked for."""
  options = {flag.name: flag.value for flag in (*KNOBS, STAGE) if flag.value is not None}
  if MOTION_MEAN.value is not None:
    options['motion_mean'] = numbers('motion_mean', MOTION_MEAN.value)
  if MOTION_STD.value is not None:
    options['motion_std'] = numbers('motion_std', [MOTION_STD.value])
  for flag in BY_NAME:
    if flag.value:
      options[flag.name] = by_name(flag.name, ','.join(flag.value).split(','))
  return options


def weights():
  """Returns the folder of the weights that are asked for; None: the bundled ones of IF-MDM."""
  return bundle.chosen(CHECKPOINT.value, SYSTEM.value)


def loaded():
  """Loads the weights that are asked for."""
  return ifm.load(weights(), **load_options())


def load_options():
  """Reads with which options weights are loaded."""
  options = {'teacher': True} if TEACHER.value else {}
  if DRAWN_BY.value is not None:
    if SYSTEM.value != 'vlogger' and CHECKPOINT.value is None:
      raise InputError('expected --system vlogger with --drawn_by, got it without: leave it out')
    talk.check_checkpoint(DRAWN_BY.value)
    options['drawn_by'] = DRAWN_BY.value
  talk.check_checkpoint(CHECKPOINT.value)
  return options


@contextlib.contextmanager
def voice():
  """Yields the file of the voice, spoken if there is only a text, and the output's path or None."""
  if TEXT.value is None:
    for flag in OF_TEXT:
      if flag.present:
        raise InputError(f'expected --{flag.name} with --text, got it without: leave it out')
    yield AUDIO.value, OUTPUT.value
    return
  output = OUTPUT.value or pathlib.Path(IMAGE.value or 'person').with_suffix('.mp4')
  if TAKES.value == 1:
    output = files.check_output(output, (), OVERWRITE.value)
  if IMAGE.value is not None:
    files.check(pathlib.Path(IMAGE.value).expanduser(), 'a picture')
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / 'spoken.wav'
    spoken.write(path, TEXT.value, spoken.speaker(SPEAKER.value), VOICE.value, SEED.value)
    yield path, output


if __name__ == '__main__':
  errors.run(main)
