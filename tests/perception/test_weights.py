import jax
import numpy as np
import pytest

from ifmdm_jax import import_weights
from ifmdm_jax.errors import InputError
from ifmdm_jax.importers import syncnet
from ifmdm_jax.perception import weights


def test_what_import_weights_wrote_is_found(tmp_path, monkeypatch):
  from safetensors.numpy import save_file

  shapes = syncnet.published()
  state = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
  state['netfclip.3.bias'] += 7
  save_file(state, tmp_path / 'syncnet_v2.safetensors')
  import_weights.take(
    'syncnet', [tmp_path / 'syncnet_v2.safetensors'], tmp_path / 'all' / 'syncnet'
  )
  params = weights.read('syncnet', tmp_path / 'all')
  assert (np.asarray(params['lip']['head']['fc_3']['bias']) == 7).all()
  monkeypatch.setenv(weights.FOLDER, str(tmp_path / 'all'))
  again = weights.read('syncnet')
  assert jax.tree.structure(again) == jax.tree.structure(params)


def test_missing_weights_are_one_line_with_the_command_that_brings_them(tmp_path, monkeypatch):
  monkeypatch.delenv(weights.FOLDER, raising=False)
  for folder in (None, tmp_path):
    with pytest.raises(InputError, match='import_weights --kind inception_fid') as error:
      weights.read('inception', folder)
    assert '\n' not in str(error.value)
