"""The command: files of others become checkpoints that everything else takes, and go back."""

import functools
import json
import os
import pickle

import jax
import ml_collections
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from safetensors import numpy as safetensors

import ifmdm_jax as ifm
from ifmdm_jax import errors, import_weights, testing, track
from ifmdm_jax.audio import features
from ifmdm_jax.errors import InputError
from ifmdm_jax.importers import files, kinds, motion
from ifmdm_jax.systems.ifmdm.autoencoder import paper
from ifmdm_jax.systems.ifmdm.motion import model as motion_model
from ifmdm_jax.systems.vlogger import flame
from ifmdm_jax.training import checkpoints, weights
from tests.audio import reference
from tests.systems.vlogger import flame_like

STAGE_1 = dict(module=paper.__name__, size=16, style_dim=24, max_width=8, refine=False)
STAGE_2 = dict(
  motion.AS_PUBLISHED,
  width=16,
  depth=1,
  heads=2,
  frames=4,
  motion_dim=20,
  audio_width=24,
  learn_sigma=True,
)


def drawn(init, config):
  config = ml_collections.ConfigDict(config)
  return testing.random_params(jax.eval_shape(lambda: init(jax.random.key(0), config)), scale=0.3)


@functools.cache
def their_stage_1():
  """`gen` and `dis` of a tiny IF-MDM, under the original's names."""
  params = drawn(paper.init, STAGE_1)
  return {
    name: kinds.export(kind, STAGE_1, params)
    for name, kind in (('gen', 'autoencoder'), ('dis', 'discriminator'))
  }


@functools.cache
def their_stage_2():
  return kinds.export('motion', STAGE_2, drawn(motion_model.init, STAGE_2))


def write(path, state):
  path.write_bytes(safetensors.save(state))
  return str(path)


def take(kind, source, output, parts=None, **options):
  import_weights.take(kind, [str(source)], output, parts, **options)
  return output


@pytest.fixture(scope='module')
def imported(tmp_path_factory):
  """Folders of all three networks, from a file each; the speech encoder from a folder."""
  folder = tmp_path_factory.mktemp('imported')
  config, state, _ = reference.fixture('wav2vec2')
  (folder / 'hub').mkdir()
  (folder / 'hub' / 'config.json').write_text(json.dumps(config))
  write(folder / 'hub' / 'model.safetensors', state)
  write(folder / 'gen.safetensors', their_stage_1()['gen'])
  write(folder / 'motion.safetensors', their_stage_2())
  take('autoencoder', folder / 'gen.safetensors', folder / 'autoencoder')
  take('wav2vec2', folder / 'hub', folder / 'speech', layer=2)
  parts = dict(autoencoder=folder / 'autoencoder', audio=folder / 'speech')
  take('motion', folder / 'motion.safetensors', folder / 'motion', parts, heads=2)
  return folder


def test_imported_weights_speak(imported):
  sampler = ifm.load(imported / 'motion')
  voice = np.random.default_rng(0).standard_normal(4_800).astype(np.float32)
  codes = sampler.codes(np.zeros((64, 64, 3), np.uint8), voice, 16_000, steps=2)
  assert codes.shape == (8, 20) and np.isfinite(codes).all()  # 0.3 s


def test_training_can_start_from_imported_weights(imported):
  config, given = checkpoints.load(imported / 'autoencoder')
  params = jax.tree.map(jax.numpy.zeros_like, drawn(paper.init, config.model))
  params, left, unused = weights.take(params, given)
  assert all(path.startswith('dis/') for path in left) and not unused
  np.testing.assert_array_equal(
    params['gen']['directions']['kernel'], their_stage_1()['gen']['dec.direction.weight']
  )


def test_the_layer_is_remembered_and_can_be_changed(imported):
  sound = np.random.default_rng(0).standard_normal(16_000).astype(np.float32)
  found = features.load(imported / 'speech').features(sound, 16_000)
  other = lambda layer: features.load(imported / 'speech', layer=layer).features(sound, 16_000)
  second, third = other(2), other(3)
  np.testing.assert_array_equal(found, second)
  assert np.abs(second - third).max() > 0.1


@pytest.mark.parametrize('kind, suffix', [('autoencoder', '.npz'), ('motion', '.safetensors')])
def test_what_was_imported_goes_back_bit_by_bit(imported, tmp_path, kind, suffix):
  import_weights.export(kind, imported / kind, tmp_path / f'back{suffix}')
  state = their_stage_1()['gen'] if kind == 'autoencoder' else their_stage_2()
  back = files.read(tmp_path / f'back{suffix}')
  assert set(back) == set(state)
  assert all(back[key].tobytes() == value.tobytes() for key, value in state.items())


def test_names_of_a_speech_encoder_go_back_as_they_came(imported, tmp_path):
  import_weights.export('wav2vec2', imported / 'speech', tmp_path / 'back.safetensors')
  state = files.read(imported / 'hub')
  back = files.read(tmp_path / 'back.safetensors')
  assert set(back) == set(state)
  assert all(back[key].tobytes() == value.tobytes() for key, value in state.items())


def test_pytorch_loads_the_export(imported, tmp_path):
  torch = pytest.importorskip('torch')
  transformers = pytest.importorskip('transformers')
  import_weights.export('wav2vec2', imported / 'speech', tmp_path / 'back.pth')
  config = transformers.Wav2Vec2Config.from_pretrained(imported / 'hub')
  state = torch.load(tmp_path / 'back.pth', weights_only=True)
  transformers.Wav2Vec2Model(config).load_state_dict(state, strict=True)


def test_both_networks_of_a_checkpoint_are_taken(tmp_path):
  torch = pytest.importorskip('torch')
  as_tensors = lambda state: {key: torch.from_numpy(value) for key, value in state.items()}
  whole = {name: as_tensors(state) for name, state in their_stage_1().items()}
  torch.save(whole, tmp_path / 'x.pt')
  take('autoencoder', tmp_path / 'x.pt', tmp_path / 'out')
  _, params = checkpoints.load(tmp_path / 'out')
  assert set(params) == {'gen', 'dis'}
  import_weights.export('discriminator', tmp_path / 'out', tmp_path / 'dis.npz')
  assert set(files.read(tmp_path / 'dis.npz')) == set(their_stage_1()['dis'])


# -- bad input


def run(**values):
  """The command's exit status."""
  if not flags.FLAGS.is_parsed():
    flags.FLAGS(['import_weights'])
  with flagsaver.flagsaver(**{'source': [], **values}), pytest.raises(SystemExit) as stop:
    errors.fail_cleanly()(import_weights.main)([])
  return stop.value.code


def one_line(capsys):
  said = capsys.readouterr().err
  assert said.startswith('error: ') and said.count('\n') == 1
  return said


def test_a_malicious_file_is_refused_and_nothing_is_written(tmp_path, capsys):
  class Evil:
    def __reduce__(self):
      return os.system, (f'touch {tmp_path / "trace"}',)

  (tmp_path / 'x.pt').write_bytes(pickle.dumps({'gen': Evil()}))
  status = run(kind='autoencoder', source=[str(tmp_path / 'x.pt')], output=str(tmp_path / 'out'))
  assert status == 2 and 'no part of weights' in one_line(capsys)
  assert [path.name for path in tmp_path.iterdir()] == ['x.pt']


def test_a_wrong_kind_leaves_nothing_behind(tmp_path, capsys):
  source = write(tmp_path / 'x.safetensors', their_stage_1()['gen'])
  assert run(kind='motion', source=[source], output=str(tmp_path / 'out')) == 2
  assert 'pass --kind autoencoder' in one_line(capsys)
  assert [path.name for path in tmp_path.iterdir()] == ['x.safetensors']


def test_a_folder_that_holds_something_is_left_alone(tmp_path, capsys):
  source = write(tmp_path / 'x.safetensors', their_stage_1()['gen'])
  (tmp_path / 'out').mkdir()
  (tmp_path / 'out' / 'mine').write_text('precious')
  assert run(kind='autoencoder', source=[source], output=str(tmp_path / 'out')) == 2
  assert 'exists already' in one_line(capsys)
  assert (tmp_path / 'out' / 'mine').read_text() == 'precious'


def test_incomplete_flags_are_one_clear_line(capsys):
  assert run(kind='motion') == 2
  assert '--output' in one_line(capsys)


def test_an_export_of_another_model_is_an_error(imported, tmp_path):
  with pytest.raises(InputError, match='no gen'):
    import_weights.export('autoencoder', imported / 'motion', tmp_path / 'x.npz')
  with pytest.raises(InputError, match='expected .safetensors'):
    import_weights.export('motion', imported / 'motion', tmp_path / 'x.onnx')
  assert not list(tmp_path.iterdir())


def test_flame_comes_as_a_folder_that_plays_its_numbers(tmp_path, capsys):
  arrays, mixing = flame_like.model()
  source, place = str(tmp_path / 'model.npz'), tmp_path / 'flame'
  np.savez(source, v_template=arrays['v_template'])
  assert run(kind='flame', source=[source], output=str(place)) == 2
  assert 'expected FLAME, f [n, 3]' in one_line(capsys) and not place.exists()
  np.savez(source, **arrays)
  with flagsaver.flagsaver(kind='flame', source=[source], output=str(place)):
    import_weights.main([])
  assert '51 numbers of expression' in capsys.readouterr().out
  assert run(kind='flame', source=[source], output=str(place)) == 2
  assert 'exists already' in one_line(capsys)
  expression = np.repeat(flame_like.coefficients(mixing, jawOpen=0.8), 2, axis=0)
  np.savez(tmp_path / 'track.npz', expr=expression, fps=25)
  played = flame.read(flame.load(place), tmp_path / 'track.npz')
  assert played.units[0].argmax() == track.UNITS.index('jawOpen')
