"""Building blocks that two or more models use; they know nothing of faces.

transformer.py   attention with causal and key masks and a cache, blocks with and without adaLN
embed.py         timestep features, positions, two-layer embedders
unet.py          the 2D U-Net of diffusion: concatenation, adaLN, cross-attention, layers along time
control.py       a trainable copy of its way down behind layers of zeros
temporal.py      convolution and attention over the frames of a clip
attention2d.py   attention over pixels: SAGAN's, multi-head, spatial transformer
norms.py         instance norm, adaptive instance norm, group norm
spectral.py      convolution, linear layer and table with spectral norm and its state
residual.py      pre-activation residual blocks with any of the norms
vq.py            vector quantiser with a learned codebook or running averages
patch_gan.py     patch discriminator
adversarial.py   hinge, feature matching, adaptive weight
depthwise.py     convolution of each channel by itself
prelu.py         a slope per channel for what is negative
equalized.py     linear and convolution layers with equalised learning rate, leaky activation
fir.py           the [1, 3, 3, 1] filter around every change of resolution; gaussians
modulated.py     style-modulated convolution, without grouped convolutions
stylegan.py      ResBlock, StyledConv, ToRGB
warp.py          bilinear sampling of features at a grid
winograd.py      3x3 convolutions with a quarter of the multiplications
pool.py          mean over windows
pixels.py        bytes of pictures to [-1, 1], and back
frozen_batch_norm.py   batch norm of networks that are only run
"""
