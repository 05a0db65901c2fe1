"""A portrait and a voice become a talking video.

  python -m ifmdm_jax.sample --image portrait.jpg --audio speech.wav --output out/talk.mp4

The picture: any that OpenCV reads, any size, one clearly visible face. It is cut to a square around
the face; --paste_back puts the moving square back into the whole picture. The sound: any file that
FFmpeg decodes, a video's too; it decides how long the result is (25 frames per second) and is kept
as it was recorded. Same seed, same video.

  livelier, or calm (the lips still move)        --motion_std 1.3      --motion_std 0
  several people in the picture                  --face 2              (1 is the largest face)
  a square portrait, to be used as it is         --crop none
  weights of your own                            --checkpoint runs/motion
  hours of sound, in memory that does not grow   --stream
  compiled programs elsewhere, or not kept       --compile_cache DIR   --compile_cache none

The result is marked as synthetic in its metadata. Animate only faces you may animate.
Bad input ends in one line, exit status 2 and no file.
"""

import os
import pathlib
import signal
import sys
import time

import cv2
import numpy as np
from absl import flags

from ifmdm_jax import compile_cache, errors
from ifmdm_jax.errors import InputError
from ifmdm_jax.generator import Compiles

IMAGE = flags.DEFINE_string('image', None, 'The portrait.', **errors.SHARED)
AUDIO = flags.DEFINE_string(
  'audio', None, 'The voice: a sound file, or a video with sound.', **errors.SHARED
)
OUTPUT = flags.DEFINE_string('output', None, 'The video to write, *.mp4.', **errors.SHARED)
CHECKPOINT = flags.DEFINE_string(
  'checkpoint', None, 'Folder of weights; default: the bundled.', **errors.SHARED
)
SEED = flags.DEFINE_integer(
  'seed', 0, 'Of the motion; the same seed gives the same video.', **errors.SHARED
)
TEACHER = flags.DEFINE_bool(
  'teacher',
  False,
  'Motion by the network that the quick one learned from: slower, any --steps and --guidance.',
  **errors.SHARED,
)
STEPS = flags.DEFINE_integer(
  'steps', None, 'Diffusion steps; default: as the weights advise.', lower_bound=1, **errors.SHARED
)
GUIDANCE = flags.DEFINE_float(
  'guidance',
  None,
  'How strictly the motion follows the voice, 1 and more; default: as advised.',
  **errors.SHARED,
)
MOTION_MEAN = flags.DEFINE_list(
  'motion_mean',
  None,
  'Offset of the pose: one number, or one per motion direction.',
  **errors.SHARED,
)
MOTION_STD = flags.DEFINE_float(
  'motion_std',
  None,
  'Liveliness, 1 is natural; 0 keeps still all but the lips.',
  lower_bound=0,
  **errors.SHARED,
)
CROP = flags.DEFINE_enum(
  'crop',
  'auto',
  ['auto', 'none'],
  'auto: a square around the face; none: the (square) picture as it is.',
  **errors.SHARED,
)
FACE = flags.DEFINE_integer(
  'face', None, 'Which face, 1 is the largest.', lower_bound=1, **errors.SHARED
)
PASTE_BACK = flags.DEFINE_bool(
  'paste_back', False, 'Put the moving square back into the picture.', **errors.SHARED
)
STREAM = flags.DEFINE_bool(
  'stream', False, 'Hear the sound as a live one, block by block: bounded memory.', **errors.SHARED
)
COMPILE_CACHE = flags.DEFINE_string(
  'compile_cache',
  None,
  "Folder that keeps compiled programs for the next start, or none; default: in the user's cache.",
  **errors.SHARED,
)
OVERWRITE = flags.DEFINE_bool('overwrite', False, 'Replace an existing output.', **errors.SHARED)

FPS, SAMPLE_RATE = 25, 16_000
LARGEST_SIDE = 1920  # of a pasted-back video: plays anywhere
SILENCE = 1e-4  # peak, -80 dB


def check_output(output, inputs=(), overwrite=False):
  """The path to write, or an InputError: wrong suffix, already there, an input, not writable."""
  output = pathlib.Path(output)
  if output.suffix.lower() != '.mp4':
    raise InputError(f'expected an output named *.mp4, got {output}: add .mp4')
  if output.is_dir():
    raise InputError(f'expected a file to write, {output} is a folder: choose another --output')
  if output.exists() and any(output.samefile(each) for each in inputs if os.path.exists(each)):
    raise InputError(f'expected a new file, {output} is an input: choose another --output')
  if output.exists() and not overwrite:
    raise InputError(
      f'expected a new file, {output} exists: choose another --output, or pass --overwrite'
    )
  folder = output.absolute().parent
  while not folder.exists():  # missing folders are made later
    folder = folder.parent
  if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
    raise InputError(
      f'expected a folder to write into, {folder} is not a writable one: choose another --output'
    )
  return output


def find_square(image, face=None, name='the picture'):
  """The crop (x0, y0, side) around a face of an uint8 RGB picture; `face` counts from 1 by size."""
  from ifmdm_jax.pipeline.prep import faces

  found = faces.FaceDetector()(image)
  if not found:
    raise InputError(
      f'expected a clearly visible face, {name} shows none that the detector finds: '
      'use another picture, or --crop none if it is a square portrait'
    )
  if face is None and len(found) > 1:
    note(f'{len(found)} faces found, taking the largest; --face 1 to {len(found)} picks another')
  if (face or 1) > len(found):
    raise InputError(
      f'expected --face 1 to {len(found)}, got {face}: {name} shows '
      f'{len(found)} face{"s" * (len(found) > 1)}, the largest first'
    )
  points, _ = faces.FaceMesh(faces.LOOKS).landmarks(image, found[(face or 1) - 1])
  x0, y0, side = faces.crop_square(points, image.shape)
  if side < 64:
    raise InputError(
      f'expected a face of 32 pixels or more, {name} has one of {side // 2}: use a larger picture'
    )
  if side < 256:
    note(f'the face is only {side // 2} pixels high: the result will be soft')
  return x0, y0, side


def read_picture(path, crop='auto', face=None, paste_back=False):
  """(picture uint8 [H, W, 3], its square (x0, y0, side)) of an image file."""
  from ifmdm_jax.video import image

  picture = image.read_image(path)
  scale = LARGEST_SIDE / max(picture.shape[:2])
  if paste_back and scale < 1:
    picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
  height, width = picture.shape[:2]
  if crop == 'auto':
    return picture, find_square(picture, face, path)
  if height != width:
    raise InputError(
      f'expected a square picture with --crop none, {path} is {width} x {height}: '
      'cut it to a square, or use --crop auto'
    )
  return picture, (0, 0, width)


def read_voice(path):
  """Mono float32 [L] at 16 kHz; a silent one is allowed, with a note."""
  from ifmdm_jax.audio import waveform
  from ifmdm_jax.video import read

  voice = waveform.check(read.audio(path, SAMPLE_RATE), SAMPLE_RATE)
  if np.abs(voice).max() < SILENCE:
    note(f'{path} is silent: the lips will rest')
  return voice


def check_voice(path):
  """Length of a voice in samples at 16 kHz, checked like `read_voice` in memory that is bounded."""
  from ifmdm_jax.video import read

  count, peak = 0, 0.0
  for block in read.mono_blocks(path, SAMPLE_RATE):
    count, peak = count + len(block), max(peak, float(np.abs(block).max(initial=0)))
  if count < SAMPLE_RATE or peak < SILENCE or peak > 64:  # it has to be said
    return len(read_voice(path))
  return count


def sample(
  image,
  audio,
  output,
  checkpoint=None,
  crop='auto',
  face=None,
  paste_back=False,
  overwrite=False,
  stream=False,
  teacher=False,
  **options,
):
  """Writes the video; returns (frames, seconds it took). All input is checked before the work.

  Args:
    teacher: see `ifmdm_jax.load`.
    options: seed, steps, guidance, motion_mean, motion_std of the sampler.
  """
  output = check_output(output, (image, audio), overwrite)
  for name, value in options.items():
    if not np.isfinite(value).all():
      raise InputError(f'expected --{name} to be finite, got {value}: leave it out for the default')
  if checkpoint is not None and not os.path.exists(checkpoint):
    raise InputError(
      f'expected a checkpoint, {checkpoint} does not exist: check the path, or '
      'leave --checkpoint out for the bundled weights'
    )
  picture, square = read_picture(image, crop, face, paste_back)
  voice = None if stream else read_voice(audio)
  count = check_voice(audio) if stream else len(voice)

  import ifmdm_jax as ifm
  from ifmdm_jax.pipeline.prep import faces
  from ifmdm_jax.streaming import programs

  sampler = ifm.load(checkpoint, teacher=teacher)
  if isinstance(sampler, Compiles):
    total = round(count / SAMPLE_RATE * FPS)
    motion = {name: value for name, value in options.items() if name != 'seed'}
    programs.wait(sampler.compile_ahead(total, streaming=stream, **motion))
  start = time.monotonic()  # of the work: a program is compiled once
  portrait = faces.cut(picture, square)
  if stream:
    from ifmdm_jax.video import read

    blocks = read.mono_blocks(audio, SAMPLE_RATE)
    frames = sampler.stream(portrait, blocks, sample_rate=SAMPLE_RATE, **options)
  else:
    frames = sampler.frames(portrait, voice, sample_rate=SAMPLE_RATE, **options)
  finish = _paster(picture, square) if paste_back else lambda frame: frame
  written = _write(
    output,
    frames,
    finish,
    audio,
    round(count / SAMPLE_RATE * FPS),
    name=str(checkpoint or 'bundled'),
    seed=options.get('seed'),
  )
  return written, time.monotonic() - start


def _paster(picture, square):
  from ifmdm_jax.video import paste

  return paste.Paster(picture, square)


def _write(output, blocks, finish, audio, total, name, seed):
  """Streams blocks of frames into the file, beside the sound as recorded."""
  from tqdm import tqdm

  from ifmdm_jax.video import Writer, provenance, read

  rate, sound = read.audio_blocks(audio)
  tags = provenance.metadata(checkpoint=name, seed=seed)
  try:
    output.parent.mkdir(parents=True, exist_ok=True)
    with (
      Writer(output, sound, rate, FPS, metadata=tags) as writer,
      tqdm(total=total, unit='frame', disable=None) as progress,
    ):
      for block in blocks:
        for frame in np.asarray(block):
          writer.add(finish(frame))
        progress.update(len(block))
      return writer.num_frames
  except OSError as error:  # disk full, folder gone
    raise InputError(
      f'expected to be able to write {output}, but: {error.strerror or error}; '
      'make room, or choose another --output'
    ) from error


def note(text):
  print(f'note: {text}', file=sys.stderr)


def motion_mean(words):
  """'0.1' -> 0.1; '0.1,0,0' -> float32 [3]."""
  try:
    numbers = [float(word) for word in words]
  except ValueError:
    numbers = []
  if not numbers:
    raise InputError(
      f'expected --motion_mean to be numbers, got {",".join(words)!r}: '
      'pass e.g. 0.1, or one per motion direction with commas between'
    )
  return numbers[0] if len(numbers) == 1 else np.array(numbers, np.float32)


def main(_):
  # A terminated run, too, must remove its half-written file: unwind as for any exit.
  signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
  signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell may ignore it
  for required in (IMAGE, AUDIO, OUTPUT):
    if required.value is None:
      raise InputError(
        f'expected --image, --audio and --output, got no --{required.name}: --help shows an example'
      )
  compile_cache.keep(COMPILE_CACHE.value)
  options = {
    'seed': SEED.value,
    'steps': STEPS.value,
    'guidance': GUIDANCE.value,
    'motion_std': MOTION_STD.value,
  }
  if MOTION_MEAN.value is not None:
    options['motion_mean'] = motion_mean(MOTION_MEAN.value)
  options = {name: value for name, value in options.items() if value is not None}
  frames, seconds = sample(
    IMAGE.value,
    AUDIO.value,
    OUTPUT.value,
    CHECKPOINT.value,
    CROP.value,
    FACE.value,
    PASTE_BACK.value,
    OVERWRITE.value,
    STREAM.value,
    TEACHER.value,
    **options,
  )
  print(
    f'{OUTPUT.value}: {frames / FPS:.2f} s of video ({frames} frames), made in '
    f'{seconds:.1f} s, {frames / seconds:.1f} frames per second'
  )


if __name__ == '__main__':
  errors.run(main)
