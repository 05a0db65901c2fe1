"""An adversarial model in a few lines; its loader is the toy's."""

import jax
import jax.numpy as jnp
import optax

from tests.training import toy

make_loader = toy.make_loader


def get_config():
  config = toy.get_config()
  config.model = dict(module='tests.training.toy_adversary')
  config.optim = dict(lr=1e-2)  # read by `optimizers` alone
  config.train.eval_every = config.train.pictures_every = 0
  return config


def init(rng, config):
  del config
  gen, dis = jax.random.split(rng)
  return {'gen': jax.random.normal(gen, (4, 4)), 'dis': jax.random.normal(dis, (4, 1))}


def optimizers(config):
  return {name: optax.adam(config.optim.lr, b1=0.0) for name in ('gen', 'dis')}


def step(state, batch, rng, *, config, frozen, optimizers, gradient):
  del config, frozen
  noise = jax.random.normal(rng, batch['x'].shape)

  def gen_loss(gen, batch, rng, other):
    return jnp.mean(jax.nn.softplus(-(batch['noise'] @ gen) @ other)), {}

  def dis_loss(dis, batch, rng, other):
    real, fake = batch['x'] @ dis, (batch['noise'] @ other) @ dis
    return jnp.mean(jax.nn.softplus(-real)) + jnp.mean(jax.nn.softplus(fake)), {}

  params, opt_state, metrics = dict(state.params), dict(state.opt_state), {}
  for name, other, loss in (('gen', 'dis', gen_loss), ('dis', 'gen', dis_loss)):
    (metrics[name], _), grads = gradient(loss)(
      params[name], dict(x=batch['x'], noise=noise), rng, other=params[other]
    )
    metrics[f'{name}_grad_norm'] = optax.global_norm(grads)
    updates, opt_state[name] = optimizers[name].update(grads, opt_state[name], params[name])
    params[name] = optax.apply_updates(params[name], updates)
  return state.replace(params=params, opt_state=opt_state), metrics
