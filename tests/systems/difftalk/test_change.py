"""Of the sizes that predict a change of the reference, show the face alone, and hear beforehand."""

import csv
import pathlib

import jax
import numpy as np
import pytest

import ifmdm_jax as ifm
from ifmdm_jax import generator, testing
from ifmdm_jax.audio import features as encoders
from ifmdm_jax.configs import difftalk, difftalk_voice
from ifmdm_jax.errors import InputError
from ifmdm_jax.face.points import IBUG, LOWER_FACE
from ifmdm_jax.perception import lpips
from ifmdm_jax.shot import Shot
from ifmdm_jax.systems.difftalk import masks, model, networks, pictures, vq
from ifmdm_jax.systems.difftalk import sampler as sampling
from ifmdm_jax.training import loop
from ifmdm_jax.training import state as states


@pytest.fixture(scope='module')
def changing():
  config = difftalk.get_config('tiny').model
  config.update(predicts='change', detail=0.5, context='tokens', shot=128)
  return config


@pytest.fixture(scope='module')
def untrained(changing, sampler):
  params = testing.fresh_params(networks, changing)
  advice = dict(steps='3', reference='fixed')
  rest = sampler._autoencoder, encoders.load('mel'), advice
  return sampling.Sampler(changing, params, *rest, block=4)


def test_untrained_it_gives_the_reference_back(changing, untrained, sampler):
  rng = np.random.default_rng(0)
  z, z_m, z_r = rng.normal(0, 1, (3, 2, 16, 16, 3)).astype(np.float32)
  keep = np.zeros((2, 16, 16, 1), np.float32)
  keep[:, :8] = 1
  noise, key = sampling.start_noise(0, (16, 16, 3))
  context = rng.normal(0, 1, (2, 21, 32)).astype(np.float32)
  given = model.Latents(z, z_m, z_r)
  made = sampling.sample(
    untrained._params, given, keep, context, noise, key, config=changing, steps='3'
  )
  np.testing.assert_array_equal(made[:, :8], z[:, :8])
  np.testing.assert_allclose(made[:, 8:], z_r[:, 8:], atol=1e-5)


def test_detail_is_the_reference_s_where_nothing_changed_and_none_where_much_did(
  changing, untrained
):
  rng = np.random.default_rng(0)
  reference = rng.uniform(-0.9, 0.9, (1, 64, 64, 3)).astype(np.float32)
  z_r = rng.normal(0, 1, (1, 16, 16, 3)).astype(np.float32)
  autoencoder = untrained._autoencoder
  same = pictures.detailed(autoencoder, z_r, z_r, reference, changing)
  np.testing.assert_allclose(same, reference, atol=1e-5)
  z = z_r.copy()
  z[:, 8:] += 10
  made = pictures.decode(autoencoder, z, changing)
  drawn = pictures.detailed(autoencoder, z, z_r, reference, changing)
  np.testing.assert_allclose(drawn[:, 40:], made[:, 40:], atol=1e-6)


def test_the_loss_s_polygon_is_the_sampler_s(filmed):
  points = filmed[1][:3].astype(np.float32)
  for margin in (masks.MARGIN, 0.0, -0.06):
    drawn = np.asarray(pictures.lower_faces(points, 256, margin))[..., 0]
    for each, ours in zip(points, drawn, strict=True):
      wanted = masks.polygon(each[LOWER_FACE], 256, margin * masks.unit(each[None], 256))
      assert (ours != wanted).sum() < 0.05 * wanted.sum()  # how edges are rounded
      touched = np.asarray(pictures.generated(ours[None, ..., None], 16))[0]
      np.testing.assert_array_equal(touched, 1 - masks.keep(ours, 16))


def test_pictures_are_compared_in_the_lower_face_alone():
  rng = np.random.default_rng(0)
  target = rng.uniform(-1, 1, (2, 64, 64, 3)).astype(np.float32)
  inside = np.zeros((2, 64, 64, 1), np.float32)
  inside[:, 32:] = 1
  weights = lpips.load('alex')
  above, below = target.copy(), target.copy()
  above[:, :32], below[:, 32:] = 0.5, below[:, 32:] + 0.25
  assert not any(pictures.error(above, target, inside, weights).values())
  found = pictures.error(below, target, inside, weights)
  np.testing.assert_allclose(found['l1'], 0.25, rtol=1e-5)
  assert found['lpips'] > 0


def test_what_is_drawn_teaches_the_denoiser(changing, dub_set):
  config = changing.copy_and_resolve_references()
  config.update(picture_weight=1.0, weight_shown=0.0)
  batch = batch_of(config)
  params = testing.fresh_params(networks, config)
  plain = changing.copy_and_resolve_references()
  plain.weight_shown = 0.0
  results = {}
  for each in (config, plain):
    rest = dict(config=each, step=0, frozen=model.frozen(each))
    of = lambda params, rest=rest: model.loss(params, batch, jax.random.key(0), **rest)
    results[each.get('picture_weight', 0.0)] = jax.jit(jax.value_and_grad(of, has_aux=True))(params)
  (loss, metrics), grads = results[1.0]
  (without, _), others = results[0.0]
  np.testing.assert_allclose(loss, without + metrics['l1'] + metrics['lpips'], rtol=1e-5)
  last = lambda tree: np.asarray(tree['unet']['up']['conv_out']['kernel'])
  assert np.abs(last(grads) - last(others)).max() > 1e-6


def test_a_shot_larger_than_the_networks_picture_is_dubbed(untrained, filmed):
  frames, landmarks, waveform = filmed
  large = frames.repeat(2, axis=1).repeat(2, axis=2)
  points = np.zeros((len(frames), 478, 3), np.float32)
  points[:, :468, :2] = landmarks * 128
  shot = Shot(lambda: iter([large]), points, np.arange(len(frames)) / 25, waveform, 128)
  assert untrained.size == 128
  painted = list(untrained.dub(shot))
  masks = np.concatenate([each.mask for each in painted])
  made = np.concatenate([each.frames for each in painted])
  assert made.shape == large.shape and masks.shape == large.shape[:3]
  assert 0.9 < masks.max() <= 1 and masks.min() == 0 and masks.mean() < 0.3
  # The first frame is its own reference: nothing changed, and its own lips come back.
  sure = masks[0] > 0.99
  assert np.abs(made[0].astype(int) - large[0])[sure].mean() < 4


def test_a_prediction_that_is_none_is_refused(changing):
  config = changing.copy_and_resolve_references()
  config.predicts = 'lips'
  with pytest.raises(InputError, match='noise, change'):
    model.gaussian(config)


def test_what_is_shown_anyway_counts_less(changing, dub_set):
  config = changing.copy_and_resolve_references()
  config.weight_shown = 0.0
  batch = batch_of(config)
  params = testing.fresh_params(networks, config)
  rest = dict(config=config, step=0, frozen=model.frozen(config))
  loss, metrics = model.loss(params, batch, jax.random.key(0), **rest)
  half = metrics['mse_lower'] * 0.5  # the points lie in the middle
  np.testing.assert_allclose(loss, half, rtol=1e-5)
  np.testing.assert_allclose(metrics['mse_lower'], metrics['reference_lower'], rtol=1e-4)


def batch_of(config):
  """Two noisy faces: the drawn one's points, of which those that are asked lie in the middle."""
  rng = np.random.default_rng(0)
  picture = lambda: rng.integers(0, 256, (2, config.image, config.image, 3), dtype=np.uint8)
  points = np.full((2, 468, 2), 0.5, np.float32)
  points[:, LOWER_FACE] = testing.talking_face(2, 64, seed=0)[1][:, LOWER_FACE]
  points[:, IBUG[30]] = 0.5
  speech = rng.normal(0, 1, (2, 8, 16, config.speech_width)).astype(np.float32)
  return dict(target=picture(), reference=picture(), points=points, speech=speech)


@pytest.fixture(scope='module')
def listened(dub_set, tmp_path_factory):
  """(config, workdir) of the voice's network after some steps."""
  config = difftalk_voice.get_config('tiny')
  config.data.cache = str(dub_set)
  config.train.update(steps=30, log_every=10, eval_every=30, eval_batches=2)
  workdir = tmp_path_factory.mktemp('runs') / 'voice'
  loop.train(config, workdir, devices=jax.devices()[:1])
  return config, workdir


def test_the_voice_s_network_learns_what_the_mouth_does(listened):
  _, workdir = listened
  rows = list(csv.DictReader((workdir / 'log.csv').open()))
  value = lambda name: [float(row['value']) for row in rows if row['name'] == name]
  assert value('train/mse')[-1] < value('train/mse')[0]
  assert value('val/opening_r')[-1] > 0.5 and value('val/told')[-1] > 0


def test_stage_2_takes_the_voice_s_network_and_leaves_it_as_it_is(
  listened, dub_set, tmp_path_factory
):
  _, voice = listened
  config = difftalk.get_config('tiny')
  config.data.cache = str(dub_set)
  config.optim.frozen_paths = ('audio/',)
  config.train.update(steps=2, log_every=1)
  workdir = tmp_path_factory.mktemp('runs') / 'stage2'
  state = loop.train(config, workdir, devices=jax.devices()[:1], init_from=voice)
  _, heard = loop.load(voice)
  equal = lambda a, b: np.testing.assert_array_equal(a, b)
  jax.tree.map(equal, dict(heard['audio']), dict(state.params['audio']))


def test_the_experimental_weights_load():
  folder = pathlib.Path(__file__).parents[3] / 'experiments' / 'difftalk' / 'weights'
  loaded = ifm.load(folder)
  assert isinstance(loaded, generator.Dubs) and loaded.size == 256
  assert loaded.defaults == {'steps': '1', 'reference': 'fixed'}


def test_training_goes_on_from_the_experimental_weights():
  folder = pathlib.Path(__file__).parents[3] / 'experiments' / 'difftalk' / 'weights'
  config = difftalk.get_config('lite').model
  config.autoencoder = str(folder)
  found = model.load_autoencoder(config)
  expected = jax.eval_shape(lambda key: vq.init(key, config), jax.random.key(0))
  shapes = lambda tree: {path: leaf.shape for path, leaf in states.by_path(tree).items()}
  assert shapes(found) == shapes(expected)
  config.vq.width = 32
  with pytest.raises(InputError, match='choose the size'):
    model.load_autoencoder(config)
