"""Measures by a network how well lips and voice fit: LSE-D, LSE-C and the lag.

Vectors of lips and of voice are compared with the voice moved by -15 to 15 frames. The mean
distance at the best shift is LSE-D (down), the median over the shifts less that is LSE-C (up), the
shift is the lag in frames (Chung & Zisserman, 2016; Prajwal et al., 2020). Positive, as everywhere
here: the voice is late. The offset of `syncnet_python` is the same with the other sign.

`lse_c`, `lse_d` and `lag` are the published network's, where its weights were imported;
`lse_c_own`, `lse_d_own` and `lag_own` those of the network trained here, which has another scale
(unit vectors, distances of 0 to 2). One is never to be compared with the other, nor LSE-C read
alone: a mouth that twitches at every sound beats real people.
"""

import dataclasses

import jax
import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.evaluation.networks import in_batches
from ifmdm_jax.evaluation.types import Absent, Metric
from ifmdm_jax.face import crop
from ifmdm_jax.face.lag import Lag
from ifmdm_jax.perception import mfcc, sync_network, syncnet

SHIFTS = 15  # frames either way
FEWEST = 25  # frames

METRICS = {
  'lse_c': Metric(
    'up', about='published SyncNet; boxes of the face mesh in place of S3FD', digits=2
  ),
  'lse_d': Metric(
    'down', about='published SyncNet; boxes of the face mesh in place of S3FD', digits=2
  ),
  'lag': Metric(
    'truth', 'frames', about='published SyncNet; positive: the voice is late', digits=1
  ),
  'lse_c_own': Metric('up', about='sync network trained here; another scale than lse_c'),
  'lse_d_own': Metric('down', about='sync network trained here; another scale than lse_d'),
  'lag_own': Metric(
    'truth', 'frames', about='sync network trained here; positive: the voice is late', digits=1
  ),
}


@dataclasses.dataclass(frozen=True)
class Scores:
  """What `read` finds.

  Attributes:
    confidence: LSE-C.
    distance: LSE-D.
    lag: frames; positive: the voice is late.
  """

  confidence: float
  distance: float
  lag: int


def distances(lips, voices, outside='skip'):
  """Measures the mean Euclidean distance at each shift of the voice.

  Args:
    lips, voices: [N, D] and [M, D], one vector per frame from the same moment on.
    outside: 'skip' takes the mean over what overlaps; 'zeros' counts a vector of zeros where there
      is no voice, as the published program does.

  Returns:
    float64 [31]: entry i compares lips with the voice of i - 15 frames later.

  Raises:
    ValueError: too few vectors for a shift by 15.
  """
  if min(len(lips), len(voices)) <= SHIFTS:
    raise ValueError(f'expected more than {SHIFTS} vectors, got {len(lips)} and {len(voices)}')
  lips, voices = (np.asarray(v, np.float64) for v in (lips, voices))
  edge = ((SHIFTS, max(SHIFTS, len(lips) - len(voices) + SHIFTS)), (0, 0))
  padded = np.pad(voices, edge)
  known = np.pad(np.ones(len(voices), bool), edge[0])
  means = []
  for i in range(2 * SHIFTS + 1):
    apart = np.linalg.norm(lips - padded[i : i + len(lips)], axis=1)
    means.append(apart[known[i : i + len(lips)]].mean() if outside == 'skip' else apart.mean())
  return np.array(means)


def read(mean):
  """Reads `Scores` off `distances`."""
  best = int(mean.argmin())
  return Scores(float(np.median(mean) - mean[best]), float(mean[best]), best - SHIFTS)


class Bundled:
  """Scores by the sync network trained here; see `perception.sync_network`.

  late = Bundled().lag(crop.lips(frames, landmarks), speech)
  """

  def __init__(self, params=None, audio='whisper_tiny', chunk=64):
    params = sync_network.load() if params is None else params
    module = sync_network.SyncNetwork(audio)
    self.rate = sync_network.RATES[audio]
    self._chunk = chunk
    self._lips = jax.jit(lambda x: module.apply({'params': params}, x, method='lips')[0])
    self._voices = jax.jit(lambda x: module.apply({'params': params}, x, method='voices'))

  def lips(self, crops):
    """Grey uint8 crops [T, 48, 48] (`face.crop.lips`) -> unit vectors [T - 4, 128]."""
    return self._over_time(self._lips, np.float32(crops) / 127.5 - 1, 1)

  def voices(self, speech):
    """Whisper-tiny features [2T, 384] (block 2, at 25 fps) -> unit vectors [T - 4, 128].

    They are brought to mean 0 and deviation 1 over what is given: give the whole clip.
    """
    speech = np.asarray(speech, np.float32)
    standard = (speech - speech.mean(0)) / (speech.std(0) + 1e-8)
    return self._over_time(self._voices, standard, self.rate)

  def _over_time(self, run, x, rate):
    """Pieces of `chunk` windows each, so that one program serves every length."""
    count, step = len(x) // rate - sync_network.FRAMES + 1, self._chunk
    if count < 1:
      raise InputError(f'expected at least {sync_network.FRAMES} frames, got {len(x) // rate}')
    whole = -(-count // step) * step + sync_network.FRAMES - 1
    x = np.pad(x, ((0, whole * rate - len(x)), *((0, 0),) * (x.ndim - 1)), mode='edge')
    size = (step + sync_network.FRAMES - 1) * rate
    pieces = [run(x[None, i * rate :][:, :size])[0] for i in range(0, count, step)]
    return np.concatenate([np.asarray(piece) for piece in pieces])[:count]

  def scores(self, crops, speech):
    """Computes `Scores` of crops [T, 48, 48] and features [2T, 384], on a scale of its own."""
    return read(distances(self.lips(crops), self.voices(speech)))

  def lag(self, crops, speech):
    """Finds the `Lag` of a voice; its r is LSE-C.

    Moving the voice earlier by so many frames (or the pictures later) puts both in sync. What
    confidence to trust at which length is in experiments/sync_network.

    Raises:
      InputError: fewer than 25 frames of either.
    """
    count = min(len(crops), len(speech) // self.rate)
    if count < FEWEST:
      raise InputError(f'expected at least {FEWEST} frames of lips and voice, got {count}')
    scores = self.scores(crops, speech)
    return Lag(scores.lag, scores.confidence)


class Published:
  """Scores by the published SyncNet with imported weights."""

  def __init__(self, weights=None, batch=8):
    params = syncnet.load(weights)
    self._batch = batch
    self._lip = jax.jit(lambda x: syncnet.LipTower().apply({'params': params['lip']}, x))
    self._audio = jax.jit(lambda x: syncnet.AudioTower().apply({'params': params['audio']}, x))

  def scores(self, frames, landmarks, waveform):
    """Computes `Scores` as `syncnet_python` does.

    Args:
      frames: uint8 RGB [T, H, W, 3], 25 per second.
      landmarks: [T, 468, 2], pixels; frames without a face take the nearest one's box.
      waveform: float [L], 16 kHz.
    """
    faces = crop.syncnet_faces(frames, landmarks, syncnet.SIDE)
    cepstrum = mfcc.mfcc(waveform)
    count = min(len(frames), len(waveform) // 640) - syncnet.FRAMES  # one less than there are
    index = np.arange(count)[:, None]
    lips = in_batches(lambda t: self._lip(_stacked(faces, t)), np.arange(count), self._batch)
    sound = cepstrum[4 * index + np.arange(syncnet.COLUMNS)].swapaxes(1, 2)[..., None]
    return read(distances(lips, in_batches(self._audio, sound, self._batch), outside='zeros'))


def _stacked(faces, starts):
  """Stacks windows of five faces, channels last: [B, 224, 224, 15] float32."""
  picked = faces[starts[:, None] + np.arange(syncnet.FRAMES)]  # [B, 5, H, W, 3]
  return np.moveaxis(picked, 1, 3).reshape(len(starts), *faces.shape[1:3], -1).astype(np.float32)


class Scorer:
  """Per-clip family of `evaluation.types`."""

  def __init__(self, published, own):
    self.published, self.own = published, own  # each a network or Absent

  def score(self, pair):
    names = list(METRICS)
    reason = _unfit(pair)
    if reason:
      return dict.fromkeys(names, Absent(reason))
    return {
      **self._read(names[:3], self.published, self._published, pair),
      **self._read(names[3:], self.own, self._own, pair),
    }

  def _read(self, names, network, scores, pair):
    if isinstance(network, Absent):
      return dict.fromkeys(names, network)
    return dict(zip(names, dataclasses.astuple(scores(pair))))

  def _published(self, pair):
    return self.published.scores(pair.predicted, pair.landmarks, pair.waveform)

  def _own(self, pair):
    crops = crop.lips(pair.predicted, pair.landmarks)
    return self.own.scores(crops, pair.speech)


def _unfit(pair):
  """Says why a clip cannot be scored, or None."""
  if pair.waveform is None or pair.speech is None:
    return 'no sound'
  if len(pair.predicted) < FEWEST:
    return f'{len(pair.predicted)} frames, {FEWEST} are the fewest'
  if pair.has_face.mean() < 0.5:
    return 'no face in more than half of the frames'
  return None


def load(weights=None):
  """Makes the scorer: the network trained here is bundled, the published one needs `weights`."""
  try:
    published = Published(weights)
  except InputError as error:
    published = Absent(str(error))
  return Scorer(published, Bundled())
