"""DiffTalk's voice network, ahead of its second stage: the mouth's shape, told by the voice.

  python -m ifmdm_jax.prepare --output runs/cache --features --audio whisper_base
  python -m ifmdm_jax.train --config difftalk_voice:lite --workdir runs/voice
  python -m ifmdm_jax.train --config difftalk:lite --init_from runs/voice --workdir runs/difftalk

A minute or two of two CPU cores; longer, it learns the clips by heart. Expected of `lite`: the
opening of mouths of people held out at r = 0.79 (experiments/difftalk). Not published; sizes other
than `lite` can do without.
"""

import ml_collections

from ifmdm_jax.configs import difftalk
from ifmdm_jax.training import program


def get_config(size='lite'):
  whole = difftalk.get_config(size)
  config = ml_collections.ConfigDict()
  config.model = dict(
    module='ifmdm_jax.systems.difftalk.voice',
    audio=whole.model.audio,
    speech_width=whole.model.speech_width,
    speech=whole.model.speech,
    standardise=whole.model.standardise,
    dropout=0.5,
  )
  config.data = dict(
    module='ifmdm_jax.pipeline.sources.voiced_mouths',
    cache='runs/cache',  # made by ifmdm_jax.prepare
    audio=whole.model.speech,
    standardise=whole.model.standardise,
    licence='',  # only clips in whose licence this pattern is found
  )
  config.optim = dict(name='adamw', peak_lr=1e-3, schedule='cosine', weight_decay=0.1)
  config.train = program.defaults(seed=0, steps=160, batch=128, ema=0.98, eval_every=40)
  if size == 'tiny':
    config.train.update(steps=10, batch=8, eval_every=0)
  config.mesh = dict(data=-1, fsdp=1, model=1)  # -1: all devices that are left
  config.sharding = [(r'.*', 'fsdp')]
  return config
