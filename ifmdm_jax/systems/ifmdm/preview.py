"""What a run of either stage shows of itself: a generator, motion codes, their figures."""

import functools
import importlib
import time

import jax
import ml_collections
import numpy as np

from ifmdm_jax import generator
from ifmdm_jax.rates import FPS
from ifmdm_jax.streaming import device
from ifmdm_jax.systems.ifmdm import motion_stream
from ifmdm_jax.systems.ifmdm.motion import model as motion_model
from ifmdm_jax.systems.ifmdm.motion.sample import Solver
from ifmdm_jax.systems.ifmdm.render import Renderer
from ifmdm_jax.systems.ifmdm.sampler import Stage

KEPT = 2  # compiled samplers: of the weights in training and of another config


class Autoencoder:
  """Stage 1 by itself: moves the first frame by the codes that it reads off the others."""

  name, needs, fps = 'autoencoder', frozenset({'image', 'video'}), FPS

  def __init__(self, stage, size):
    layout = device.layout()
    self.size, self._renderer = size, Renderer(stage, size, layout, device.Pool(layout.workers))

  def generate(self, clip, *, seed=0):
    """Yields uint8 [n, size, size, 3] of `clip.image` that moves as `clip.frames` do."""
    portrait, codes = self._renderer.portrait(clip.image), self._renderer.read(clip.frames)
    yield from self._renderer.drawn(portrait, codes, self._renderer.block)


def generator_of(params, config, load_run):
  """Returns what a run draws with: stage 2's sampler by config.sampler, or stage 1 by itself.

  Args:
    params: of the run.
    config: of the run, whole.
    load_run: of the system.
  """
  if 'autoencoder' in config.data:
    return load_run('preview', config, params)
  module = generator.trainable(config.model.module)[1]
  return Autoencoder(Stage(module, config.model, params), config.model.get('size', 512))


def histograms(params, batch, config):
  """Returns {name: numbers}: codes that stage 1 reads, or real and sampled ones of stage 2."""
  if 'x' in batch:
    sampled = sample_codes(params, batch, config)
    return _columns('codes/real', batch['x']) | _columns('codes/drawn', sampled)
  module = generator.trainable(config.model.module)[1]
  target = batch['target'][:, 0] if batch['target'].ndim == 5 else batch['target']
  read = jax.jit(functools.partial(module.motion, config=config.model))
  return _columns('codes', read(params, target))


def sample_codes(params, batch, config, seed=0):
  """Samples motion codes [B, T, M] for the sound of a batch of stage 2, as `Sampler` does.

  Args:
    params: of stage 2.
    batch: of config.data's loader.
    config: whose model and sampler are used.
    seed: of the first voice; the others follow.
  """
  voices, frames = batch['x'].shape[:2]
  solver = Solver(
    config.sampler.steps, config.sampler.guidance, config.sampler.get('stepper', 'ddim')
  )
  controls = motion_stream.Controls(
    seed=seed + np.arange(voices, dtype=np.uint32),
    mean=batch['mean'],
    std=batch['std'],
    given=np.ones((voices, 2), bool),
    reference=batch['hint'],
    gain=np.ones_like(batch['hint']),
  )
  state = motion_stream.State(batch['hint'], np.zeros(voices, np.uint32))
  valid = batch.get('mask', np.ones((voices, frames), np.float32))
  run = _compiled(ml_collections.FrozenConfigDict(config.model))
  return run(params, batch['y'], valid, state, controls, new=frames, solver=solver)[0]


@functools.lru_cache(maxsize=KEPT)
def _compiled(config):
  """Compiles the sampler of a frozen config.model, once for all calls."""
  sample = functools.partial(motion_stream.sample_motion, config, motion_model.frozen(config))
  return jax.jit(sample, static_argnames=('new', 'solver'))


def code_errors(workdir, config, batches=4):
  """Measures the codes that a trained stage 2 samples for windows of `val`, by config.sampler.

  Args:
    workdir: of the trained run.
    config: whose data and sampler are used.
    batches: of config.train.batch windows.

  Returns:
    {'error': squared error to the real codes over their variance; 'sync': mean correlation over
    time with the real ones, every direction; 'std_ratio', 'speed_ratio': deviation within a window
    and mean change between frames over the real ones'; 'ms_per_window': time of one window when
    a batch is sampled, without compiling}.
  """
  from ifmdm_jax.training import checkpoints  # Orbax takes a second: sampling does without

  trained, params = checkpoints.load(workdir)
  config = config.copy_and_resolve_references()
  config.model = trained.model
  loader = importlib.import_module(config.data.module).make_loader
  val = loader(config.data, batch=config.train.batch, seed=0, split='val')
  real, sampled, seconds = [], [], []
  for index, batch in zip(range(batches + 1), val, strict=False):
    start = time.perf_counter()
    codes = np.asarray(sample_codes(params, batch, config, index * config.train.batch))
    if index:  # the first one compiles
      seconds.append(time.perf_counter() - start)
      real.append(batch['x'])
      sampled.append(codes)
  errors = compare(np.concatenate(real), np.concatenate(sampled))
  return errors | {'ms_per_window': float(1e3 * np.mean(seconds) / config.train.batch)}


def compare(real, sampled):
  """Compares codes [B, T, M] with the real ones; see `code_errors`."""
  centred = lambda x: x - x.mean(1, keepdims=True)
  norm = lambda x: np.sqrt((centred(x) ** 2).sum(1)) + 1e-9
  sync = (centred(real) * centred(sampled)).sum(1) / (norm(real) * norm(sampled))
  speed = lambda x: np.abs(np.diff(x, axis=1)).mean()
  return {
    'error': float(((real - sampled) ** 2).mean() / real.var()),
    'sync': float(sync.mean()),
    'std_ratio': float(sampled.std(1).mean() / real.std(1).mean()),
    'speed_ratio': float(speed(sampled) / speed(real)),
  }


def _columns(name, codes):
  """Splits codes [..., M]: {name: all rows, name/00: the first number of each, ...}."""
  rows = np.asarray(codes).reshape(-1, codes.shape[-1])
  return {name: rows, **{f'{name}/{i:02d}': rows[:, i] for i in range(rows.shape[1])}}
