"""Gaussian diffusion over arrays of any shape, channels last: it knows no faces and no network."""
