"""Film in, film out: the faces of a film, cut out for whoever changes them, and pasted back.

  from ifmdm_jax import dubbing
  dubbing.dub('talk.mp4', 'german.wav', 'talk_de.mp4', ifm.load())

The room knows no system: it is handed a generator that fulfils `generator.Dubs`, or an editor, see
`edit`.
"""

from ifmdm_jax.dubbing.edits import edit
from ifmdm_jax.dubbing.make import Result, align, dub

__all__ = ['Result', 'align', 'dub', 'edit']
