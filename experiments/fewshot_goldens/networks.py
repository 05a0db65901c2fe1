"""The few-shot networks in PyTorch, written from a description of their layers.

Spectral norm is PyTorch's own (`torch.nn.utils.spectral_norm`), as the published layers use it.
"""

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import spectral_norm

EPSILON = 1e-4


def sn(layer):
  return spectral_norm(layer, eps=EPSILON)


def conv(inside, outside, kernel=3, bias=True):
  return sn(nn.Conv2d(inside, outside, kernel, padding=kernel // 2, bias=bias))


def doubled(x):
  return functional.interpolate(x, scale_factor=2, mode='nearest')


def halved(x):
  return functional.avg_pool2d(x, 2)


def total(x):
  """ReLU, then the sum over all places."""
  return functional.relu(x).sum(dim=(2, 3))


class Plain(nn.Module):
  """Two convolutions without a norm between; halves, or keeps the side."""

  def __init__(self, inside, outside, down, first=False):
    super().__init__()
    self.down, self.first = down, first
    self.conv_0, self.conv_1 = conv(inside, outside), conv(outside, outside)
    if down or inside != outside:
      self.skip = conv(inside, outside, 1)

  def forward(self, x):
    y = x if self.first else functional.relu(x)
    y = self.conv_1(functional.relu(self.conv_0(y)))
    s = self.skip(x) if hasattr(self, 'skip') else x
    return halved(y) + halved(s) if self.down else y + s


class Instance(nn.Module):
  """The block of the generator's way down."""

  def __init__(self, inside, outside, first):
    super().__init__()
    norm = lambda width: nn.InstanceNorm2d(width, eps=EPSILON, affine=True)
    if not first:
      self.norm_0 = norm(inside)
    self.norm_1 = norm(outside)
    self.conv_0, self.conv_1 = conv(inside, outside, bias=False), conv(outside, outside)
    self.skip = conv(inside, outside, 1)

  def forward(self, x):
    y = functional.relu(self.norm_0(x)) if hasattr(self, 'norm_0') else x
    y = self.conv_1(functional.relu(self.norm_1(self.conv_0(y))))
    return halved(y) + halved(self.skip(x))


def adain(x, bias, scale):
  y = functional.instance_norm(x, eps=EPSILON)
  return y * scale[:, :, None, None] + bias[:, :, None, None]


class Adaptive(nn.Module):
  """The block of the bottleneck and of the way up."""

  def __init__(self, inside, outside, up):
    super().__init__()
    self.up = up
    self.conv_0, self.conv_1 = conv(inside, outside, bias=False), conv(outside, outside)
    if up:
      self.skip = conv(inside, outside, 1)

  def forward(self, x, take):
    y = functional.relu(adain(x, *take(x.shape[1])))
    y = self.conv_0(doubled(y) if self.up else y)
    y = self.conv_1(functional.relu(adain(y, *take(y.shape[1]))))
    return y + (self.skip(doubled(x)) if self.up else x)


class Attention(nn.Module):
  """SAGAN's, with one map for values."""

  def __init__(self, width):
    super().__init__()
    self.query, self.key = conv(width, width // 8, 1), conv(width, width // 8, 1)
    self.value = conv(width, width, 1)
    self.gamma = nn.Parameter(torch.zeros(1))

  def forward(self, x):
    q, k, v = (layer(x).flatten(2) for layer in (self.query, self.key, self.value))
    weights = torch.softmax(q.transpose(1, 2) @ k, dim=2)  # [B, Q, K]
    read = v @ weights.transpose(1, 2)
    return x + self.gamma * read.reshape(x.shape)


class Stack(nn.Module):
  """Blocks that halve a picture of `side` pixels, with attention at one side."""

  def __init__(self, inside, widths, side, attention, norm):
    super().__init__()
    self.count, self.at = len(widths), None
    for i, width in enumerate(widths):
      kind = Instance(inside, width, i == 0) if norm else Plain(inside, width, True, i == 0)
      setattr(self, f'block_{i}', kind)
      inside, side = width, side // 2
      if side == attention:
        self.attention, self.at = Attention(width), i

  def forward(self, x):
    maps = []
    for i in range(self.count):
      x = getattr(self, f'block_{i}')(x)
      x = self.attention(x) if i == self.at else x
      maps.append(x)
    return maps


class Embedder(nn.Module):
  def __init__(self, size):
    super().__init__()
    self.down = Stack(6, size['down'], size['image'], size['attention'][0], norm=False)

  def forward(self, x):
    return total(self.down(x)[-1])


class Generator(nn.Module):
  def __init__(self, size):
    super().__init__()
    widths, side = size['encode'], size['image'] // 2 ** len(size['encode'])
    self.encoder = Stack(3, widths, size['image'], size['attention'][0], norm=True)
    self.bottleneck, self.ups, self.at = size['bottleneck'], len(size['decode']), None
    inside = widths[-1]
    for i in range(self.bottleneck):
      setattr(self, f'bottleneck_{i}', Adaptive(inside, inside, up=False))
    self.numbers = 4 * inside * self.bottleneck  # two norms, bias and scale of each
    for i, width in enumerate(size['decode']):
      setattr(self, f'up_{i}', Adaptive(inside, width, up=True))
      self.numbers += 2 * (inside + width)
      inside, side = width, side * 2
      if side == size['attention'][1]:
        self.attention, self.at = Attention(width), i
    self.numbers += 2 * inside
    self.head = conv(inside, 3)

  def forward(self, drawing, psi):
    place = 0

    def take(width):
      """The bias of the next norm, then its scale."""
      nonlocal place
      pair = psi[:, place : place + width], psi[:, place + width : place + 2 * width]
      place += 2 * width
      return pair

    x = self.encoder(drawing)[-1]
    for i in range(self.bottleneck):
      x = getattr(self, f'bottleneck_{i}')(x, take)
    for i in range(self.ups):
      x = getattr(self, f'up_{i}')(x, take)
      x = self.attention(x) if i == self.at else x
    x = functional.relu(adain(x, *take(x.shape[1])))
    assert place == psi.shape[1]
    return torch.tanh(self.head(x))


class Discriminator(nn.Module):
  def __init__(self, size):
    super().__init__()
    width = size['down'][-1]
    self.down = Stack(6, size['down'], size['image'], size['attention'][0], norm=False)
    self.last = Plain(width, width, down=False)
    self.score = sn(nn.Linear(width, 1))

  def forward(self, x, rows):
    maps = self.down(x)
    maps.append(self.last(maps[-1]))
    v = total(maps[-1])
    return (v * rows).sum(1) + self.score(v)[:, 0], maps


class FewShot(nn.Module):
  """All networks under their names."""

  def __init__(self, size, videos):
    super().__init__()
    width = size['down'][-1]
    self.embedder, self.generator = Embedder(size), Generator(size)
    self.projector = sn(nn.Linear(width, self.generator.numbers))
    self.discriminator = Discriminator(size)
    self.table = sn(nn.Embedding(videos, width))

  def forward(self, shots, drawings, drawing, video):
    """Pictures [B, 3, S, S] each, shots [B, K, 3, S, S] -> {output}."""
    flat = torch.cat([shots, drawings], dim=2)
    each = self.embedder(flat.flatten(0, 1)).reshape(*shots.shape[:2], -1)
    style = self.projector(each.mean(1))
    frame = self.generator(drawing, style)
    rows = self.table(video)
    score, maps = self.discriminator(torch.cat([frame, drawing], dim=1), rows)
    return dict(embedding=each, style=style, frame=frame, rows=rows, score=score, maps=maps)
