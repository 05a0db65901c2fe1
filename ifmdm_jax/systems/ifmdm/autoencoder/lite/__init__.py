"""`lite`: the paper's autoencoder re-shaped so that 512x512 renders in real time on a CPU.

The idea is unchanged: a source gives appearance, a frame gives a short motion code, flow
warps the source and a mask says where warping is not enough. What differs:

  networks see   a 128 px copy; only the final warp touches the source's own 512 px pixels
  codes          are relative: the decoder sees h_t - h_s, and zero difference is the identity
  flow           linear in the code on fields predicted once per source, then corrected per frame
  mouth          teeth and the dark behind parted lips, drawn where the portrait shows none
  paint          a low-resolution picture fills what warping and drawing cannot

  network.py     the networks                      composite.py   warp and blend at any resolution
  surface.py     the face in triangles, its pose   limits.py      how far it may go
  eyes.py        lids and irises                   mouth.py       what is between the lips
  geometry.py    what landmarks say beforehand     losses.py      what is minimised
  model.py       init and loss for the trainer
"""
