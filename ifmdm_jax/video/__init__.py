"""Pictures, sound and videos on disk: read, write, paste back, say where it came from.

`write` is the short way, `ifm.video.write('out.mp4', frames, waveform)`; `Writer` streams.
"""

from ifmdm_jax.video.write import Writer, write

__all__ = ['Writer', 'write']
