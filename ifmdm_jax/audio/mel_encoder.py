"""A small convolutional speech encoder, trained from scratch together with the motion model."""

import flax.linen as nn


class ResidualConv(nn.Module):
  """Norm, dilated convolution over time, GELU, projection; added to its input."""

  width: int
  dilation: int

  @nn.compact
  def __call__(self, x):  # [B, S, D]
    y = nn.LayerNorm()(x)
    y = nn.gelu(nn.Conv(self.width, (3,), kernel_dilation=self.dilation)(y))
    return x + nn.Dense(self.width)(y)


class MelEncoder(nn.Module):
  """Log-mel [B, S, 160] as `features.load('mel')` gives it -> [B, S, width], 50 vectors a second.

  Dilations 1, 2, 4, 8 let a vector hear 0.3 s to either side: a syllable and its neighbours.
  """

  width: int = 256
  dilations: tuple[int, ...] = (1, 2, 4, 8)
  n_mels: int = 80

  @nn.compact
  def __call__(self, mel):
    batch, length, _ = mel.shape
    x = mel.reshape(batch, 2 * length, self.n_mels)  # back to 100 frames a second
    x = nn.gelu(nn.Conv(self.width, (3,), name='conv1')(x))
    x = nn.gelu(nn.Conv(self.width, (3,), 2, padding=1, name='conv2')(x))  # centred on 2k
    for dilation in self.dilations:
      x = ResidualConv(self.width, dilation)(x)
    return nn.LayerNorm(name='norm')(x)
