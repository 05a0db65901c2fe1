"""Image + audio -> frames: `sampler.Sampler` offline, in blocks, and from a live source."""
