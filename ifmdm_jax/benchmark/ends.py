"""From sound to what a person sees: files, first frames, live voices, starts of a process."""

import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

from ifmdm_jax import testing
from ifmdm_jax.audio import waveform
from ifmdm_jax.benchmark import measure
from ifmdm_jax.clip import Clip
from ifmdm_jax.errors import InputError
from ifmdm_jax.face.crop import resized
from ifmdm_jax.generator import Streams
from ifmdm_jax.rates import SAMPLE_RATE
from ifmdm_jax.streaming.slots import Slots, Streamable
from ifmdm_jax.video import Writer, image

FIXTURES = pathlib.Path(__file__).parents[2] / 'data' / 'fixtures'
PORTRAIT = FIXTURES / 'portrait.jpg'
BLOCK = SAMPLE_RATE // 10  # samples that arrive together
STEPS = 6  # of live voices, the first of which is not counted


def clip_of(generator, seconds):
  """Returns a clip of a portrait and a voice: the bundled ones in a checkout, else drawn ones.

  A generator that needs a film gets one that is drawn, with the landmarks of its face.

  Raises:
    InputError: the generator needs more than that.
  """
  if {'video', 'landmarks'} & set(generator.needs):
    count = max(1, round(seconds * generator.fps))
    frames, landmarks, voice = testing.talking_face(count, generator.size)
    pixels = landmarks * generator.size
    picture = frames[0]
    if 'image' in generator.needs and PORTRAIT.exists():  # a face that is found
      picture = image.read_image(PORTRAIT)
      side = min(picture.shape[:2])
      picture = resized(picture[:side, :side], generator.size)
    clip = Clip('bench', image=picture, waveform=voice, frames=frames, landmarks=pixels)
    return clip.restricted(generator.needs)
  if PORTRAIT.exists():
    picture = image.read_image(PORTRAIT)
    voice = waveform.prepare(*waveform.read(FIXTURES / 'speech.wav'))
  else:
    frames, _, voice = testing.talking_face(50, generator.size)
    picture = frames[0]
  side = min(picture.shape[:2])
  voice = np.resize(voice, round(seconds * SAMPLE_RATE)).astype(np.float32)
  return Clip('bench', image=picture[:side, :side], waveform=voice).restricted(generator.needs)


def measure_end(generator, seconds, repeats=3):
  """Times a file from sound to MP4, encoding beside drawing, and a stream's first frame; warm."""
  clip = clip_of(generator, seconds)
  for _ in generator.generate(clip):
    pass
  fps, cpu = [], []
  with tempfile.TemporaryDirectory() as folder:
    for _ in range(repeats):
      began = measure.Clock()
      with Writer(pathlib.Path(folder) / 'o.mp4', clip.waveform, clip.rate) as writer:
        for block in generator.generate(clip):
          for frame in block:
            writer.add(frame)
      wall, busy = began.read()
      fps.append(writer.num_frames / wall)
      cpu.append(1000 * busy / writer.num_frames)
  rows = dict(
    end_to_end_fps=float(np.median(fps)),
    end_to_end_fps_range=[float(min(fps)), float(max(fps))],
    end_to_end_cpu_ms=float(np.median(cpu)),
    real_time_factor=generator.fps / float(np.median(fps)),
  )
  return rows | measure_first_frame(generator, clip, max(repeats, 5))


def measure_first_frame(generator, clip, repeats):
  """Times the first frame: of a stream from the moment that enough sound was there."""
  began = [_first_frame(generator, clip) for _ in range(repeats + 1)][1:]
  delays, needed = zip(*began)
  numbers = measure.spread(delays)
  return dict(
    first_frame_ms=numbers['ms'],
    first_frame_p90_ms=numbers['p90'],
    first_frame_needs_sound_ms=1000 * needed[0],
  )


def _first_frame(generator, clip):
  """Returns (seconds from the last sound that it waited for, seconds of sound by then)."""
  stamps = []

  def arriving():
    for start in range(0, len(clip.waveform), BLOCK):
      stamps.append(time.perf_counter())
      yield clip.waveform[start : start + BLOCK]

  if isinstance(generator, Streams):
    frames = iter(generator.stream(clip.image, arriving(), clip.rate))
  else:
    frames = iter(generator.generate(clip))
    stamps.append(time.perf_counter())
  next(frames)
  delay = time.perf_counter() - stamps[-1]
  if hasattr(frames, 'close'):  # an iterator of another kind holds nothing back
    frames.close()
  streams = isinstance(generator, Streams)
  return delay, len(stamps) * BLOCK / clip.rate if streams else len(clip.waveform) / clip.rate


def measure_streams(generator, most):
  """Counts live voices that one device keeps: the most whose step is shorter than its sound."""
  if not isinstance(generator, Streamable):
    return {}
  clip = clip_of(generator, 20.0)
  due, kept, tried, count = generator.streaming.new / generator.fps, 0, {}, 1
  while count <= most:
    slots = Slots(generator, count)
    for who in [slots.join(clip.image, seed=k) for k in range(count)]:
      slots.add(who, clip.waveform)
    took = []
    for _ in range(STEPS):
      began = time.perf_counter()
      for _ in slots.step():
        pass
      took.append(time.perf_counter() - began)
    step = float(np.median(took[1:]))
    tried[count] = 1000 * step
    if step > due:
      break
    kept, count = count, max(count + 1, int(count * min(2.0, due / step)))
  ahead = 1000 * generator.streaming.future / generator.fps  # sound beyond the frames of a step
  return dict(
    live_streams=kept,
    live_streams_step_ms=tried,
    live_streams_due_ms=1000 * due,
    live_streams_look_ahead_ms=ahead,
  )


def draw_first_frame(generator):
  """Takes a second of sound and draws: what a new process does until its first frame."""
  clip = clip_of(generator, 1.0)
  stream = isinstance(generator, Streams)
  frames = generator.stream(clip.image, [clip.waveform], clip.rate) if stream else (
    generator.generate(clip)
  )  # fmt: skip
  next(iter(frames))


def measure_starts(words):
  """Times the start of a process to its first frame: nothing compiled, then all of it.

  Args:
    words: flags of `ifmdm_jax.bench` that say which generator.
  """
  command, numbers = [sys.executable, '-m', 'ifmdm_jax.bench', '--first_frame', *words], {}
  environment = {k: v for k, v in os.environ.items() if k != 'JAX_COMPILATION_CACHE_DIR'}
  with tempfile.TemporaryDirectory() as folder:
    for name in ('cold_start_s', 'warm_start_s'):
      began = time.perf_counter()
      done = subprocess.run([*command, f'--compile_cache={folder}'], env=environment, check=False)
      if done.returncode:
        raise InputError(f'a new process of {" ".join(words)} ended with {done.returncode}')
      numbers[name] = time.perf_counter() - began
  return numbers | {'start_ratio': numbers['cold_start_s'] / numbers['warm_start_s']}
