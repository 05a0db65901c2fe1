"""The video model: a copy that begins as nothing, and videos longer than it can see."""

import functools

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from ifmdm_jax import testing
from ifmdm_jax.errors import InputError
from ifmdm_jax.systems.vlogger import axes, body, clips, controls, outpaint, video, video_model
from ifmdm_jax.systems.vlogger.sizes import SIZES

RNG = np.random.default_rng(0)


def config_of(size='tiny', stage='clips'):
  return ml_collections.ConfigDict({**SIZES[size], 'stage': stage})


@pytest.fixture(scope='module')
def config():
  return config_of()


@pytest.fixture(scope='module')
def params(config):
  """A base that says something, and the copy as it begins."""
  fresh = testing.fresh_params(video, config)
  base = testing.random_params(jax.eval_shape(lambda: fresh['base']), scale=0.1)
  return {'base': base, 'control': video.copy_of(base, fresh['control'])}


@pytest.fixture(scope='module')
def trained(params):
  return testing.random_params(jax.eval_shape(lambda: params), scale=0.1)


def given_of(config, seed=0):
  rng = np.random.default_rng(seed)
  shape = config.clip, config.image, config.image
  part = lambda channels: jnp.asarray(rng.uniform(-1, 1, (*shape, channels)), jnp.float32)
  drawn = controls.Controls(part(3), part(config.masks), part(3), part(1))
  return video.Given(controls=video.joined(drawn, part(3)))


@functools.partial(jax.jit, static_argnames='config')
def _denoise(params, x, t, given, config):
  return video.denoise(params, x, t, given, config.clip, config)


def denoised(params, config, given, x=None, t=500):
  x = RNG.normal(0, 1, (config.clip, config.image, config.image, 3)) if x is None else x
  t = jnp.full((config.clip,), t)
  return np.asarray(
    _denoise(params, jnp.float32(x), t, given, ml_collections.FrozenConfigDict(config))
  )


def test_before_training_controls_change_nothing(config, params):
  x = RNG.normal(0, 1, (config.clip, config.image, config.image, 3))
  alone = denoised(params, config, video.Given(), x)
  assert np.abs(alone).max() > 0.01
  np.testing.assert_array_equal(denoised(params, config, given_of(config), x), alone)


def test_counted_from_the_photo_an_untrained_model_draws_the_warped_reference_over_it(config):
  config = ml_collections.ConfigDict({**config.to_dict(), 'prediction': 'v', 'residual': True})
  fresh = testing.fresh_params(video, config)
  given = given_of(config)
  drawn, photo = video.parts(given.controls, config)
  made = jnp.asarray(denoised(fresh, config, given, x := RNG.normal(0, 1, photo.shape), t=999))
  x_0 = video_model.gaussian(config).x_0_of(made, jnp.float32(x), 999)
  expected = 2 * (drawn.warped + photo * (1 - drawn.valid)) - 1
  np.testing.assert_allclose(x_0, expected, atol=0.02)
  for other in ('eps', 'x_0'):
    with pytest.raises(InputError, match='residual takes prediction v'):
      video_model.gaussian(ml_collections.ConfigDict({**config.to_dict(), 'prediction': other}))


def test_frames_of_a_clip_see_each_other_once_it_is_trained(config, params, trained):
  x = np.zeros((config.clip, config.image, config.image, 3), np.float32)
  other = x.copy()
  other[-1] += 1
  given = given_of(config)
  ours, theirs = (denoised(trained, config, given, each) for each in (x, other))
  assert (ours[-2] != theirs[-2]).any()
  ours, theirs = (denoised(params, config, given, each) for each in (x, other))
  np.testing.assert_array_equal(ours[-2], theirs[-2])  # the base alone sees frame by frame


def batch_of(config, rows=2):
  """Bodies that turn, before noise."""
  rng = np.random.default_rng(0)
  batch = {
    name: rng.integers(0, 255, shape, np.uint8) if dtype == np.uint8 else np.zeros(shape, dtype)
    for name, (dtype, shape) in clips.example(
      config.image, config.clip, len(body.load().identity), rows
    ).items()
  }
  motion = np.repeat(body.standing(9.0)[None], config.clip, axis=0)
  motion[:, axes.INDEX['headYaw']] = np.linspace(0, 0.5, config.clip)
  batch['motion'][:], batch['at'][:], batch['focal'][:] = motion, motion[0], 2.7
  return batch


def test_the_base_stays_as_it_is_in_all_stages_but_its_own(config, trained):
  batch, model = batch_of(config), body.load()
  largest = lambda tree: max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(tree))
  for stage, base, control in (('base', True, False), ('clips', False, True)):
    of = functools.partial(video_model.loss, config=config_of(stage=stage))
    loss = lambda p, of=of: of(p, batch, jax.random.key(0), frozen=model)[0]
    grads = jax.jit(jax.grad(loss))(trained)
    assert (largest(grads['base']) > 0) == base and (largest(grads['control']) > 0) == control
  with pytest.raises(InputError, match='base, pictures, clips'):
    video_model.loss(trained, batch, jax.random.key(0), config=config_of(stage='film'))


def test_controls_are_drawn_of_the_bodies_of_a_batch(config):
  batch, model = batch_of(config), body.load()
  shown = np.asarray(jax.jit(lambda b: video_model.shown(model, b, config))(batch))
  assert shown.shape == (2, config.clip, 16, 16, video.channels(config))
  inside = shown[0, ..., 3 : 3 + config.masks].sum(-1)
  assert 0.1 < inside.mean() < 0.9 and set(np.unique(inside)) <= {0.0, 1.0}
  np.testing.assert_allclose(shown[0, 0, ..., -3:], batch['reference'][0] / 255, atol=1e-6)
  assert np.abs(shown[0, 0] - shown[0, -1]).max() > 0.1  # it turns
  np.testing.assert_array_equal(shown[0, 0, ..., :3], shown[1, 0, ..., :3])  # one body


def test_a_stage_begins_with_a_copy_of_the_base_that_was_trained(config, trained):
  fresh = testing.fresh_params(video, config)
  mixed = {'base': trained['base'], 'control': fresh['control']}
  begun = video_model.begin(mixed, config_of(stage='pictures'))
  np.testing.assert_array_equal(
    begun['control']['down']['conv_in']['bias'], trained['base']['down']['conv_in']['bias']
  )
  kept = video_model.begin(trained, config_of(stage='clips'))
  assert kept['control'] is trained['control']  # its joins are no zeros any more
  assert video_model.begin(mixed, config_of(stage='base'))['control'] is fresh['control']


def test_a_stage_of_the_cascade_reads_the_one_before():
  config = config_of('tiny32')
  shapes = jax.eval_shape(lambda key: video.init(key, config), jax.random.key(0))
  params = testing.random_params(shapes, scale=0.1)
  key = jax.random.key(0)
  low = [np.full((config.clip, 16, 16, 3), value, np.float32) for value in (-0.5, 0.5)]
  level = jnp.zeros((config.clip,), jnp.int32)
  both = [given_of(config)._replace(**video_model.noised(each, level, key, config)) for each in low]
  assert both[0].low.shape == (config.clip, 32, 32, 3)
  np.testing.assert_allclose(both[0].low.mean(), -0.5, atol=0.05)
  x = np.zeros((config.clip, 32, 32, 3))
  ours, theirs = (denoised(params, config, each, x) for each in both)
  assert np.abs(ours - theirs).max() > 1e-3
  late = both[0]._replace(level=level + 900)
  assert np.abs(denoised(params, config, late, x) - ours).max() > 1e-4


@pytest.mark.parametrize('total, length, overlap', [(1, 8, 0.5), (8, 8, 0.5), (37, 8, 0.5),
                                                    (20, 8, 0.25), (9, 8, 0.0)])  # fmt: skip
def test_windows_cover_a_video_once_and_overlap(total, length, overlap):
  found = outpaint.windows(total, length, overlap)
  new = [t for each in found for t in range(each.start + each.known, each.stop)]
  assert new == list(range(total))
  assert all(each.known == round(length * overlap) for each in found[1:])
  assert all(each.stop - each.start <= length for each in found)


def test_an_overlap_that_leaves_nothing_to_draw_is_refused():
  with pytest.raises(InputError, match='overlap from 0 to below 1'):
    outpaint.windows(10, 8, 1.0)


def test_a_long_video_keeps_what_it_has_shown(config, trained):
  shown, given = [], given_of(config)
  run = jax.jit(functools.partial(outpaint.draw, config=config, steps='3'))

  def drawn(numbers, before, known, key):
    keep = np.float32(np.arange(len(before)) < known)[:, None, None, None]
    made = np.asarray(run(trained, given, before, keep, key))
    np.testing.assert_array_equal(made[:known], before[:known])
    shown.append((numbers, before[:known].copy(), made))
    return made

  blocks = list(outpaint.outpaint(drawn, 9, config.clip, config.image, key=jax.random.key(1)))
  frames = np.concatenate(blocks)
  assert frames.shape == (9, 16, 16, 3) and np.abs(frames).max() <= 1 and len(shown) == 4
  for numbers, before, _ in shown[1:]:
    np.testing.assert_array_equal(frames[numbers[: len(before)]], before)
  again = np.concatenate(
    list(outpaint.outpaint(drawn, 9, config.clip, config.image, key=jax.random.key(1)))
  )
  np.testing.assert_array_equal(again, frames)


def test_every_region_of_the_body_has_its_mask():
  assert {size['masks'] for size in SIZES.values()} == {len(body.REGIONS)}


def test_the_full_size_has_the_numbers_that_the_documents_say():
  config = config_of('paper')
  shapes = jax.eval_shape(lambda key: video.init(key, config), jax.random.key(0))
  count = lambda tree: sum(leaf.size for leaf in jax.tree.leaves(tree)) / 1e6
  assert (round(count(shapes['base'])), round(count(shapes['control']))) == (111, 50)
