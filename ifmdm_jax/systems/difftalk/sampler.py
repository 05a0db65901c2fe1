"""Sampling of stage 2: a shot and a voice -> the shot with new lips, block after block.

DDIM without guidance. Before every step the latents outside the polygon become those of the film's
own frame, noised afresh for that step; at the end they are its own. All frames start from the same
noise and are noised by the same: what differs between neighbours is what they show and hear, not
chance, and how frames are put into blocks changes nothing.

Which reference a frame reads (the published program has the first mode, the paper the second):

  fixed         a frame of the film
  progressive   the first reads a frame of the film, each other one the frame made before it
  chunked:K     progressive, begun anew every K frames, so that no error lives on for longer
"""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np

from ifmdm_jax.audio import blocks
from ifmdm_jax.audio import waveform as waveforms
from ifmdm_jax.clip import check_frames, check_seed
from ifmdm_jax.diffusion import steppers
from ifmdm_jax.errors import InputError
from ifmdm_jax.face.crop import resized
from ifmdm_jax.face.points import POINTS
from ifmdm_jax.nn.pixels import as_bytes, as_float
from ifmdm_jax.rates import FPS, SAMPLE_RATE
from ifmdm_jax.shot import Painted, Shot
from ifmdm_jax.systems.difftalk import conditions, masks, model, networks, pictures, probes
from ifmdm_jax.systems.difftalk.view import View

MOST = 4096  # frames of a chain that is begun anew
BLOCK = 16  # frames that are drawn at once


def chain_of(reference):
  """Reads a mode of reference as the frames that follow from each other; 0: all of the shot.

  Raises:
    InputError: it is neither 'fixed' nor 'progressive' nor 'chunked:K'.
  """
  match = re.fullmatch(r'fixed|progressive|chunked:([0-9]{1,4})', str(reference))
  if not match or (match[1] and not 1 <= int(match[1]) <= MOST):
    raise InputError(
      f'reference is {reference!r:.80}, expected fixed, progressive, or chunked:K with K from 1 to '
      f'{MOST}'
    )
  return int(match[1] or {'fixed': 1, 'progressive': 0}[match[0]])


def groups(total, chain, block=BLOCK):
  """Yields (start, stop, rows, length, begins) of what is drawn at once, in order.

  The frames from start to stop, filled up, are `rows` chains, or parts of one, of `length` frames;
  `begins` says whether they read a frame of the film, or the last one that was made.
  """
  chain = chain or max(total, block)
  rows, length = max(1, block // chain), min(chain, block)
  part = rows * length
  for first in range(0, total, max(chain, part)):
    end = min(first + max(chain, part), total)
    for start in range(first, end, part):
      yield start, min(start + part, end), rows, length, start == first


def start_noise(seed, shape):
  """Draws the noise that frames start from, [1, *shape], and the key of what noises them."""
  noise, known = jax.random.split(jax.random.key(seed % 2**63))
  return jax.random.normal(noise, (1, *shape)), known


def sample(params, given, keep, context, noise, key, *, config, steps):
  """Samples latents of frames that do not read each other: [B, h, w, C].

  Args:
    params: of `networks`.
    given: `model.Latents`; of z only what is kept is read.
    keep: [B, h, w, 1], 1 keep, 0 generate.
    context: [B, K, E], see `networks.Denoiser.context`.
    noise, key: of `start_noise`.
    config: config.model.
    steps: see `model.gaussian`.
  """
  process = model.gaussian(config, steps)

  def denoise(z_t, t):
    return model.denoise(params, z_t, jnp.broadcast_to(t, (len(z_t),)), given, context, config)

  def known(z_t, t, key):
    fresh = jax.random.normal(key, noise.shape)
    noised = process.q_sample(given.z, jnp.broadcast_to(fresh, z_t.shape), t)
    return jnp.where(keep > 0, noised, z_t)

  first = jnp.broadcast_to(noise, given.z.shape)
  z = steppers.sample(denoise, process, steppers.DDIM(), first, known=known, key=key)
  return jnp.where(keep > 0, given.z, z)


def draw(params, autoencoder, frames, reference, noise, key, *, config, steps):
  """Draws B chains of K frames, each frame of which reads the one before: uint8 [B, K, S, S, 3].

  Args:
    params: of `networks`.
    autoencoder: of stage 1.
    frames: {'picture': uint8 [B, K, S, S, 3], 'points': [B, K, N, 2] fractions of the side,
      'keep': [B, K, h, w, 1], 'speech': [B, K, 8, 16, A]}.
    reference: uint8 [B, S, S, 3], that the first frame of each chain reads.
    noise, key: of `start_noise`.
    config, steps: see `sample`.
  """
  network = networks.network(config)

  def one(reference, frame):
    film, points = as_float(frame['picture']), frame['points']
    before = as_float(reference)
    black = config.get('black_from', masks.SAMPLING)
    given = model.latents(autoencoder, film, before, points, config, black)
    inputs = frame['speech'], conditions.landmarks(points)
    context = network.apply({'params': params}, *inputs, method='context')
    rest = dict(config=config, steps=steps)
    z = sample(params, given, frame['keep'], context, noise, key, **rest)
    made = pictures.detailed(autoencoder, z, given.z_r, before, config)
    made = as_bytes(made)
    return made, made

  in_time = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), frames)
  _, made = jax.lax.scan(one, reference, in_time)
  return jnp.swapaxes(made, 0, 1)


class Sampler:
  """Gives a filmed face new lips; see `generator.Generator` and `generator.Dubs`.

  Attributes:
    name: in tables.
    needs: the film with its landmarks, and the new voice.
    size: side of the squares, pixels.
    fps: frames a second of `generate`.
    defaults: steps and reference of a call that says nothing else.
  """

  needs, fps = frozenset({'video', 'landmarks', 'voice'}), FPS

  def __init__(self, config, params, autoencoder, encoder, defaults, name='difftalk', block=BLOCK):
    """Keeps trained networks.

    Args:
      config: config.model of stage 2.
      params: of `networks`.
      autoencoder: parameters of stage 1.
      encoder: `audio.features.AudioEncoder` of the voice.
      defaults: {'steps': ..., 'reference': ...}.
      name: in tables.
      block: frames that are drawn at once.
    """
    self.name, self.defaults = name, dict(defaults)
    self.size = config.get('shot', 0) or config.image
    self._config, self._encoder, self._block = config, encoder, block
    self._shown = config.image, bool(config.get('shot', 0))
    self._params, self._autoencoder = jax.device_put((params, autoencoder))
    self._draw = functools.cache(self._compiled)
    if encoder.width != config.speech_width:
      raise InputError(
        f'{name} reads {config.speech_width} numbers a speech feature, its encoder gives '
        f'{encoder.width}: use the encoder that it was trained with'
      )

  def probes(self, batches):
    """Lists its parts for `ifmdm_jax.bench`, see `generator.Probed`."""
    return probes.probes(self._config, self._params, self._autoencoder, self._encoder, batches)

  def _compiled(self, steps):
    return jax.jit(functools.partial(draw, config=self._config, steps=steps))

  def dub(self, shot, *, seed=0, steps=None, reference=None):
    """Yields `Painted` blocks of a shot, in order, each as soon as it is drawn.

    Args:
      shot: `shot.Shot` of squares of `size`.
      seed: of the noise; the same seed gives the same frames.
      steps: of sampling, see `diffusion.schedule.spacing`.
      reference: 'fixed', 'progressive' or 'chunked:K'.

    Raises:
      InputError: the squares are of another size, or an option cannot be.
    """
    chain = chain_of(self.defaults['reference'] if reference is None else reference)
    steps = str(self.defaults['steps'] if steps is None else steps)
    model.gaussian(self._config, steps)  # says what is wrong with them
    if shot.size != self.size:
      raise InputError(f'{self.name} paints squares of {self.size} px, got {shot.size}')
    side, channels = self._config.latent, self._config.vq.channels
    noise, key = start_noise(check_seed(seed), (side, side, channels))
    view = View(shot.landmarks[:, :POINTS, :2], self.size, *self._shown)
    corners, unit = masks.outlines(view.points), masks.unit(view.points, view.image)
    margin, soft = (self._config.get(*each) for each in masks.REACHES.items())
    features, numbers = self._hear(shot)
    film, anchor, last = _regrouped(shot.blocks(), self._counts(len(shot), chain)), None, None
    for start, stop, rows, length, begins in groups(len(shot), chain, self._block):
      pictures, count = view.show(next(film), start), stop - start
      anchor = pictures[0] if anchor is None else anchor
      polygons = [masks.polygon(each, view.image, margin * unit) for each in corners[start:stop]]
      frames = {
        'picture': pictures,
        'points': view.points[start:stop],
        'keep': np.stack([masks.keep(each, side) for each in polygons]),
        'speech': conditions.voice(features, numbers[start:stop]),
      }
      frames = {name: _filled(each, rows, length) for name, each in frames.items()}
      before = np.broadcast_to(anchor if begins else last, (rows, *anchor.shape))
      made = self._draw(steps)(self._params, self._autoencoder, frames, before, noise, key)
      made = np.asarray(made).reshape(-1, *anchor.shape)[:count]
      last = made[-1]
      shares = np.stack([masks.soften(each, soft * unit) for each in polygons])
      yield Painted(*view.back(made, shares, start))

  def _hear(self, shot):
    """Encodes the voice, silence after its end: features, and which of their frames each is."""
    numbers = np.round(shot.times * FPS).astype(int)
    length = (int(numbers[-1]) + 1) * SAMPLE_RATE // FPS
    waveform = np.asarray(shot.waveform, np.float32)[:length]
    waveform = np.pad(waveform, (0, length - len(waveform)))
    features = self._encoder.features(waveform, SAMPLE_RATE)
    if self._config.get('standardise', False):
      features = blocks.standardised(features)
    return features, numbers

  def generate(self, clip, *, seed=0, steps=None, reference=None):
    """Yields uint8 [t, size, size, 3]: the clip with lips that follow its voice.

    Where the voice is longer than the film its last frame stays; see `dub` for the options.

    Raises:
      InputError: a frame has no landmarks, or see `dub`.
    """
    check_frames(clip.frames)
    shot = shot_of(clip, self.size)
    chain = chain_of(self.defaults['reference'] if reference is None else reference)
    films = _regrouped(shot.blocks(), self._counts(len(shot), chain))
    for painted in self.dub(shot, seed=seed, steps=steps, reference=reference):
      film, share = next(films), painted.mask[..., None]
      mixed = film * (1 - share) + painted.frames * share
      yield np.round(mixed).astype(np.uint8)

  def _counts(self, total, chain):
    return [stop - start for start, stop, *_ in groups(total, chain, self._block)]


def shot_of(clip, size, block=64):
  """Makes a `Shot` of a clip of the film's rate, in squares of `size`; its voice sets the length.

  Raises:
    InputError: there are no landmarks, or not of every frame.
  """
  count, have = round(len(clip.waveform) / clip.rate * FPS), len(clip.frames)
  places = np.minimum(np.arange(max(count, 1)), have - 1)
  side = np.asarray(clip.frames[0]).shape[0]
  landmarks = np.asarray(clip.landmarks, np.float32)[places] * (size / side)
  if not np.isfinite(landmarks[..., :2]).all():
    raise InputError(f'{clip.name or "the clip"} has frames without a face: expected one in each')

  def blocks():
    for start in range(0, len(places), block):
      frames = np.asarray(clip.frames[places[start : start + block]])
      yield np.stack([resized(frame, size) for frame in frames])

  waveform = np.asarray(clip.waveform, np.float32)
  if clip.rate != SAMPLE_RATE:
    waveform = waveforms.prepare(waveform, clip.rate)
  return Shot(blocks, landmarks, np.arange(len(places)) / FPS, waveform, size)


def _filled(array, rows, length):
  """Repeats the last entry up to rows x length ones: [n, ...] -> [rows, length, ...]."""
  missing = rows * length - len(array)
  array = np.concatenate([array, np.repeat(array[-1:], missing, axis=0)])
  return array.reshape(rows, length, *array.shape[1:])


def _regrouped(blocks, counts):
  """Yields blocks [n, ...] of the given lengths out of blocks of any."""
  blocks, waiting = iter(blocks), None
  for count in counts:
    while waiting is None or len(waiting) < count:
      block = next(blocks, None)
      if block is None:
        raise InputError('the film ended before its shot did: is the file whole?')
      waiting = block if waiting is None else np.concatenate([waiting, block])
    yield waiting[:count]
    waiting = waiting[count:]
