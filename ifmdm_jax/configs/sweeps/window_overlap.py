"""How much of the motion before should a window go on with? Trains nothing.

  python -m ifmdm_jax.sweep --config sweeps/window_overlap:lite --launch local

Windows of the trained length; `known` frames are those of the window before. `seam` is the mean
change of a code across a border of windows over the mean change elsewhere: 1 is seamless.
`trained` is the run of stage 2, a release or '' for the bundled weights.
"""

import numpy as np

import ifmdm_jax as ifm
from ifmdm_jax.configs import motion
from ifmdm_jax.pipeline import records
from ifmdm_jax.rates import SAMPLE_RATE
from ifmdm_jax.streaming.windows import Plan

SECONDS = 20.0


def get_config(size='paper'):
  config = motion.get_config(size)
  config.trained = 'runs/motion'
  config.known = 0
  return config


def sweep(add):
  for known in (0, 4, 8, 16, 32):
    add({'known': known})


def run(config, workdir):

  del workdir
  sampler = ifm.load(config.trained or None)
  future = sampler.offline.future
  new = sampler.offline.new - config.known
  plan = Plan(new, future, config.known, sampler.offline.past)
  seams, rest, spread = [], [], []
  for clip in records.clips(config.data.cache, 'val')[: config.preview.clips]:
    if clip.waveform is None:
      continue
    voice = clip.waveform[: round(SECONDS * SAMPLE_RATE)]
    codes = sampler.codes(clip.frames[0], voice, SAMPLE_RATE, plan=plan)
    codes = codes[:, : sampler.stages[1].config.motion_dim]  # without eyes
    change = np.abs(np.diff(codes, axis=0)).mean(1)
    border = np.arange(1, len(codes)) % new == 0
    seams.append(change[border])
    rest.append(change[~border])
    spread.append(codes.std(0).mean())
  return {
    'seam': float(np.concatenate(seams).mean() / np.concatenate(rest).mean()),
    'std': float(np.mean(spread)),
    'windows_per_second': 25 / new,
  }
