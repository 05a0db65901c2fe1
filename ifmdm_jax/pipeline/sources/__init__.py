"""What a loader draws from: one file per stage, each a source `source[i]`, `draw(item, rng)`.

  pairs     a picture and others of the same person, for the autoencoder
  windows   motion codes with the speech features of their frames, for the motion model
  lips      lips and voices moved apart, for the sync network
  episodes  K frames of a person and one more, for models that learn a person from pictures

`loader.Source` is the contract; a new source is a file with a `make_loader`, named by a config.
"""
