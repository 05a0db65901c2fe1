"""The sizes of the networks, as `config.model` holds them: numbers and names alone.

  paper  the published layout at 256 px, 72 million parameters besides the table of videos
  lite   128 px; all of it, without the table, in 10 MB of half precision; for two CPU cores
  tiny   64 px, for tests

`down` are the channels of the blocks that halve in the embedder and in the discriminator, down to
4 x 4 pixels; the last is the width of an embedding. `encode`, `bottleneck` and `decode` make the
generator. `attention` are the sides, in pixels, of the maps on which pixels attend to each other:
on the way down, and on the generator's way up; (0, 0): nowhere, as in the first-party layout.
"""

SIZES = {
  'paper': dict(
    image=256,
    down=(64, 128, 256, 512, 512, 512),
    encode=(64, 128, 256, 512),
    bottleneck=4,
    decode=(512, 256, 128, 64),
    attention=(32, 64),
    inner_lips=False,
  ),
  'lite': dict(
    image=128,
    down=(32, 64, 96, 128, 128),
    encode=(32, 64, 128),
    bottleneck=4,
    decode=(128, 64, 32),
    attention=(16, 32),
    inner_lips=True,
  ),
  'tiny': dict(
    image=64,
    down=(16, 32, 64, 64),
    encode=(16, 32, 64),
    bottleneck=2,
    decode=(64, 32, 16),
    attention=(16, 16),
    inner_lips=True,
  ),
}
