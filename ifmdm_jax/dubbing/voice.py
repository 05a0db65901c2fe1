"""The new voice of a film: read, measured against it, and stretched without changing its pitch."""

import itertools
import math
import tempfile

import numpy as np
import scipy.signal

from ifmdm_jax import read
from ifmdm_jax.audio import sound
from ifmdm_jax.errors import note
from ifmdm_jax.rates import SAMPLE_RATE

MOST = 0.12  # share by which a voice may be stretched or pressed
NEAR = 0.002  # share that nobody hears
HEARD = 60  # seconds that say whether somebody speaks
BAND, SYLLABLES = (150, 4000), (2, 9)  # Hz: of a voice, and of its loudness
SPEAKS = 0.35  # of the mean loudness: how much it changes at the rate of syllables


class Voice:
  """The sound that a film gets.

  Attributes:
    path, track: of it.
    spoken: seconds as recorded.
    tempo: how many times faster it is played, its pitch kept.
    seconds: that it lasts then.
    waveform: float32 [L], mono at 16 kHz, in a file that has no name.
  """

  def __init__(self, path, track=None):
    """Measures a voice; see `read.read_voice` about what is said, and refused."""
    self.path, self.track = path, track
    self.spoken = read.voice_length(path, track=track) / SAMPLE_RATE
    self.tempo, self.waveform = 1.0, None

  @property
  def seconds(self):
    """Seconds that it lasts when it is played."""
    return self.spoken / self.tempo

  def stretch(self, film):
    """Brings the voice nearer to the length of a film, by at most MOST."""
    wanted = self.spoken / film
    self.tempo = min(max(wanted, 1 / (1 + MOST)), 1 + MOST)
    if abs(self.tempo - 1) < NEAR:
      self.tempo = 1.0
    if not math.isclose(self.tempo, wanted, rel_tol=0.01):
      note(
        f'the voice would have to be spoken {wanted:.2f} times as fast; --stretch goes to '
        f'{self.tempo:.2f}, and {abs(self.seconds - film):.2f} s of difference stay'
      )

  def load(self, folder=None):
    """Reads the waveform, to a nameless file in `folder`, and says if nobody seems to speak."""
    with tempfile.TemporaryFile(dir=folder) as file:
      for block in stretched(self._mono(), SAMPLE_RATE, self.tempo):
        file.write(np.ascontiguousarray(block[:, 0], '<f4').tobytes())
      file.flush()
      self.waveform = np.memmap(file, '<f4', 'r')
    if not speaks(self.waveform[: HEARD * SAMPLE_RATE]):
      note(f'in {self.path} nobody seems to speak: the lips will follow what is there')

  def _mono(self):
    return (block[:, None] for block in sound.mono_blocks(self.path, SAMPLE_RATE, self.track))

  def blocks(self, seconds=None):
    """Returns the rate and blocks float32 [n, C] as recorded, of `seconds` at most."""
    rate, blocks = sound.audio_blocks(self.path, self.track)
    blocks = stretched(blocks, rate, self.tempo)
    return rate, blocks if seconds is None else _first(blocks, round(seconds * rate))


def _first(blocks, count):
  for block in blocks:
    if count <= 0:
      return
    yield block[:count]
    count -= len(block)


def stretched(blocks, rate, tempo):
  """Plays blocks float32 [n, C] `tempo` times as fast at the same pitch, by FFmpeg's atempo."""
  if tempo == 1:
    yield from blocks
    return
  import av  # here: networks and their training run without

  blocks = iter(blocks)
  first = next(blocks, None)
  if first is None:
    return
  layout, graph, count = ('mono' if first.shape[1] == 1 else 'stereo'), av.filter.Graph(), 0
  source = graph.add_abuffer(sample_rate=rate, format='fltp', layout=layout, time_base=f'1/{rate}')
  graph.link_nodes(
    source, graph.add('atempo', f'{tempo:.8f}'), graph.add('abuffersink')
  ).configure()
  for block in itertools.chain([first], blocks, [None]):
    frame = None
    if block is not None:
      if not len(block):
        continue
      frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block.T, np.float32), 'fltp', layout)
      frame.sample_rate, frame.pts = rate, count
      count += len(block)
    graph.push(frame)
    while True:
      try:
        yield graph.pull().to_ndarray().T
      except (av.error.BlockingIOError, av.error.EOFError):
        break


def speaks(waveform):
  """Says whether somebody seems to speak in float32 [L] at 16 kHz: loudness comes in syllables."""
  if len(waveform) < SAMPLE_RATE:
    return len(waveform) > 0 and float(np.abs(waveform).max()) > read.SILENCE
  band = scipy.signal.butter(2, BAND, 'bandpass', fs=SAMPLE_RATE, output='sos')
  hop = SAMPLE_RATE // 100
  voiced = scipy.signal.sosfilt(band, waveform)
  loudness = np.sqrt((voiced[: len(voiced) // hop * hop].reshape(-1, hop) ** 2).mean(1))
  mean = loudness.mean()
  if mean < read.SILENCE / 10:
    return False
  slow = scipy.signal.butter(2, SYLLABLES, 'bandpass', fs=100, output='sos')
  return float(scipy.signal.sosfiltfilt(slow, loudness).std() / mean) > SPEAKS
