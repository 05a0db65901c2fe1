"""One loop for everything that is trained; it knows no model.

A config names two modules; these functions are all that the loop asks of them.

Model, `config.model.module` (the rest of `config.model` are its sizes):

  init(rng, config.model) -> params                              traced: no side effects
  loss(params, batch, rng, *, config, step, frozen) -> (scalar, {name: scalar})
      `config` is `config.model`, `step` an int32 scalar that counts from 0.
  frozen(config.model) -> pytree of constant weights             optional (VGG, ...); never trained
  evaluate(params, batch, rng, *, config, frozen) -> {name: scalar}
      optional; without it the validation figures are those of `loss`
  pictures(params, batch, config.model) -> {name: uint8 [H, W, 3]}        optional

Adversarial model: `params` is a dict (gen, dis, ...) and in place of `loss` there are

  optimizers(config) -> {name: optax transformation}             same names as params; whole config
  step(state, batch, rng, *, config, frozen, optimizers) -> (state, {name: scalar})
      state.params and state.opt_state by name; return state.replace(params=..., opt_state=...).
      The loop itself counts `state.step` and averages `state.ema`.

Loader, `config.data.module`:

  make_loader(config.data, *, batch, seed, split, process_index=0, process_count=1) -> iterator
      of dicts of numpy arrays [batch, ...] with get_state() -> JSON-able and set_state(state), as
      grain's DatasetIterator has them. `batch` is what this process needs per step. Split 'train'
      never ends; split 'val' may, and starts anew for every evaluation.

`config.train` and its defaults stand in `loop.DEFAULTS`, `config.optim` in `optim.DEFAULTS`,
`config.mesh` and `config.sharding` in `sharding`. Patterns over parameters are regular expressions
that are searched for in the path, as in 'decoder/conv_3/kernel'.
"""
