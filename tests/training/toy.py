"""A model, its loader and its config in a few lines: it learns y = tanh(x A)."""

import grain
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from ifmdm_jax.training.data import own_rows


def get_config():
  config = ml_collections.ConfigDict()
  config.model = dict(module='tests.training.toy', width=8, explode_at=-1, poison_at=-1)
  config.data = dict(module='tests.training.toy', size=96, vanish_at=-1)
  config.optim = dict(
    name='adamw', peak_lr=1e-2, warmup_steps=2, schedule='cosine', weight_decay=1e-3
  )
  config.train = dict(
    steps=12, batch=8, seed=3, ema=0.9, log_every=4, eval_every=6, eval_batches=2, pictures_every=6,
    save_every_minutes=60.0, save_every_steps=4,
  )  # fmt: skip
  config.mesh = dict(data=-1)
  config.sharding = [('inner/kernel', (None, 'data')), ('outer/kernel', ('data',))]
  return config


def init(rng, config):
  first, second = jax.random.split(rng)
  return {
    'inner': {
      'kernel': jax.random.normal(first, (4, config.width)),
      'bias': jnp.zeros((config.width,)),
    },
    'outer': {'kernel': jax.random.normal(second, (config.width, 4)) * 0.1},
  }


def apply(params, x):
  inner = params['inner']
  return jnp.tanh(x @ inner['kernel'] + inner['bias'][None]) @ params['outer']['kernel']


def loss(params, batch, rng, *, config, step, frozen):
  noise = 0.01 * jax.random.normal(rng, batch['x'].shape)
  error = jnp.mean((apply(params, batch['x'] + noise) - batch['y']) ** 2)
  error = error * frozen['weight']
  error = jnp.where(step == config.explode_at, jnp.nan, error)
  # A finite loss whose gradient is not: the slope of a root at zero.
  none = jnp.where(step == config.poison_at, 0.0, 1.0)
  error = error + jnp.sqrt(none + 0.0 * jnp.sum(params['inner']['kernel'])) - none
  return error, {'rmse': jnp.sqrt(error)}


def frozen(config):
  del config
  return {'weight': np.float32(1.0)}


def pictures(params, batch, config):
  del config
  picture = np.asarray(apply(params, batch['x']))[..., None].repeat(3, -1)
  return {'fit': np.uint8(np.clip(picture * 127 + 128, 0, 255))}


def histograms(params, batch, config):
  del config
  return {'codes': apply(params, batch['x'])}


def videos(params, config):
  """Half a second of grey with a tone."""
  del params, config
  tone = np.sin(np.arange(8_000) / 6).astype(np.float32)
  yield 'grey', np.full((12, 32, 32, 3), 128, np.uint8), tone, 16_000


def make_loader(config, *, batch, seed, split, process_index=0, process_count=1):
  rng = np.random.default_rng(7)
  target = rng.normal(size=(4, 4))
  x = rng.normal(size=(config.size, 4)).astype(np.float32)
  rows = [dict(x=row, y=np.tanh(row @ target).astype(np.float32)) for row in x]
  source = Rows(rows[: config.size // 2] if split == 'train' else rows[::-1], config.vanish_at)
  data = grain.MapDataset.source(source)
  if split == 'train':
    data = data.seed(seed).shuffle().repeat()
  data = own_rows(data, batch, process_index, process_count)
  return iter(data.to_iter_dataset().batch(batch, drop_remainder=True))


class Rows(grain.sources.RandomAccessDataSource):
  """A list whose files are gone once `vanish_at` rows were read; -1: never."""

  def __init__(self, rows, vanish_at):
    self.rows, self.left = rows, vanish_at

  def __len__(self):
    return len(self.rows)

  def __getitem__(self, index):
    if self.left == 0:
      raise FileNotFoundError(2, 'No such file or directory', 'shard-00003')
    self.left -= 1
    return self.rows[index]
