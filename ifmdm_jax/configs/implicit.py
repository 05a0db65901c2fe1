"""Motion autoencoder of the published modules in a small size, distilled from the bundled renderer.

  python -m ifmdm_jax.train --config implicit:small --workdir runs/flow
  python -m ifmdm_jax.train --config implicit:small --workdir runs/pairs \\
      --config.model.stage=pairs --init_from runs/flow

`small` has the published layout at 128 px with an eighth of the channels, zero flow that is the
identity, and moves by the difference of two codes. Expected: after 1,000 steps of stage `flow`
0.47 of the error without motion on people held out; no more has been run. `tiny` is for tests.
"""

import ml_collections

from ifmdm_jax.training import program

SIZES = {
  'small': dict(size=128, motion_dim=20, style_dim=128, max_width=128, multiplier=1 / 8),
  'tiny': dict(size=32, motion_dim=8, style_dim=16, max_width=16, multiplier=1 / 64),
}
DRAWN = {'small': 128, 'tiny': 64}  # a power of two times a side of the renderer and of the network
LOSS = dict(
  flow=1.0, mask=0.5, photo=1.0, code=0.01,  # of pairs that the renderer drew
  face=8.0, lips=60.0, lids=40.0,  # how much more than 1 these count in their flow
  film=4.0, perceptual=1.0, mouth=6.0, eyes=3.0,  # of films, the last two on top of 1
)  # fmt: skip
TRAIN = {
  'small': dict(steps=20_000, batch=4, ema=0.998, eval_every=500, pictures_every=500),
  'tiny': dict(steps=10, batch=2, ema=0.9),
}


def get_config(size='small'):
  config = ml_collections.ConfigDict()
  config.model = dict(
    module='ifmdm_jax.systems.ifmdm.autoencoder.implicit',
    stage='flow',  # or 'pairs'
    **SIZES[size],
    refine=False,
    clean=True,
    relative=True,
    targets=4,  # K, of a picture; data.targets follows
    teacher='',  # folder of a bundle; '': the bundled weights
    driver=dict(gain=0.15, offset=0.1, scale=0.03, turn=0.03, shift=0.01),
    grow=2_000,  # steps over which that begins in stage `flow`
    loss=LOSS,
    fade=5_000,  # steps over which the pairs of the renderer lose their weight in stage `pairs`
  )
  if size == 'tiny':
    config.model.loss.perceptual = 0.0  # no VGG in tests
  config.data = dict(
    module='ifmdm_jax.pipeline.sources.rendered',
    cache='runs/cache',  # made by ifmdm_jax.prepare
    licence='',  # only clips and stills in whose licence this pattern is found
    gap=0,  # frames between source and target at most; 0: any
    size=DRAWN[size],  # side that pictures are brought to, pixels
    targets=config.model.get_ref('targets'),
    stills=0.5,  # share of examples whose picture is a still
  )
  config.optim = dict(
    name='adam', peak_lr=2e-3, schedule='constant', warmup_steps=100, b1=0.9, b2=0.99, clip_norm=1.0
  )
  config.train = program.defaults(seed=0, **TRAIN[size])  # all of them: each is a flag
  config.mesh = dict(data=-1, fsdp=1, model=1)  # -1: all devices that are left
  config.sharding = [(r'.*', 'fsdp')]
  return config
