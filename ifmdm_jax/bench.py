"""How fast is it here? Every part of the sampler, on whatever device is there.

  python -m ifmdm_jax.bench                               the bundled weights
  python -m ifmdm_jax.bench --sizes lite,paper --json bench.json
  python -m ifmdm_jax.bench --sizes paper,paper_refine --dtype bfloat16 --batches 1,8   (a GPU)

Sizes: lite (bundled weights), paper (random ones, 512 px, without the refine block), paper_refine,
tiny. Times are medians of --repeats, with the tenth and ninetieth percentile; CPU time beside wall
time tells how much of a busy machine was ours. The roofline is measured first: a large matrix
product and a large copy; a part's share of it is the time that its arithmetic or its bytes, as the
compiler counts them, would take at these speeds, over the time it took. On a CPU only arithmetic
counts: its caches serve most of the bytes.

  encoder     one portrait                   motion       one window of the live plan
  speech      features of a live window      decoder      one frame of each --batches
  transfer    one frame to the host          mp4          one frame into H.264, by itself
  end to end  a file of --seconds from sound to MP4, encoding beside drawing, warm
  first frame from the moment the first 0.4 s of sound are there, warm
  starts      a new process to its first frame: with nothing compiled, and with --compile_cache
  streams     live voices in `sampling.slots.Slots` that one device keeps at 25 frames per second
"""

import functools
import importlib.util
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from tqdm import tqdm

from ifmdm_jax import compile_cache, errors
from ifmdm_jax.errors import InputError

_SIZES = flags.DEFINE_list('sizes', ['lite'], 'lite, paper, paper_refine, tiny.', **errors.SHARED)
_BATCHES = flags.DEFINE_list('batches', ['1', '8'], 'Frames drawn by one call.', **errors.SHARED)
_REPEATS = flags.DEFINE_integer('repeats', 20, 'Of each part.', lower_bound=1, **errors.SHARED)
_SECONDS = flags.DEFINE_float('seconds', 8.0, 'Of video, end to end.', **errors.SHARED)
_STREAMS = flags.DEFINE_integer('streams', 64, 'Most live voices to try.', **errors.SHARED)
_DTYPE = flags.DEFINE_string('dtype', 'float32', 'In which paper is drawn.', **errors.SHARED)
_PARTS = flags.DEFINE_list(
  'parts', ['parts', 'end', 'streams', 'starts'], 'What to measure.', **errors.SHARED
)
_JSON = flags.DEFINE_string('json', None, 'File for the same numbers.', **errors.SHARED)
_COMPILE_CACHE = flags.DEFINE_string(
  'compile_cache', None, 'As of ifmdm_jax.sample; starts use a fresh one.', **errors.SHARED
)
_FIRST_FRAME = flags.DEFINE_bool(
  'first_frame', False, 'Only draw a first frame and say when it was there.', **errors.SHARED
)

RATE, FPS = 16_000, 25
SIZES = ('tiny', 'lite', 'paper', 'paper_refine')


def make_sampler(size, dtype='float32'):
  """A sampler of a size; only lite has trained weights."""
  import ifmdm_jax as ifm

  if size == 'lite':
    return ifm.load()
  from ifmdm_jax import testing
  from ifmdm_jax.audio import features
  from ifmdm_jax.systems.ifmdm.motion import model
  from ifmdm_jax.systems.ifmdm.sampler import Sampler, Stage

  base = size.removesuffix('_refine')
  first, second = (read_config(name, base).model for name in ('autoencoder', 'motion'))
  if base == 'paper':
    first.refine, first.draw_dtype = size == 'paper_refine', dtype
  second.update(audio='whisper_tiny', audio_width=384)  # whose weights are at hand
  stages = []
  for config in (first, second):
    module = importlib.import_module(config.module)
    if base == 'tiny' and config is first:  # holds constants that random numbers would spoil
      params = testing.fresh_params(module, config)
    else:
      shapes = jax.eval_shape(functools.partial(module.init, config=config), jax.random.key(0))
      params = testing.random_params({k: v for k, v in shapes.items() if k != 'dis'}, scale=0.02)
    stages.append(Stage(module, config, params))
  return Sampler(
    *stages,
    model.frozen(second),
    features.load(second.audio),
    size=first.size if base == 'paper' else 64,
    steps=10,
    guidance=1.5,
  )


def read_config(name, size):
  """configs/NAME.py of the repository, as `ifmdm_jax.train` reads it."""
  path = pathlib.Path(__file__).parents[1] / 'configs' / f'{name}.py'
  if not path.exists():
    raise InputError(f'expected {path}, for sizes but lite: run it from a checkout')
  spec = importlib.util.spec_from_file_location(f'bench_{name}', path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module.get_config(size)


# ------------------------------------------------------------------------------ measuring


def spread(times):
  """Seconds -> milliseconds: median, p10, p90."""
  low, middle, high = np.percentile(1000 * np.asarray(times), (10, 50, 90))
  return dict(ms=float(middle), p10=float(low), p90=float(high))


def clock(run, repeats):
  """Milliseconds of `run()`, which returns arrays; the first call, which may compile, apart."""
  jax.block_until_ready(run())
  wall, cpu = [], []
  for _ in range(repeats):
    began = time.perf_counter(), time.process_time()
    jax.block_until_ready(run())
    wall.append(time.perf_counter() - began[0])
    cpu.append(time.process_time() - began[1])
  return dict(spread(wall), cpu_ms=float(1000 * np.median(cpu)))


def roofline():
  """Measured float32 and bfloat16 matrix products, TFLOP/s, and a copy, GB/s read and written."""
  accelerated = jax.default_backend() != 'cpu'
  side, count = (8192, 2**29) if accelerated else (1536, 2**25)
  speeds = {}
  product = jax.jit(jnp.matmul)
  for dtype in ('float32', 'bfloat16'):
    x = jnp.ones((side, side), dtype)
    took = clock(lambda x=x: product(x, x), 10)['ms']
    speeds[f'{dtype}_tflops'] = 2 * side**3 / took / 1e9
  x = jnp.ones(count, jnp.float32)
  copy = jax.jit(lambda x: x + 1)
  speeds['copy_gb_per_s'] = 8 * count / clock(lambda: copy(x), 10)['ms'] / 1e6
  return speeds


def compiled_cost(program, *arguments, **options):
  """GFLOP, GB and MB of temporary memory of one of `Sampler.programs`, as the compiler counts."""
  function, params = program
  compiled = function.lower(params, *arguments, **options).compile()
  cost = compiled.cost_analysis()
  cost = cost[0] if isinstance(cost, list) else cost
  memory = compiled.memory_analysis()
  return dict(
    gflop=cost.get('flops', 0.0) / 1e9,
    gb=cost.get('bytes accessed', 0.0) / 1e9,
    temp_mb=getattr(memory, 'temp_size_in_bytes', 0) / 1e6,
  )


def with_roofline(row, roof, dtype='float32'):
  """Adds the share of the roofline."""
  fastest = row['gflop'] / roof[f'{dtype}_tflops']  # ms
  if jax.default_backend() != 'cpu':
    fastest = max(fastest, 1000 * row['gb'] / roof['copy_gb_per_s'])
  return dict(row, roofline=fastest / row['ms'])


# ---------------------------------------------------------------------------------- parts


def measure_parts(sampler, roof, repeats, batches, dtype):
  """{part: numbers}; times of the decoder, transfer and mp4 are per frame."""
  rng = np.random.default_rng(0)
  image = rng.integers(0, 255, (sampler.size, sampler.size, 3), dtype=np.uint8)
  plan, options = sampler.live, sampler.checked()
  portrait = sampler.portrait(image)
  rows = {}

  row = clock(lambda: sampler.portrait(image), repeats)
  rows['encoder'] = with_roofline(
    dict(row, **compiled_cost(sampler.programs['portrait'], image)), roof
  )

  voice = rng.uniform(-0.3, 0.3, 4 * RATE).astype(np.float32)

  def hear():
    listener = sampler.listener(plan, RATE)
    listener.add(voice)
    return listener.take().y

  rows['speech'] = clock(hear, repeats)
  y = hear()[None]
  before, controls = sampler.before(portrait, plan), sampler.controls(portrait)
  mask, index = np.ones((1, plan.length), np.float32), np.zeros(1, np.uint32)
  given = (y, mask, before, index, controls)
  row = clock(lambda: sampler.dream(*given, new=plan.new, **options), repeats)
  cost = compiled_cost(sampler.programs['dream'], *given, new=plan.new, **options)
  # The compiler counts the body of a loop once.
  evaluations = int(''.join(filter(str.isdigit, options['steps'])))
  cost.update(gflop=evaluations * cost['gflop'], gb=evaluations * cost['gb'])
  rows['motion'] = with_roofline(dict(row, **cost), roof)

  draw, params = sampler.programs['draw']
  size = lambda batch: min(batch, sampler.block)
  for batch in batches:
    codes = np.repeat(np.asarray(portrait.code), batch, axis=0)

    def run(codes=codes, batch=batch):
      if sampler.block == 1:  # a CPU: calls of one frame side by side
        return list(sampler.drawn(portrait, codes, 1))
      return draw(params, portrait, codes)

    row = {name: value / batch for name, value in clock(run, repeats).items()}
    cost = compiled_cost(sampler.programs['draw'], portrait, codes[: size(batch)])
    cost.update(gflop=cost['gflop'] / size(batch), gb=cost['gb'] / size(batch))
    rows[f'decoder x{batch}'] = with_roofline(dict(row, **cost), roof, dtype)
  codes = np.repeat(np.asarray(portrait.code), 8, axis=0)
  frames = jnp.asarray(np.concatenate(list(sampler.drawn(portrait, codes, sampler.block))))
  fresh = [jnp.array(frames) for _ in range(repeats + 1)]
  row = clock(lambda: np.array(fresh.pop()), repeats)
  rows['transfer'] = {name: value / 8 for name, value in row.items()}
  rows['mp4'] = measure_mp4(sampler, image, repeats)
  return rows


def measure_mp4(sampler, image, repeats):
  """One frame of a moving picture into a file, nothing beside it."""
  from ifmdm_jax.video import Writer

  count = max(25, repeats)
  moved = [np.roll(image // 2 + np.arange(sampler.size, dtype=np.uint8)[:, None, None] // 4, k, 0)
           for k in range(count)]  # fmt: skip
  with tempfile.TemporaryDirectory() as folder:
    began = time.perf_counter(), time.process_time()
    with Writer(pathlib.Path(folder) / 'o.mp4') as writer:
      for frame in moved:
        writer.add(frame)
    wall, cpu = time.perf_counter() - began[0], time.process_time() - began[1]
  ms = 1000 * wall / count
  return dict(ms=ms, p10=ms, p90=ms, cpu_ms=1000 * cpu / count)


def portrait_and_voice(sampler, seconds):
  """The bundled ones where the repository is there, else drawn ones."""
  from ifmdm_jax import testing

  fixtures = pathlib.Path(__file__).parents[1] / 'data' / 'fixtures'
  if (fixtures / 'portrait.jpg').exists():
    from ifmdm_jax.audio import waveform
    from ifmdm_jax.video import image

    picture, (voice, rate) = (
      image.read_image(fixtures / 'portrait.jpg'), waveform.read(fixtures / 'speech.wav')
    )  # fmt: skip
    voice = waveform.prepare(voice, rate)
  else:
    frames, _, voice = testing.talking_face(50, sampler.size)
    picture = frames[0]
  return picture, np.resize(voice, round(seconds * RATE)).astype(np.float32)


def measure_end(sampler, seconds, repeats=3):
  """A file from sound to MP4, and a stream's first frame; both warm."""
  from ifmdm_jax.video import Writer

  picture, voice = portrait_and_voice(sampler, seconds)
  side = min(picture.shape[:2])
  picture = picture[:side, :side]
  sampler.warm()
  sampler.warm(sampler.whole)
  fps, cpu = [], []
  with tempfile.TemporaryDirectory() as folder:
    for _ in range(repeats):
      began = time.perf_counter(), time.process_time()
      with Writer(pathlib.Path(folder) / 'o.mp4', voice, RATE) as writer:
        for block in sampler.frames(picture, voice, RATE):
          for frame in block:
            writer.add(frame)
      fps.append(writer.num_frames / (time.perf_counter() - began[0]))
      cpu.append(1000 * (time.process_time() - began[1]) / writer.num_frames)
  first = []
  for _ in range(max(repeats, 5)):
    stamps = []
    stream = sampler.stream(picture, timed(voice, stamps, sampler.live), RATE)
    next(iter(stream))
    first.append(time.perf_counter() - stamps[0])
    stream.close()
  return dict(
    end_to_end_fps=float(np.median(fps)),
    end_to_end_fps_range=[float(min(fps)), float(max(fps))],
    end_to_end_cpu_ms=float(np.median(cpu)),
    real_time_factor=FPS / float(np.median(fps)),
    first_frame_ms=spread(first)['ms'],
    first_frame_p90_ms=spread(first)['p90'],
  )


def timed(voice, stamps, plan):
  """The voice in blocks of 0.1 s; when the first window's are there, the time goes to `stamps`."""
  needed = round((plan.new + plan.future) / FPS * RATE)  # 0.4 s for lite and paper
  for start in range(0, len(voice), RATE // 10):
    if not stamps and start + RATE // 10 >= needed:
      stamps.append(time.perf_counter())
    yield voice[start : start + RATE // 10]


def measure_streams(sampler, most):
  """How many live voices one device keeps: most whose step is shorter than its sound."""
  from ifmdm_jax.streaming.slots import Slots

  picture, voice = portrait_and_voice(sampler, 20.0)
  side = min(picture.shape[:2])
  due, kept, tried = sampler.live.new / FPS, 0, {}
  count = 1
  while count <= most:
    slots = Slots(sampler, count)
    for who in [slots.join(picture[:side, :side], seed=k) for k in range(count)]:
      slots.hear(who, voice)
    took = []
    for _ in range(6):
      began = time.perf_counter()
      frames = [frames for _, frames in slots.step()]
      took.append(time.perf_counter() - began)
      del frames
    tried[count] = float(1000 * np.median(took[1:]))
    if np.median(took[1:]) > due:
      break
    kept = count
    room = due / np.median(took[1:])
    count = max(count + 1, int(count * min(2.0, room)))
  return dict(live_streams=kept, live_streams_step_ms=tried, live_streams_due_ms=1000 * due)


def first_frame(size, dtype):
  """Loads, hears 0.4 s and draws: what a new process does until its first frame."""
  sampler = make_sampler(size, dtype)
  picture, voice = portrait_and_voice(sampler, 1.0)
  side = min(picture.shape[:2])
  next(iter(sampler.stream(picture[:side, :side], [voice], RATE)))


def measure_starts(size, dtype):
  """Seconds from the start of a process to its first frame: nothing compiled, then all of it."""
  found = {}
  with tempfile.TemporaryDirectory() as folder:
    words = [sys.executable, '-m', 'ifmdm_jax.bench', '--first_frame', f'--sizes={size}',
             f'--dtype={dtype}', f'--compile_cache={folder}']  # fmt: skip
    for name in ('cold_start_s', 'warm_start_s'):
      began = time.perf_counter()
      environment = {k: v for k, v in os.environ.items() if k != 'JAX_COMPILATION_CACHE_DIR'}
      subprocess.run(words, check=True, env=environment)
      found[name] = time.perf_counter() - began
  found['start_ratio'] = found['cold_start_s'] / found['warm_start_s']
  return found


def peak_memory_mb():
  """Of the device where it tells, else of this process."""
  stats = jax.local_devices()[0].memory_stats() or {}
  if 'peak_bytes_in_use' in stats:
    return stats['peak_bytes_in_use'] / 1e6
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


# ---------------------------------------------------------------------------------- report


def measure(size, roof):
  """Yields {name: number} part by part: what is there is shown if a later one is cut off."""
  sampler = make_sampler(size, _DTYPE.value)
  if 'parts' in _PARTS.value:
    batches = [int(word) for word in _BATCHES.value]
    rows = measure_parts(sampler, roof, _REPEATS.value, batches, _DTYPE.value)
    decoder_ms = min(rows[f'decoder x{batch}']['ms'] for batch in batches)
    yield dict(
      parts=rows,
      encoder_ms=rows['encoder']['ms'],
      motion_ms=rows['motion']['ms'],
      decoder_ms=decoder_ms,
      decoder_fps=1000 / decoder_ms,
    )
  if 'end' in _PARTS.value:
    yield measure_end(sampler, _SECONDS.value)
  if 'streams' in _PARTS.value:
    yield measure_streams(sampler, _STREAMS.value)
  if 'starts' in _PARTS.value:
    yield measure_starts(size, _DTYPE.value)
  yield dict(peak_memory_mb=peak_memory_mb())


def show(found):
  """Lines of the table."""
  if 'parts' in found:
    head = ('ms', 'p10', 'p90', 'cpu_ms', 'gflop', 'gb', 'temp_mb', 'roofline')
    print(f'  {"":12}' + ''.join(f'{name:>10}' for name in head))
    for part, row in found['parts'].items():
      cells = (f'{row[name]:10.2f}' if name in row else f'{"":10}' for name in head)
      print(f'  {part:12}' + ''.join(cells))
  for name, value in found.items():
    if name != 'parts':
      print(f'  {name:24} {value:.2f}' if isinstance(value, float) else f'  {name:24} {value}')
  sys.stdout.flush()


def main(_):
  for size in _SIZES.value:
    if size not in SIZES:
      raise InputError(f'expected --sizes of {", ".join(SIZES)}, got {size!r}')
  if not all(word.isdigit() and int(word) > 0 for word in _BATCHES.value):
    raise InputError(f'expected --batches like 1,8, got {",".join(_BATCHES.value)}')
  compile_cache.keep(_COMPILE_CACHE.value)
  if _FIRST_FRAME.value:
    first_frame(_SIZES.value[0], _DTYPE.value)
    return
  device = jax.local_devices()[0]
  roof = roofline()
  report = dict(
    device=device.device_kind,
    platform=device.platform,
    cores=len(os.sched_getaffinity(0)),
    load=os.getloadavg()[0],  # of others too: above the number of cores, wall times are not ours
    roofline=roof,
  )
  print('  '.join(f'{k} {v:.2f}' if isinstance(v, float) else f'{k} {v}'
                  for k, v in {**report, **roof}.items() if k != 'roofline'))  # fmt: skip
  for size in tqdm(_SIZES.value, 'sizes', disable=None):
    print(f'\n{size}')
    report[size] = {}
    for found in measure(size, roof):
      report[size].update(found)
      show(found)
      if _JSON.value:
        path = pathlib.Path(_JSON.value)
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report, indent=1) + '\n')


if __name__ == '__main__':
  errors.run(main)
