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
  example(config.model, batch) -> {name: ShapeDtypeStruct}       optional: plans without data

Adversarial model: `params` is a dict (gen, dis, ...) and in place of `loss` there are

  optimizers(config) -> {name: optax transformation}             same names as params; whole config
  step(state, batch, rng, *, config, frozen, optimizers, gradient) -> (state, {name: scalar})
      state.params and state.opt_state by name; return state.replace(params=..., opt_state=...).
      The loop itself counts `state.step` and averages `state.ema`. `gradient(loss)` turns
      loss(params, batch, rng, **rest) -> (scalar, aux) into ((scalar, aux), gradient), in pieces
      and in half precision as config.train says. The norm of every gradient belongs among the
      metrics: the loop leaves an update out if one of them is not finite.

Terms whose weights stand in `config.model.loss` or as `config.model.<term>_weight` are logged as
they are and weighted.

Loader, `config.data.module`:

  make_loader(config.data, *, batch, seed, split, process_index=0, process_count=1) -> iterator
      of dicts of numpy arrays [batch, ...] with get_state() -> JSON-able and set_state(state), as
      grain's DatasetIterator has them. `batch` is what this process needs per step. Split 'train'
      never ends; split 'val' may, and starts anew for every evaluation. `pipeline.loader.endless`,
      or `data.own_rows` alone, make batches that do not depend on the number of processes.

Preview, `config.preview.module`, optional:

  histograms(params, batch, config) -> {name: numbers}
  videos(params, config) -> iterable of (name, frames uint8 [T, H, W, 3], waveform, rate in Hz)

`config.train` and its defaults stand in `program.DEFAULTS`, `config.optim` in `optim.DEFAULTS`,
`config.mesh` and `config.sharding` in `sharding`. Patterns over parameters are regular expressions
that are searched for in the path, as in 'decoder/conv_3/kernel'.

What happens when something goes wrong:

  NaN in loss or gradient   the update is left out; the run ends with status 1, or goes on after up
                            to config.train.skip_not_finite of them in a row
  disk full                 a warning; the next save tries again; status 1 if the last one fails.
                            Logs stop, training does not
  corrupt checkpoint        it is moved to workdir/corrupt, the one before is taken
  data gone                 a checkpoint is saved; status 2; the same command goes on. Several
                            processes go on from the last checkpoint: one cannot save alone
  SIGTERM, Ctrl-C           all processes save at the same step and end with status 0
  kill -9, power            the steps since the last checkpoint are done again, bit for bit
  another mesh, other hosts the same command: state and data position are shared out anew
"""
