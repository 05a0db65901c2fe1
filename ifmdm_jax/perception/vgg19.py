"""VGG-19 (Simonyan & Zisserman, 2015), frozen: the perceptual loss that LIA and FOMM use.

No package carries its weights; with those of torchvision imported, `config.model.perceptual` =
'ifmdm_jax.perception.vgg19' puts it in the place of VGG-16.
"""

from ifmdm_jax.perception import weights
from ifmdm_jax.perception.vgg import COUNTS, Vgg, normalized

TAPS = ('relu1_1', 'relu2_1', 'relu3_1', 'relu4_1', 'relu5_1')  # the first of each stage
NETWORK = Vgg(COUNTS['vgg19'], TAPS)


def load(folder=None):
  """Reads imported parameters; see `perception.weights.read`."""
  return weights.read('vgg19', folder)


def features(params, x):
  """Makes {'relu1_1': [B, H, W, 64], ..., 'relu5_1': [B, H / 16, ..., 512]} of RGB in [-1, 1]."""
  return NETWORK.apply({'params': params}, normalized(x))
