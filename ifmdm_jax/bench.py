"""How fast is it here? Any generator from sound to MP4, live, and part by part, on this device.

  python -m ifmdm_jax.bench                               the bundled weights
  python -m ifmdm_jax.bench --sizes lite,paper --json bench.json
  python -m ifmdm_jax.bench --sizes runs/motion           any folder of weights
  python -m ifmdm_jax.bench --sizes paper,paper_refine --dtype bfloat16 --batches 1,8   (a GPU)

A size is a folder of weights, the name of the bundled ones, or SYSTEM:SIZE with random weights;
without SYSTEM: the one of the bundled weights. Times are medians of --repeats, with the tenth and
ninetieth percentile; CPU time beside wall time tells how much of a busy machine was ours. The
roofline is measured first: a large matrix product and a large copy; a part's share of it is the
time that its arithmetic or its bytes, as the compiler counts them, would take at these speeds, over
the time it took. On a CPU only arithmetic counts: its caches serve most of the bytes.

  parts       what the generator is made of, each by itself; one frame to the host; one into H.264;
              the mark in one
  end to end  a file of --seconds from sound to MP4, encoding beside drawing, warm
  first frame from the moment that enough sound is there, warm
  streams     live voices that one device keeps in real time; how much sound a step waits for beyond
              its own (look-ahead)
  starts      a new process to its first frame: with nothing compiled, and with --compile_cache
"""

import functools
import pathlib

from absl import flags
from tqdm import tqdm

import ifmdm_jax as ifm
from ifmdm_jax import bundle, compile_cache, errors, generator
from ifmdm_jax.benchmark import ends, measure, report
from ifmdm_jax.errors import InputError

DTYPES = ['float32', 'bfloat16', 'float16']
_SIZES = flags.DEFINE_list(
  'sizes', [bundle.BUNDLED.name], 'What to measure, see above.', **errors.SHARED
)
_BATCHES = flags.DEFINE_list('batches', ['1', '8'], 'Frames drawn by one call.', **errors.SHARED)
_REPEATS = flags.DEFINE_integer('repeats', 20, 'Of each part.', lower_bound=1, **errors.SHARED)
_SECONDS = flags.DEFINE_float(
  'seconds', 8.0, 'Of video, end to end.', lower_bound=0.1, upper_bound=3600.0, **errors.SHARED
)
_STREAMS = flags.DEFINE_integer(
  'streams', 64, 'Most live voices to try.', lower_bound=1, upper_bound=4096, **errors.SHARED
)
_DTYPE = flags.DEFINE_enum(
  'dtype', 'float32', DTYPES, 'In which random weights draw.', **errors.SHARED
)
_PARTS = flags.DEFINE_list('parts', list(report.Plan.parts), 'What to measure.', **errors.SHARED)
_JSON = flags.DEFINE_string('json', None, 'File for the same numbers.', **errors.SHARED)
_COMPILE_CACHE = flags.DEFINE_string(
  'compile_cache', None, 'As of ifmdm_jax.sample; starts use a fresh one.', **errors.SHARED
)
_FIRST_FRAME = flags.DEFINE_bool(
  'first_frame', False, 'Only draw a first frame, to see when it is there.', **errors.SHARED
)


def maker(size, dtype='float32'):
  """Returns a function that makes the generator of a size, see the module.

  Raises:
    InputError: there is none.
  """
  if size == bundle.BUNDLED.name or pathlib.Path(size).is_dir():
    return functools.partial(ifm.load, None if size == bundle.BUNDLED.name else size)
  name, _, size = size.rpartition(':')
  name = name or bundle.read(bundle.BUNDLED).system
  system = generator.system(name)
  if size not in system.sizes:
    raise InputError(
      f'expected --sizes of {", ".join([bundle.BUNDLED.name, *system.sizes])} or a folder of '
      f'weights, got {size!r}'
    )
  return functools.partial(system.fresh, size, dtype=dtype)


def main(_):
  if not all(word.isdigit() and int(word) > 0 for word in _BATCHES.value):
    raise InputError(f'expected --batches like 1,8, got {",".join(_BATCHES.value)}')
  unknown = sorted(set(_PARTS.value) - set(report.Plan.parts))
  if unknown or not _PARTS.value or not _SECONDS.value > 0:  # NaN passes absl's bounds
    raise InputError(
      f'expected --parts of {", ".join(report.Plan.parts)} and --seconds above 0, got '
      f'{",".join(_PARTS.value)} and {_SECONDS.value}'
    )
  compile_cache.keep(_COMPILE_CACHE.value)
  if _FIRST_FRAME.value:
    return ends.draw_first_frame(maker(_SIZES.value[0], _DTYPE.value)())
  batches = tuple(map(int, _BATCHES.value))
  plan = report.Plan(_PARTS.value, batches, _REPEATS.value, _SECONDS.value, _STREAMS.value)
  makers = {size: maker(size, _DTYPE.value) for size in _SIZES.value}  # says what is none first
  roof = measure.roofline()
  found = report.machine(roof)
  print(report.head(found))
  for size, make in tqdm(makers.items(), 'sizes', disable=None):
    print(f'\n{size}')
    found[size], words = {}, [f'--sizes={size}', f'--dtype={_DTYPE.value}']
    for numbers in report.measure(make(), roof, plan, words):
      found[size].update(numbers)
      print('\n'.join(report.lines(numbers)), flush=True)
      if _JSON.value:
        report.write(_JSON.value, found)


if __name__ == '__main__':
  errors.run(main)
