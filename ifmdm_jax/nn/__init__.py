"""Building blocks that two or more models use; they know nothing of faces.

equalized.py   linear and convolution layers with equalised learning rate, leaky activation
depthwise.py   convolution of each channel by itself
fir.py         the [1, 3, 3, 1] filter around every change of resolution; gaussians
modulated.py   style-modulated convolution, without grouped convolutions
prelu.py       a slope per channel for what is negative
stylegan.py    ResBlock, StyledConv, ToRGB
warp.py        bilinear sampling of features at a grid
"""
