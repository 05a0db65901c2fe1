"""`lite`: the paper's autoencoder re-shaped so that 512x512 renders in real time on a CPU.

The idea is unchanged: a source gives appearance, a frame gives a short motion code, flow
warps the source and a mask says where warping is not enough. What differs:

  networks see   a 128 px copy; only the final warp touches the source's own 512 px pixels
  codes          are relative: the decoder sees h_t - h_s, and zero difference is the identity
  flow           linear in the code on fields predicted once per source, then corrected per frame
  paint          a low-resolution picture fills what warping cannot: mouth, lids, disocclusion

  network.py     the networks        composite.py   warp and blend at any resolution
  model.py       init and loss for the trainer
"""
