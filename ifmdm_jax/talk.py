"""From files to a file: a picture and a voice become a talking video, by any generator."""

import os
import pathlib
import time
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

import ifmdm_jax as ifm
from ifmdm_jax import errors, files, read
from ifmdm_jax.audio import sound as sounds
from ifmdm_jax.clip import Clip, check_seed
from ifmdm_jax.errors import InputError
from ifmdm_jax.face.crop import Paster
from ifmdm_jax.files import check_output
from ifmdm_jax.generator import Compiles, Streams
from ifmdm_jax.rates import FPS, SAMPLE_RATE
from ifmdm_jax.streaming import programs
from ifmdm_jax.trust.origin import DEFAULT, Input
from ifmdm_jax.video import Writer
from ifmdm_jax.video import image as images
from ifmdm_jax.video import provenance as says

LARGEST_SIDE = 1920  # of a pasted-back video: plays anywhere


class Result(NamedTuple):
  """What was written."""

  path: pathlib.Path
  frames: int
  seconds: float  # that it took, without compiling


def make(
  image, audio, output=None, checkpoint=None, *, crop='auto', face=None, paste_back=False,
  overwrite=False, stream=False, teacher=False, seed=0, track=None,
  max_pixels=images.MAX_PIXELS, generator=None, picture=None, provenance=DEFAULT, job=None,
  **options,
):  # fmt: skip
  """Writes a video; all input is checked before the work.

  Args:
    image: file of the portrait; None: the weights know a person.
    audio: file of the voice; it decides how long the video is and is kept as it was recorded.
    output: file to write, *.mp4; by default beside the voice.
    checkpoint: weights, see `ifmdm_jax.load`.
    crop, face: see `ifmdm_jax.read_portrait`.
    paste_back: put the moving square back into the whole picture.
    overwrite: whether the output may exist.
    stream: take the sound block by block, in memory that does not grow.
    teacher: see `ifmdm_jax.load`.
    seed: of the motion.
    track: which sound track of `audio`, see `ifmdm_jax.read_voice`.
    max_pixels: of a picture that is read.
    generator: what draws, where it is loaded already, else of `checkpoint`.
    picture: `read.Picture` of `image`, where it is read already.
    provenance: what the video says about its origin, `trust.origin.Options`.
    job: of a batch, which the tags of the video name.
    options: of the generator, see `systems.ifmdm.motion_stream.Options`.

  Returns:
    `Result`.
  """
  image, audio = (each and pathlib.Path(each).expanduser() for each in (image, audio))
  if image:
    files.check(image, 'a picture')
  files.check(audio, 'a file with sound')
  output = check_output(output or beside(audio), [audio, *filter(None, [image])], overwrite)
  seed = check_seed(seed)
  for name, value in options.items():
    numbers = np.asarray(value)
    if numbers.dtype.kind == 'f' and not np.isfinite(numbers).all():
      raise InputError(f'expected --{name} to be finite, got {value}: leave it out for the default')
  check_checkpoint(checkpoint)
  if picture is None:
    picture = read_picture(image, paste_back, crop=crop, face=face, max_pixels=max_pixels)
  voice = None if stream else read.read_voice(audio, SAMPLE_RATE, track=track)[0]
  count = read.voice_length(audio, track=track) if stream else len(voice)

  generator = generator or ifm.load(checkpoint, **({'teacher': True} if teacher else {}))
  check_picture(generator, picture)
  total = round(count / SAMPLE_RATE * FPS)
  if isinstance(generator, Compiles):
    programs.wait(generator.compile_ahead(total, streaming=stream, **options))
  start = time.monotonic()  # of the work: programs are compiled once
  portrait = None if picture is None else picture.portrait()
  if not stream:
    clip = Clip(image=portrait, waveform=voice, rate=SAMPLE_RATE).restricted(generator.needs)
    blocks = generator.generate(clip, seed=seed, **options)
  elif isinstance(generator, Streams):
    sound = sounds.mono_blocks(audio, SAMPLE_RATE, track)
    blocks = generator.stream(portrait, sound, SAMPLE_RATE, seed, **options)
  else:
    raise InputError(f'expected a generator that streams, {generator.name} cannot: no --stream')
  paster = Paster(picture.pixels, picture.square) if paste_back else None
  tags = says.metadata(checkpoint=str(checkpoint or 'bundled'), seed=seed, job=job)
  origin = provenance.origin(real_pixels=paste_back, inputs=inputs(portrait=image, voice=audio))
  written = write(output, blocks, paster, (audio, track), total, tags, origin)
  return Result(output, written, time.monotonic() - start)


def inputs(**paths):
  """Lists the files of a manifest by their roles, but those that are None."""
  return tuple(Input(role, str(path)) for role, path in paths.items() if path)


def beside(audio):
  """Names a video beside a sound file, and another one than that, if it is a video itself."""
  audio = pathlib.Path(audio)
  named = audio.with_suffix('.mp4')
  return named if named != audio else audio.with_name(f'{audio.stem}_talking.mp4')


def check_checkpoint(checkpoint):
  """Raises InputError where there is nothing of that name."""
  if checkpoint is not None and not os.path.exists(checkpoint):
    raise InputError(
      f'expected a checkpoint, {checkpoint} does not exist: check the path, or '
      'leave --checkpoint out for the bundled weights'
    )


def check_picture(generator, picture):
  """Raises InputError where a generator needs a picture and there is none."""
  if picture is None and 'image' in generator.needs:
    raise InputError(
      f'expected --image, got none: {generator.name} knows nobody, pass a portrait, or the '
      '--checkpoint of a person'
    )


def read_picture(image, paste_back, **options):
  """Reads a portrait as `read.read_picture` does; None without a file.

  Raises:
    InputError: there is none to be pasted back into.
  """
  if image is None:
    if paste_back:
      raise InputError('expected --image with --paste_back, got none: pass the whole picture')
    return None
  return read.read_picture(image, largest=LARGEST_SIDE if paste_back else None, **options)


def write(output, blocks, paster, voice, total, tags, origin=True):
  """Streams blocks of frames into the file, beside the sound as recorded; counts them.

  Args:
    output: file to write.
    blocks: iterable of uint8 [t, S, S, 3].
    paster: puts a square into a whole picture; None: the squares are written.
    voice: (file with sound, its track or None); None: without sound.
    total: frames that are expected.
    tags: metadata.
    origin: what the video says about its origin, see `video.Writer`.
  """
  rate, sound = (SAMPLE_RATE, None) if voice is None else sounds.audio_blocks(*voice)
  try:
    output.parent.mkdir(parents=True, exist_ok=True)
    with (
      Writer(output, sound, rate, FPS, metadata=tags, provenance=origin) as writer,
      tqdm(total=total, unit='frame', disable=None) as progress,
    ):
      for block in blocks:
        for frame in np.asarray(block):
          writer.add(paster(frame) if paster else frame)
        progress.update(len(block))
      return writer.num_frames
  except OSError as error:  # disk full, folder gone
    raise InputError(
      f'expected to be able to write {output}, {errors.system(error)}, or choose another --output'
    ) from error
