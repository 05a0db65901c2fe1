r"""Which speech features should stage 2 be conditioned on?

Each encoder needs a cache of its own, made by `prepare --audio NAME` from the same clips:

  for audio in whisper_tiny mel wav2vec2; do
    python -m ifmdm_jax.prepare --source CLIPS --output runs/cache_$audio --audio $audio \
        --autoencoder runs/autoencoder
  done
  python -m ifmdm_jax.sweep --config sweeps/audio_encoder:lite --launch local
"""

from ifmdm_jax.configs import motion

WIDTHS = {'whisper_tiny': 384, 'mel': 80, 'wav2vec2': 768}


def get_config(size='paper'):
  config = motion.get_config(size)
  config.train.eval_every = max(config.train.steps // 10, 1)
  return config


def sweep(add):
  for audio, width in WIDTHS.items():
    cache = f'runs/cache_{audio}'
    add({'model.audio': audio, 'model.audio_width': width, 'data.cache': cache})
