"""One loop for everything that is trained; it knows no model.

A config names modules; `contract` writes down what is asked of them:

  config.model.module     a `Trainable` (init, loss) or an `Adversarial` (init, optimizers, step);
                          the rest of config.model are its sizes. What it can do besides is a
                          protocol each: `Stateful`, `Frozen`, `Evaluated`, `Pictures`, ...
  config.data.module      make_loader(config.data, *, batch, seed, split, process_index=0,
                          process_count=1) -> `Loader` of dicts of numpy arrays [batch, ...].
                          `batch` is what this process needs per step. Split 'train' never ends;
                          split 'val' may, and starts anew for every evaluation.
                          `pipeline.loader.endless`, or `data.own_rows` alone, make batches that do
                          not depend on the number of processes
  config.preview.module   optional, a `Preview`

Terms whose weights stand in `config.model.loss` or as `config.model.<term>_weight` are logged as
they are and weighted. State that no gradient trains (power iteration, codebook averages) is
`TrainState.extra`: it is handed to the loss and comes back from it, is saved, resumed and spread
over devices with the rest, and is never averaged. `adapt` fits a trained model to the K frames of
one person, in a loop of its own.

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
  SIGTERM, SIGHUP, Ctrl-C   all processes save at the same step and end with status 0
  kill -9, power            the steps since the last checkpoint are done again, bit for bit
  another mesh, other hosts the same command: state and data position are shared out anew
"""
