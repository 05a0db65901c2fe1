"""Runs and bundles of the few-shot system as generators."""

import dataclasses

import jax
import numpy as np
import pytest

import ifmdm_jax as ifm
from ifmdm_jax import bench, bundle, generator
from ifmdm_jax.benchmark import ends
from ifmdm_jax.benchmark import parts as timed
from ifmdm_jax.clip import Clip
from ifmdm_jax.errors import InputError
from ifmdm_jax.evaluation import generators
from ifmdm_jax.evaluation.protocol import fit
from ifmdm_jax.evaluation.types import Reference
from ifmdm_jax.face.crop import resized
from ifmdm_jax.nn.pixels import as_float
from ifmdm_jax.pipeline import records
from ifmdm_jax.pipeline.sources import episodes
from ifmdm_jax.systems.fewshot import generate, inputs, model, parts, sampler
from ifmdm_jax.training import adapt, checkpoints
from tests.systems.fewshot import faces

FILM = np.stack([faces.mesh(opening) for opening in np.linspace(0, 0.1, 20)])
PICTURES = np.random.default_rng(0).integers(0, 255, (4, 64, 64, 3), np.uint8)


def plain(frames):
  """Every picture shows a plain face."""
  return np.stack([faces.mesh() * frames[0].shape[0]] * len(frames))


def clip(side=64, shots=None):
  image = resized(PICTURES[0], side)
  return Clip('film', image=image, landmarks=FILM * side, frames=np.stack([image] * 20),
              shots=shots)  # fmt: skip


def drawn(talker, clip):
  return np.concatenate(list(talker.generate(clip.restricted(talker.needs))))


@pytest.fixture(scope='module')
def trained(run):
  talker = ifm.load(run[1], driver='landmarks')
  talker._own_track = plain
  return talker


def test_a_run_is_a_generator_of_as_many_frames_as_the_film(trained):
  assert isinstance(trained, generator.Reenacts) and isinstance(trained, generator.Probed)
  assert trained.needs == {'image', 'landmarks'} and trained.size == 16
  frames = drawn(trained, clip())
  assert frames.shape == (20, 16, 16, 3) and frames.dtype == np.uint8
  assert (frames[0] != frames[-1]).any()  # the mouth opens
  again = np.concatenate(list(trained.reenact(clip())))
  np.testing.assert_array_equal(again, frames)


def test_it_is_evaluated_by_what_it_needs_and_nothing_else(trained):
  row = generators.Bundle(trained)
  shown = Clip('film', image=clip().image, landmarks=clip().landmarks)
  frames = np.stack([clip().image] * 20)
  whole = dataclasses.replace(shown, frames=frames, waveform=np.zeros(20 * 640, np.float32))
  video = row.driven(Reference(whole, 'film.mp4'), 0)
  assert video.frames.shape == (20, 64, 64, 3)
  expected = fit(drawn(trained, shown), 64)
  np.testing.assert_array_equal(video.frames, expected)


def test_landmarks_are_read_in_pixels_of_the_square(trained):
  difference = np.abs(drawn(trained, clip(64)).astype(int) - drawn(trained, clip(128)))
  assert difference.mean() < 2  # the picture itself is smoother


def test_more_pictures_are_a_mean_and_their_order_says_nothing(trained, run):
  talker = ifm.load(run[1], shots=2, driver='landmarks')
  talker._own_track = plain
  assert talker.needs == {'image', 'landmarks', 'shots:2'}
  one, two = (drawn(talker, clip(shots=PICTURES[order])) for order in ([1, 2], [2, 1]))
  assert np.abs(one.astype(int) - two).max() <= 1
  same = drawn(talker, clip(shots=PICTURES[[0, 0]]))
  assert np.abs(same.astype(int) - drawn(trained, clip())).max() <= 1


def test_a_frame_is_shown_to_the_networks_as_it_was_in_training(faces_set, run):
  """Trained on padded frames and used on bare ones, others' networks drew ugly faces."""
  config, workdir, _ = run
  source = episodes.Episodes(faces_set, 'train', config.data.size, 2)
  example = source.draw(0, np.random.default_rng(0))
  film = records.clips(faces_set, 'train', sound=False)[0]
  small = [resized(frame, 16) for frame in film.frames[:]]
  number = next(i for i, each in enumerate(small) if (each == example['target']).all())
  talker, seen = ifm.load(workdir), {}

  def remember(params, states, shots, points):
    seen.update(shots=shots, points=points)
    return None, None

  talker._own_track, talker._embed = lambda frames: film.landmarks[[number]], remember
  talker.embed(film.frames[[number]])
  trained_on = model.prepared(
    {name: values[None] for name, values in example.items()}, config.model
  )  # fmt: skip
  shown = inputs.beside(as_float(seen['shots']), inputs.drawing(seen['points'], config.model))
  expected = inputs.beside(trained_on['target'], trained_on['drawing'])
  np.testing.assert_allclose(shown, expected, atol=1e-4)


def test_a_bundle_draws_as_its_run_without_the_table(trained, run, tmp_path):
  packed = generate.pack({'networks': run[1]})
  assert 'table' not in packed.parts['networks'].params['params']
  bundle.save(tmp_path / 'weights', packed)
  talker = ifm.load(tmp_path / 'weights', driver='landmarks')
  talker._own_track = plain
  assert talker.name == 'weights' and 'fewshot' in bundle.describe(tmp_path / 'weights')
  difference = np.abs(drawn(talker, clip()).astype(int) - drawn(trained, clip()))
  assert difference.mean() < 2  # half precision


def test_a_person_is_a_bundle_that_looks_at_no_picture(run, tmp_path):
  config, workdir, state = run
  given = config.copy_and_resolve_references()
  given.adapt.steps = ((1, 2),)
  frames = {'image': np.stack([resized(p, 16) for p in PICTURES]), 'points': FILM[:4]}
  extra = checkpoints.load_extra(workdir)
  found = adapt.adapt(model, jax.device_get(state.averaged), frames, given, extra=extra)
  bundle.save(tmp_path / 'anna', parts.packed_person(config.model, found, FILM[:4]))
  talker = ifm.load(tmp_path / 'anna', driver='landmarks')
  one = drawn(talker, clip())
  other = Clip('film', image=255 - clip().image, landmarks=clip().landmarks)
  np.testing.assert_array_equal(drawn(talker, other), one)
  assert one.shape == (20, 16, 16, 3) and np.std(one) > 0


def test_pictures_and_films_without_a_face_are_named(trained, run):
  nobody = ifm.load(run[1], driver='landmarks')
  nobody._own_track = lambda frames: np.full((len(frames), 468, 2), np.nan, np.float32)
  with pytest.raises(InputError, match='picture 1 of 1 shows no face'):
    drawn(nobody, clip())
  gone = Clip('film', image=PICTURES[0], landmarks=np.full((3, 468, 2), np.nan))
  with pytest.raises(InputError, match='film has frames without a face'):
    drawn(trained, gone)


def test_a_bundle_that_is_none_is_refused(run):
  packed = generate.pack({'networks': run[1]})
  part = packed.parts['networks']
  whole = lambda **changes: parts.checked('networks', {**part.settings, **changes})
  for changes, message in [
    (dict(image=10**9), 'from 1 to'), (dict(down=[8, 10**9]), 'from 1 to'),
    (dict(down=[8]), 'expected 4'), (dict(attention=[3, 3]), 'attention'),
  ]:  # fmt: skip
    with pytest.raises(InputError, match=message):
      whole(**changes)
  with pytest.raises(InputError, match='expected a bundle with networks or person'):
    generate.load(bundle.Bundle('fewshot', {'other': part}))
  with pytest.raises(InputError, match='expected embedder, projector, generator in part'):
    generate.load(bundle.Bundle('fewshot', {'networks': bundle.Part(part.settings, {})}))
  settings = {**part.settings, 'attention': [0, 0]}
  with pytest.raises(InputError, match='expected embedder/down/attention/.* None in part'):
    generate.load(bundle.Bundle('fewshot', {'networks': bundle.Part(settings, part.params)}))
  with pytest.raises(InputError, match='loss_preset is'):
    whole(loss_preset='paper_v9')
  with pytest.raises(InputError, match='expected --parts networks=RUN'):
    generate.pack({'generator': run[1]})


def test_a_size_can_be_timed_without_trained_weights():
  made = bench.maker('fewshot:tiny')()
  assert isinstance(made, sampler.Sampler) and made.size == 64
  probes = {timed.label(probe): probe for probe in made.probes((1,))}
  assert list(probes) == ['embedder x1', 'drawing x1', 'generator x1']
  assert np.isfinite(np.asarray(probes['generator x1'].run())).all()
  frames = np.concatenate(list(made.generate(ends.clip_of(made, 0.2))))
  assert frames.shape == (5, 64, 64, 3)
