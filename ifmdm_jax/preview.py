"""What a run shows of a fixed validation set while it trains: videos with sound, motion codes.

The trainer calls it by the name in config.preview, which says how many clips and seconds of each.
"""

import functools
import importlib
import json
import time

import jax
import ml_collections
import numpy as np

from ifmdm_jax.pipeline import records

FPS, RATE = 25, 16_000
BLOCK = 8  # frames drawn at once


def videos(params, config):
  """Yields (name, frames uint8 [T, S, S, 3], waveform float32 [L], 16000) of the first val clips.

  Stage 2 speaks with its own motion: the first frame and the clip's sound, drawn by the stage 1 of
  config.data.autoencoder. Stage 1 moves the first frame by the codes it reads from the others.
  """
  seconds = config.preview.seconds
  dreams = 'autoencoder' in config.data
  sampler = _sampler(params, config) if dreams else None
  for clip in records.clips(config.data.cache, 'val')[: config.preview.clips]:
    frames, voice = clip.frames[: round(seconds * FPS)], _voice(clip, seconds)
    frames = frames[: len(voice) * FPS // RATE]
    if dreams:
      made = sampler(frames[0], voice, RATE, seed=0)
    else:
      made = reenact(params, frames, config)
    yield clip.name, np.asarray(made), voice, RATE


def reenact(params, frames, config):
  """frames uint8 [T, R, R, 3] -> the first one moved as the others: uint8 [T, S, S, 3]."""
  module = importlib.import_module(config.model.module)
  call = lambda name: jax.jit(functools.partial(getattr(module, name), config=config.model))
  portrait = call('portrait')(params, np.asarray(frames[0]))
  read, draw, made = call('motion'), call('draw'), []
  for start in range(0, len(frames), BLOCK):
    some = np.asarray(frames[start : start + BLOCK])
    some = np.pad(some, ((0, BLOCK - len(some)), *((0, 0),) * 3), mode='edge')  # compile once
    made.append(np.asarray(draw(params, portrait, read(params, some))))
  return np.concatenate(made)[: len(frames)]


def histograms(params, batch, config):
  """{name: numbers}: motion codes as stage 1 reads them, or the real and the drawn of stage 2."""
  module = importlib.import_module(config.model.module)
  if 'x' not in batch:
    target = batch['target']
    target = target[:, 0] if target.ndim == 5 else target
    read = jax.jit(functools.partial(module.motion, config=config.model))
    return _named('codes', np.asarray(read(params, target)))
  real, drawn = np.asarray(batch['x']), np.asarray(draw_codes(params, batch, config))
  return {**_named('codes/real', real), **_named('codes/drawn', drawn)}


def draw_codes(params, batch, config, seed=0):
  """Motion codes [B, T, M] for the sound of a batch of stage 2, by config.sampler."""
  told = {name: batch[name] for name in ('y', 'hint', 'mean', 'std', 'mask') if name in batch}
  return _drawing(config.model.to_json(), config.sampler.steps, config.sampler.guidance)(
    params, jax.random.key(seed), told
  )


@functools.lru_cache(maxsize=2)
def _drawing(model_config, steps, guidance):
  """The compiled sampler of a config, so that the next call need not compile it again."""
  from ifmdm_jax.systems.ifmdm.motion import model
  from ifmdm_jax.training import checkpoints

  config = ml_collections.ConfigDict(checkpoints.as_tuples(json.loads(model_config)))
  units = model.frozen(config)
  fixed = dict(config=config, units=units, steps=steps, guidance=guidance)
  return jax.jit(lambda params, rng, told: model.sample(params, rng=rng, **fixed, **told))


def judge(workdir, config, batches=4):
  """Figures of the codes that a trained stage 2 draws for val windows, by config.sampler.

  Args:
    workdir: of the trained run.
    config: whose data and sampler are used.
    batches: of config.train.batch windows.

  Returns:
    {'error': squared error to the real codes over their variance; 'sync': mean correlation over
    time with the real ones, every direction; 'std_ratio', 'speed_ratio': deviation within a window
    and mean change between frames over the real ones'; 'ms_per_window': time of one window when
    a batch is drawn, without compiling}.
  """
  from ifmdm_jax.training import checkpoints

  trained, params = checkpoints.load(workdir)
  config = config.copy_and_resolve_references()
  config.model = trained.model
  loader = importlib.import_module(config.data.module).make_loader
  val = loader(config.data, batch=config.train.batch, seed=0, split='val')
  real, drawn, seconds = [], [], []
  for index, batch in zip(range(batches + 1), val, strict=False):
    start = time.perf_counter()
    codes = np.asarray(draw_codes(params, batch, config, index))
    if index:  # the first one compiles
      seconds.append(time.perf_counter() - start)
      real.append(batch['x'])
      drawn.append(codes)
  real, drawn = np.concatenate(real), np.concatenate(drawn)  # [B, T, M]
  centred = lambda x: x - x.mean(1, keepdims=True)
  norm = lambda x: np.sqrt((centred(x) ** 2).sum(1)) + 1e-9
  sync = (centred(real) * centred(drawn)).sum(1) / (norm(real) * norm(drawn))
  speed = lambda x: np.abs(np.diff(x, axis=1)).mean()
  return {
    'error': float(((real - drawn) ** 2).mean() / real.var()),
    'sync': float(sync.mean()),
    'std_ratio': float(drawn.std(1).mean() / real.std(1).mean()),
    'speed_ratio': float(speed(drawn) / speed(real)),
    'ms_per_window': float(1e3 * np.mean(seconds) / config.train.batch),
  }


def _named(name, codes):
  columns = codes.reshape(-1, codes.shape[-1])
  return {name: columns, **{f'{name}/{i:02d}': columns[:, i] for i in range(columns.shape[1])}}


def _voice(clip, seconds):
  voice = clip.waveform
  if voice is None:
    print(f'note: {clip.name} has no voice: its preview is silent')
    voice = np.zeros(clip.num_frames * RATE // FPS, np.float32)
  return voice[: round(seconds * RATE)]


def _sampler(params, config):
  from ifmdm_jax import bundle
  from ifmdm_jax.audio import features
  from ifmdm_jax.systems.ifmdm import sampler
  from ifmdm_jax.systems.ifmdm.motion import model

  return sampler.Sampler(
    sampler.Stage(*bundle.trained(config.data.autoencoder)),
    sampler.Stage(model, config.model, params),
    model.frozen(config.model),
    features.load(config.model.audio),
    steps=config.sampler.steps,
    guidance=config.sampler.guidance,
  )
