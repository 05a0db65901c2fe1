"""The smallest PyTorch float32 implementation of the paper's encoder and decoder, for measuring.

  python experiments/speed/torch_paper.py --size 512 --repeats 10

Written from the description of the networks, as one would write it in PyTorch: modulated
convolutions by grouped convolution, transposed convolution with a filter after it, `grid_sample`.
Weights are random. Prints median and best milliseconds of wall and of CPU time. Needs torch only.
"""

import argparse
import math
import time

import torch
from torch import nn
from torch.nn import functional as F

LRELU = math.sqrt(2.0)


def channels(r):
  return min(512, 16384 // r)


def lrelu(x):
  return LRELU * F.leaky_relu(x, 0.2)


def fir(x, pad, gain=1.0, up=1):
  """upfirdn with [1, 3, 3, 1]."""
  b, c, h, w = x.shape
  if up == 2:
    x = F.pad(x.reshape(b, c, h, 1, w, 1), (0, 1, 0, 0, 0, 1)).reshape(b, c, 2 * h, 2 * w)
  k = torch.tensor([1.0, 3.0, 3.0, 1.0])
  k = (k[:, None] * k[None] * (gain / 64)).expand(c, 1, 4, 4)
  return F.conv2d(F.pad(x, (pad[0], pad[1], pad[0], pad[1])), k, groups=c)


class EqualConv(nn.Module):
  def __init__(self, cin, cout, k, stride=1, padding=0):
    super().__init__()
    self.weight = nn.Parameter(torch.randn(cout, cin, k, k))
    self.scale, self.stride, self.padding = 1 / math.sqrt(cin * k * k), stride, padding

  def forward(self, x):
    return F.conv2d(x, self.weight * self.scale, None, self.stride, self.padding)


class EqualLinear(nn.Module):
  def __init__(self, din, dout, bias=0.0):
    super().__init__()
    self.weight, self.bias = (
      nn.Parameter(torch.randn(dout, din)),
      nn.Parameter(torch.full((dout,), bias)),
    )
    self.scale = 1 / math.sqrt(din)

  def forward(self, x):
    return F.linear(x, self.weight * self.scale, self.bias)


class ConvLayer(nn.Module):
  def __init__(self, cin, cout, k, down=False, activate=True):
    super().__init__()
    self.down, self.k, self.activate = down, k, activate
    self.conv = EqualConv(cin, cout, k, 2 if down else 1, 0 if down else k // 2)
    self.bias = nn.Parameter(torch.zeros(1, cout, 1, 1))

  def forward(self, x):
    if self.down:
      x = fir(x, (2, 2) if self.k == 3 else (1, 1))
    x = self.conv(x)
    return lrelu(x + self.bias) if self.activate else x


class ResBlock(nn.Module):
  def __init__(self, cin, cout):
    super().__init__()
    self.conv1, self.conv2 = ConvLayer(cin, cin, 3), ConvLayer(cin, cout, 3, down=True)
    self.skip = ConvLayer(cin, cout, 1, down=True, activate=False)

  def forward(self, x):
    return (self.conv2(self.conv1(x)) + self.skip(x)) / math.sqrt(2)


class Encoder(nn.Module):
  def __init__(self, size, motion_dim=20):
    super().__init__()
    n = int(math.log2(size))
    convs = [ConvLayer(3, channels(size), 1)]
    for i in range(n, 2, -1):
      convs.append(ResBlock(channels(2**i), channels(2 ** (i - 1))))
    self.convs = nn.ModuleList(convs)
    self.last = EqualConv(512, 512, 4)
    self.fc = nn.ModuleList(
      [EqualLinear(512, 512) for _ in range(4)] + [EqualLinear(512, motion_dim)]
    )

  def forward(self, x):
    features = []
    for conv in self.convs:
      x = conv(x)
      features.append(x)
    w = self.last(x).flatten(1)
    h = w
    for fc in self.fc[:-1]:
      h = fc(h)
    return w, features[-2::-1], torch.tanh(F.linear(h, self.fc[-1].weight * self.fc[-1].scale))


class ModulatedConv(nn.Module):
  def __init__(self, cin, cout, k, demodulate=True, up=False):
    super().__init__()
    self.weight = nn.Parameter(torch.randn(1, cout, cin, k, k))
    self.modulation = EqualLinear(512, cin, 1.0)
    self.scale, self.k, self.demodulate, self.up = 1 / math.sqrt(cin * k * k), k, demodulate, up

  def forward(self, x, latent):
    b, cin, h, w = x.shape
    weight = self.scale * self.weight * self.modulation(latent).reshape(b, 1, cin, 1, 1)
    if self.demodulate:
      weight = weight * torch.rsqrt(weight.pow(2).sum((2, 3, 4), keepdim=True) + 1e-8)
    cout = weight.shape[1]
    x = x.reshape(1, b * cin, h, w)
    if self.up:
      weight = weight.transpose(1, 2).reshape(b * cin, cout, self.k, self.k)
      x = F.conv_transpose2d(x, weight, stride=2, groups=b)
      return fir(x.reshape(b, cout, 2 * h + 1, 2 * w + 1), (1, 1), 4.0)
    x = F.conv2d(x, weight.reshape(b * cout, cin, self.k, self.k), padding=self.k // 2, groups=b)
    return x.reshape(b, cout, h, w)


class StyledConv(nn.Module):
  def __init__(self, cin, cout, up=False):
    super().__init__()
    self.conv = ModulatedConv(cin, cout, 3, up=up)
    self.bias = nn.Parameter(torch.zeros(1, cout, 1, 1))

  def forward(self, x, latent):
    return lrelu(self.conv(x, latent) + self.bias)


class FlowHead(nn.Module):
  def __init__(self, c):
    super().__init__()
    self.flow = ModulatedConv(c, 3, 1, demodulate=False)
    self.gen = ModulatedConv(c, c, 1, demodulate=False)
    self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))

  def forward(self, x, latent, feature, raw):
    out = self.flow(x, latent) + self.bias
    raw = out if raw is None else out + fir(raw, (2, 1), 4.0, up=2)
    r = x.shape[-1]
    line = torch.linspace(-1, 1, r)
    base = torch.stack(torch.meshgrid(line, line, indexing='xy'), -1)
    grid = torch.tanh(raw[:, :2]).permute(0, 2, 3, 1) + base
    mask = torch.sigmoid(raw[:, 2:])
    warp = F.grid_sample(feature, grid, align_corners=False) * mask
    return warp, warp + self.gen(x, latent) * (1 - mask), raw


class ToRGB(nn.Module):
  def __init__(self, c):
    super().__init__()
    self.conv, self.bias = ConvLayer(c, 3, 1), nn.Parameter(torch.zeros(1, 3, 1, 1))

  def forward(self, x, rgb):
    out = self.conv(x) + self.bias
    return out if rgb is None else out + fir(rgb, (2, 1), 4.0, up=2)


class Decoder(nn.Module):
  def __init__(self, size, motion_dim=20):
    super().__init__()
    self.input = nn.Parameter(torch.randn(1, 512, 4, 4))
    self.conv1 = StyledConv(512, 512)
    self.direction = nn.Parameter(torch.randn(512, motion_dim))
    self.levels = nn.ModuleList()
    for i in range(3, int(math.log2(size)) + 1):
      c = channels(2**i)
      level = [
        StyledConv(channels(2 ** (i - 1)), c, up=True),
        StyledConv(c, c),
        FlowHead(c),
        ToRGB(c),
      ]
      self.levels.append(nn.ModuleList(level))

  def forward(self, w, features, h):
    latent = w + h @ torch.linalg.qr(self.direction + 1e-8)[0].T
    x = self.conv1(self.input.expand(len(w), -1, -1, -1), latent)
    raw = rgb = None
    for (up, same, flow, to_rgb), feature in zip(self.levels, features):
      x = same(up(x, latent), latent)
      warp, x, raw = flow(x, latent, feature, raw)
      rgb = to_rgb(warp, rgb)
    return rgb


def main():
  parser = argparse.ArgumentParser()
  parser.add_argument('--size', type=int, default=512)
  parser.add_argument('--repeats', type=int, default=10)
  args = parser.parse_args()
  torch.manual_seed(0)
  encoder, decoder = Encoder(args.size).eval(), Decoder(args.size).eval()
  image = torch.randn(1, 3, args.size, args.size)
  with torch.inference_mode():
    w, features, h = encoder(image)
    for name, run in (
      ('encoder', lambda: encoder(image)),
      ('decoder', lambda: decoder(w, features, h)),
    ):
      run()
      wall, cpu = [], []
      for _ in range(args.repeats):
        began = time.perf_counter(), time.process_time()
        run()
        wall.append(1000 * (time.perf_counter() - began[0]))
        cpu.append(1000 * (time.process_time() - began[1]))
      wall, cpu = sorted(wall), sorted(cpu)
      print(
        f'torch {name} {args.size}: wall {wall[len(wall) // 2]:.0f} (best {wall[0]:.0f}) ms, '
        f'cpu {cpu[len(cpu) // 2]:.0f} (best {cpu[0]:.0f}) ms'
      )


if __name__ == '__main__':
  main()
