import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ifmdm_jax as ifm
from ifmdm_jax import bundle, generator
from ifmdm_jax.clip import Clip
from ifmdm_jax.errors import InputError
from ifmdm_jax.shot import Shot
from ifmdm_jax.systems.difftalk import generate
from ifmdm_jax.systems.difftalk import sampler as sampling


@pytest.fixture(scope='module')
def shot(filmed):
  frames, landmarks, waveform = filmed
  points = np.zeros((len(frames), 478, 3), np.float32)
  points[:, :468, :2] = landmarks * 64
  blocks = lambda: (frames[i : i + 3] for i in range(0, len(frames), 3))
  return Shot(blocks, points, np.arange(len(frames)) / 25, waveform, 64)


def dubbed(sampler, shot, **options):
  return np.concatenate([painted.frames for painted in sampler.dub(shot, **options)])


@pytest.fixture(scope='module')
def fixed(sampler, shot):
  return list(sampler.dub(shot, seed=1))


def test_a_shot_is_dubbed_in_blocks_of_its_length(sampler, shot, fixed):
  assert isinstance(sampler, generator.Dubs) and sampler.size == 64
  assert [len(painted.frames) for painted in fixed] == [4, 4, 2]
  assert all(painted.frames.shape == (*painted.mask.shape, 3) for painted in fixed)
  mask = np.concatenate([painted.mask for painted in fixed])
  assert mask.max() == 1 and (mask[:, :16] == 0).all()  # the film's own pixels above the nose


def test_the_same_seed_gives_the_same_frames_however_the_film_arrives(sampler, shot, fixed):
  film = np.concatenate(list(shot.blocks()))
  whole = dataclasses.replace(shot, blocks=lambda: iter([film]))
  frames = np.concatenate([painted.frames for painted in fixed])
  np.testing.assert_array_equal(dubbed(sampler, whole, seed=1), frames)
  assert (dubbed(sampler, shot, seed=2) != frames).any()


def test_the_voice_is_heard(sampler, shot, fixed):
  other = dataclasses.replace(shot, waveform=shot.waveform[::-1].copy())
  frames = np.concatenate([painted.frames for painted in fixed])
  assert (dubbed(sampler, other, seed=1) != frames).any()


def test_a_voice_that_ends_early_is_followed_by_silence(sampler, shot):
  half = len(shot.waveform) // 2
  short = dataclasses.replace(shot, waveform=shot.waveform[:half])
  silent = np.concatenate([shot.waveform[:half], np.zeros(half, np.float32)])
  padded = dataclasses.replace(shot, waveform=silent)
  np.testing.assert_array_equal(dubbed(sampler, short), dubbed(sampler, padded))


def test_progressive_reads_the_frame_that_it_made_before(sampler, shot):
  """Bit for bit: each frame is what a film of it alone gives, the last made frame its reference."""
  made = dubbed(sampler, shot, reference='progressive', seed=1)
  chunked = dubbed(sampler, shot, reference='chunked:3', seed=1)
  np.testing.assert_array_equal(made[:3], chunked[:3])  # two first chunks beside each other, or one
  assert (made[3:6] != chunked[3:6]).any()
  film = np.concatenate(list(shot.blocks()))
  for index in (1, 5):
    again = _alone(sampler, shot, film, index, made[index - 1])
    np.testing.assert_array_equal(again, made[index])
  assert (_alone(sampler, shot, film, 5, film[0]) != again).any()


def _alone(sampler, shot, film, index, reference):
  """Frame `index` by itself, from a reference."""
  config = sampler._config
  features, numbers = sampler._hear(shot)
  points = shot.landmarks[:, :468, :2] / 64
  masks = sampling.masks
  corners, reach = masks.outlines(points)[index], masks.MARGIN * masks.unit(points, 64)
  mask = masks.polygon(corners, 64, reach)
  frames = {
    'picture': film[index][None],
    'points': points[[index]],
    'keep': sampling.masks.keep(mask, config.latent)[None],
    'speech': sampling.conditions.voice(features, numbers[[index]]),
  }
  frames = {name: sampling._filled(each, 1, 4) for name, each in frames.items()}
  noise, key = sampling.start_noise(1, (config.latent, config.latent, 3))
  draw = sampler._draw('3')
  made = draw(sampler._params, sampler._autoencoder, frames, reference[None], noise, key)
  return np.asarray(made)[0, 0]


def test_what_is_kept_are_the_latents_of_the_film(sampler):
  config, rng = sampler._config, np.random.default_rng(0)
  z = jnp.asarray(rng.normal(size=(2, 16, 16, 3)), jnp.float32)
  keep = jnp.asarray(rng.integers(0, 2, (2, 16, 16, 1)), jnp.float32)
  given = sampling.model.Latents(z, z, z)
  noise, key = sampling.start_noise(0, (16, 16, 3))
  context = jnp.zeros((2, 1, 32))
  sample = jax.jit(lambda *each: sampling.sample(*each, config=config, steps=2))
  made = sample(sampler._params, given, keep, context, noise, key)
  kept = np.broadcast_to(np.asarray(keep) > 0, made.shape)
  np.testing.assert_array_equal(np.asarray(made)[kept], np.asarray(z)[kept])
  assert (np.asarray(made)[~kept] != np.asarray(z)[~kept]).all()


@pytest.mark.parametrize('chain', [0, 1, 3, 4, 7, 50])
@pytest.mark.parametrize('total', [1, 4, 9, 23])
def test_groups_take_every_frame_once_and_chains_begin_where_they_should(chain, total):
  drawn, begun = [], []
  for start, stop, rows, length, begins in sampling.groups(total, chain, block=4):
    assert 0 < stop - start <= rows * length <= 4
    drawn += range(start, stop)
    begun += range(start, stop, length) if begins else []
  assert drawn == list(range(total))
  assert begun == list(range(0, total, chain or 100))


@pytest.mark.parametrize('reference', ['chunked', 'chunked:0', 'chunked:99999', 'last', 3])
def test_an_unknown_reference_is_refused(sampler, shot, reference):
  with pytest.raises(InputError, match='expected fixed, progressive, or chunked:K'):
    next(sampler.dub(shot, reference=reference))


def test_squares_of_another_size_and_impossible_steps_are_refused(sampler, shot):
  with pytest.raises(InputError, match='squares of 64 px'):
    next(sampler.dub(dataclasses.replace(shot, size=32)))
  with pytest.raises(InputError, match='spacing'):
    next(sampler.dub(shot, steps='many'))


def test_a_run_and_its_bundle_are_generators(run, filmed, tmp_path):
  _, workdir, _ = run
  frames, landmarks, waveform = filmed
  clip = Clip(frames=frames, landmarks=landmarks * 64, waveform=waveform[: 6 * 640])
  trained = ifm.load(workdir)
  video = np.concatenate(list(trained.generate(clip.restricted(trained.needs))))
  assert video.shape == (6, 64, 64, 3)
  np.testing.assert_array_equal(video[:, :16], frames[:6, :16])  # the film, bit for bit

  bundle.save(tmp_path / 'weights', generate.pack({'denoiser': workdir}))
  packed = ifm.load(tmp_path / 'weights')
  again = np.concatenate(list(packed.generate(clip)))
  assert np.abs(again.astype(int) - video).mean() < 1  # half precision
  assert packed.defaults == trained.defaults


def test_a_bundle_of_impossible_sizes_is_refused(run):
  _, workdir, _ = run
  settings = dict(generate.pack({'denoiser': workdir}).parts['autoencoder'].settings)
  for changes in (dict(image=10**9), dict(vq={**settings['vq'], 'multipliers': [1, 10**9]})):
    with pytest.raises(InputError, match='from 1 to'):
      generate.checked('autoencoder', {**settings, **changes})
