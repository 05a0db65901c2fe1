"""Tables of the networks that measure: names and shapes of the published files, and their outputs.

The figures in GOLDENS came once from the published PyTorch modules (pytorch-fid on torchvision,
syncnet_python, InsightFace, pytorch-i3d, torchvision) on the weights of `foreign.draw`.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax.errors import InputError
from ifmdm_jax.importers import arcface, engine, i3d, inception, lpips, syncnet, vgg
from ifmdm_jax.perception import vgg19
from tests.importers import foreign

GOLDENS = {  # mean, deviation, first four
  'inception': (0.298686, 0.390003, (0.04535, 0.10251, 0.00000, 0.00000)),
  'syncnet_lip': (0.047844, 3.628925, (-2.93069, -3.11710, -5.01801, 5.28580)),
  'syncnet_audio': (0.048359, 2.372260, (2.92867, 1.92588, -2.71698, 0.45733)),
  'arcface': (-55.851791, 1117.000622, (-441.43851, -130.84789, 562.90753, 604.99872)),
  'vgg19': (1.255143, 1.858810, (3.34566, 9.27597, 0.00000, 3.70681)),
  'i3d': (0.028424, 3.588926, (-3.76638, 1.73906, 2.63261, -0.26511)),
}


def agrees(name, found):
  """Within 1e-4 of the deviation: float32 through a hundred layers, summed in another order."""
  mean, deviation, first = GOLDENS[name]
  found = np.asarray(found, np.float64).ravel()
  np.testing.assert_allclose(found[:4], first, atol=1e-4 * deviation)
  np.testing.assert_allclose([found.mean(), found.std()], [mean, deviation], atol=1e-4 * deviation)


def zeros(shapes):
  return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


def count(params):
  return sum(leaf.size for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize(
  ('table', 'kind', 'parameters'),
  [
    # Published counts plus running statistics, without what the table ignores.
    (inception, (), 21_785_568 + 34_432),
    (i3d, (), 12_697_264 + 14_560),
    (arcface, (50,), 43_590_976 + 38_016),
    (arcface, (100,), 65_156_160 + 69_632),
    (syncnet, (), 13_630_848 + 9_408),
    (vgg, ('vgg16',), 14_714_688),
    (vgg, ('vgg19',), 20_024_384 - 3 * (512 * 512 * 9 + 512)),
    (lpips, ('alex',), 2_469_696 + 1_152),
    (lpips, ('vgg',), 14_714_688 + 1_472),
  ],
)
def test_every_published_entry_is_known(table, kind, parameters):
  _, params = table.convert(zeros(table.published(*kind)))
  assert count(params) == parameters


def test_fid_inception_equals_the_published_network():
  model, params = inception.convert(foreign.draw(inception.published()))
  agrees('inception', jax.jit(model.apply)({'params': params}, foreign.picture(1, 107, 107, 3)))


def test_syncnet_equals_the_published_network():
  model, params = syncnet.convert(foreign.draw(syncnet.published()))
  frames = jnp.moveaxis(foreign.picture(5, 224, 224, 3), 0, 2).reshape(1, 224, 224, 15)
  mfcc = foreign.picture(1, 13, 20)[..., None]
  lip, audio = jax.jit(model.apply)({'params': params}, frames, mfcc)
  agrees('syncnet_lip', lip)
  agrees('syncnet_audio', audio)


def test_arcface_equals_the_published_network():
  model, params = arcface.convert(foreign.draw(arcface.published(18)))
  agrees('arcface', jax.jit(model.apply)({'params': params}, foreign.picture(1, 112, 112, 3)))


def test_vgg19_equals_the_published_network():
  _, params = vgg.convert(foreign.draw(vgg.published('vgg19')))
  taps = vgg19.features(params, foreign.picture(1, 32, 32, 3))
  assert list(taps) == [f'relu{stage}_1' for stage in range(1, 6)]
  agrees('vgg19', taps['relu5_1'])


def test_i3d_equals_the_published_network():
  model, params = i3d.convert(foreign.draw(i3d.published()))
  agrees('i3d', jax.jit(model.apply)({'params': params}, foreign.picture(10, 224, 224, 3)[None]))


@pytest.mark.parametrize(
  ('table', 'kind'), [(inception, ()), (i3d, ()), (arcface, (18,)), (syncnet, ())]
)
def test_tables_lead_back_to_the_published_names(table, kind):
  shapes = table.published(*kind)
  state = {
    name: np.broadcast_to(np.float32(i), shape) for i, (name, shape) in enumerate(shapes.items())
  }
  _, params = table.convert(state)
  exported = engine.export(params, table.RULES)
  _, aside = engine.sort(state, table.RULES, params)
  assert set(exported) | set(aside) == set(state) and not set(exported) & set(aside)
  for name, value in exported.items():
    assert value.shape == state[name].shape
    np.testing.assert_array_equal(value.ravel()[:1], state[name].ravel()[:1])


def test_a_file_of_another_network_is_one_clear_line():
  resnet = {'layer1.0.conv1.weight': np.zeros((64, 64, 3, 3)), 'fc.weight': np.zeros((1000, 512))}
  with pytest.raises(InputError, match='IResNet of InsightFace'):
    arcface.convert(resnet)
  with pytest.raises(InputError, match='vgg16 or vgg19'):
    vgg.convert(resnet)
  with pytest.raises(InputError, match='merge the two files'):
    lpips.convert(resnet)
  with pytest.raises(InputError, match='missing'):
    syncnet.convert(resnet)
