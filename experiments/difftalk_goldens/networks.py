"""DiffTalk's networks in PyTorch, written from a description of them, under the published names.

None of the published code is here: layers, shapes and names alone are the same, so that a published
checkpoint would load. Narrow layouts share out group norms as the package does.
"""

import math

import torch
from torch import nn
from torch.nn import functional


def groups(channels):
  """32 groups, fewer where that left a group less than four channels."""
  return max(g for g in range(1, 33) if channels % g == 0 and channels >= 4 * g)


def norm(channels, epsilon):
  return nn.GroupNorm(groups(channels), channels, epsilon)


def swish(x):
  return x * torch.sigmoid(x)


# -- stage 1: the autoencoder


class ResnetBlock(nn.Module):
  def __init__(self, inside, outside):
    super().__init__()
    self.norm1, self.norm2 = norm(inside, 1e-6), norm(outside, 1e-6)
    self.conv1 = nn.Conv2d(inside, outside, 3, padding=1)
    self.conv2 = nn.Conv2d(outside, outside, 3, padding=1)
    if inside != outside:
      self.nin_shortcut = nn.Conv2d(inside, outside, 1)

  def forward(self, x):
    h = self.conv2(swish(self.norm2(self.conv1(swish(self.norm1(x))))))
    return h + (self.nin_shortcut(x) if hasattr(self, 'nin_shortcut') else x)


class AttnBlock(nn.Module):
  def __init__(self, channels):
    super().__init__()
    self.norm = norm(channels, 1e-6)
    self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

  def forward(self, x):
    h = self.norm(x)
    q, k, v = (layer(h).flatten(2) for layer in (self.q, self.k, self.v))
    weights = torch.softmax(q.transpose(1, 2) @ k / math.sqrt(x.shape[1]), dim=2)  # [B, Q, K]
    return x + self.proj_out((v @ weights.transpose(1, 2)).reshape(x.shape))


class Resample(nn.Module):
  """Halves by a strided convolution padded on the right and below, or doubles and convolves."""

  def __init__(self, channels, down):
    super().__init__()
    self.down = down
    stride, padding = (2, 0) if down else (1, 1)
    self.conv = nn.Conv2d(channels, channels, 3, stride, padding)

  def forward(self, x):
    if self.down:
      return self.conv(functional.pad(x, (0, 1, 0, 1)))
    return self.conv(functional.interpolate(x, scale_factor=2, mode='nearest'))


class Level(nn.Module):
  def __init__(self, widths, resample=None):
    super().__init__()
    self.block = nn.ModuleList(ResnetBlock(*pair) for pair in zip(widths, widths[1:]))
    if resample:
      setattr(self, resample, Resample(widths[-1], resample == 'downsample'))
    self.resample = resample

  def forward(self, h):
    for block in self.block:
      h = block(h)
    return getattr(self, self.resample)(h) if self.resample else h


class Mid(nn.Module):
  def __init__(self, width):
    super().__init__()
    self.block_1, self.attn_1 = ResnetBlock(width, width), AttnBlock(width)
    self.block_2 = ResnetBlock(width, width)

  def forward(self, h):
    return self.block_2(self.attn_1(self.block_1(h)))


class Encoder(nn.Module):
  def __init__(self, widths, blocks, channels):
    super().__init__()
    self.conv_in = nn.Conv2d(3, widths[0], 3, padding=1)
    before = [widths[0], *widths]
    last = len(widths) - 1
    self.down = nn.ModuleList(
      Level([before[i], *[width] * blocks], 'downsample' if i < last else None)
      for i, width in enumerate(widths)
    )
    self.mid, self.norm_out = Mid(widths[-1]), norm(widths[-1], 1e-6)
    self.conv_out = nn.Conv2d(widths[-1], channels, 3, padding=1)

  def forward(self, x):
    h = self.conv_in(x)
    for level in self.down:
      h = level(h)
    return self.conv_out(swish(self.norm_out(self.mid(h))))


class Decoder(nn.Module):
  def __init__(self, widths, blocks, channels):
    super().__init__()
    self.conv_in = nn.Conv2d(channels, widths[-1], 3, padding=1)
    self.mid = Mid(widths[-1])
    before = [*widths[1:], widths[-1]]
    self.up = nn.ModuleList(
      Level([before[i], *[width] * (blocks + 1)], 'upsample' if i else None)
      for i, width in enumerate(widths)
    )
    self.norm_out = norm(widths[0], 1e-6)
    self.conv_out = nn.Conv2d(widths[0], 3, 3, padding=1)

  def forward(self, z):
    h = self.mid(self.conv_in(z))
    for level in reversed(self.up):
      h = level(h)
    return self.conv_out(swish(self.norm_out(h)))


class Quantize(nn.Module):
  def __init__(self, entries, channels):
    super().__init__()
    self.embedding = nn.Embedding(entries, channels)

  def forward(self, z):
    flat = z.permute(0, 2, 3, 1).reshape(-1, z.shape[1])
    index = torch.cdist(flat.double(), self.embedding.weight.double()).argmin(1)
    chosen = self.embedding(index).reshape(z.shape[0], *z.shape[2:], z.shape[1])
    return chosen.permute(0, 3, 1, 2), index.reshape(z.shape[0], *z.shape[2:])


class VQModel(nn.Module):
  def __init__(self, width, multipliers, blocks, entries, channels):
    super().__init__()
    widths = [width * multiplier for multiplier in multipliers]
    self.encoder, self.decoder = (kind(widths, blocks, channels) for kind in (Encoder, Decoder))
    self.quantize = Quantize(entries, channels)
    self.quant_conv, self.post_quant_conv = (nn.Conv2d(channels, channels, 1) for _ in range(2))

  def encode(self, x):
    return self.quant_conv(self.encoder(x))

  def decode(self, z):
    return self.decoder(self.post_quant_conv(self.quantize(z)[0]))


# -- stage 2: the U-Net


class ResBlock(nn.Module):
  def __init__(self, inside, outside, embedding):
    super().__init__()
    conv = lambda channels: nn.Conv2d(channels, outside, 3, padding=1)
    self.in_layers = nn.Sequential(norm(inside, 1e-5), nn.SiLU(), conv(inside))
    self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding, outside))
    self.out_layers = nn.Sequential(norm(outside, 1e-5), nn.SiLU(), nn.Dropout(0), conv(outside))
    self.skip_connection = nn.Conv2d(inside, outside, 1) if inside != outside else nn.Identity()

  def forward(self, x, embedding, context):
    del context
    h = self.in_layers(x) + self.emb_layers(embedding)[:, :, None, None]
    return self.skip_connection(x) + self.out_layers(h)


class CrossAttention(nn.Module):
  def __init__(self, width, context, head):
    super().__init__()
    self.heads = width // head
    self.to_q = nn.Linear(width, width, bias=False)
    self.to_k, self.to_v = (nn.Linear(context, width, bias=False) for _ in range(2))
    self.to_out = nn.Sequential(nn.Linear(width, width), nn.Dropout(0))

  def forward(self, x, context):
    split = lambda y: y.reshape(*y.shape[:2], self.heads, -1).transpose(1, 2)
    q, k, v = split(self.to_q(x)), split(self.to_k(context)), split(self.to_v(context))
    weights = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(q.shape[-1]), dim=3)
    return self.to_out((weights @ v).transpose(1, 2).reshape(x.shape))


class GEGLU(nn.Module):
  def __init__(self, width):
    super().__init__()
    self.proj = nn.Linear(width, 8 * width)

  def forward(self, x):
    value, gate = self.proj(x).chunk(2, dim=-1)
    return value * functional.gelu(gate)


class FeedForward(nn.Module):
  def __init__(self, width):
    super().__init__()
    self.net = nn.Sequential(GEGLU(width), nn.Dropout(0), nn.Linear(4 * width, width))

  def forward(self, x):
    return self.net(x)


class Transformer(nn.Module):
  def __init__(self, width, context, head):
    super().__init__()
    self.attn1, self.attn2 = (CrossAttention(width, read, head) for read in (width, context))
    self.ff = FeedForward(width)
    self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))

  def forward(self, x, context):
    h = self.norm1(x)
    x = x + self.attn1(h, h)
    x = x + self.attn2(self.norm2(x), context)
    return x + self.ff(self.norm3(x))


class SpatialTransformer(nn.Module):
  def __init__(self, width, context, head):
    super().__init__()
    self.norm = norm(width, 1e-6)
    self.proj_in, self.proj_out = nn.Conv2d(width, width, 1), nn.Conv2d(width, width, 1)
    self.transformer_blocks = nn.ModuleList([Transformer(width, context, head)])

  def forward(self, x, embedding, context):
    del embedding
    tokens = self.proj_in(self.norm(x)).flatten(2).transpose(1, 2)
    for block in self.transformer_blocks:
      tokens = block(tokens, context)
    return x + self.proj_out(tokens.transpose(1, 2).reshape(x.shape))


class Plain(nn.Module):
  """A convolution under a name of its own, after nearest doubling with `double`."""

  def __init__(self, width, name, double):
    super().__init__()
    self.name, self.double = name, double
    setattr(self, name, nn.Conv2d(width, width, 3, 1 if double else 2, padding=1))

  def forward(self, x, embedding, context):
    del embedding, context
    x = functional.interpolate(x, scale_factor=2, mode='nearest') if self.double else x
    return getattr(self, self.name)(x)


class UNetModel(nn.Module):
  def __init__(self, width, multipliers, blocks, attention, head_width, inside, outside, context):
    super().__init__()
    self.width = width
    self.time_embed = nn.Sequential(
      nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, 4 * width)
    )
    transformer = lambda channels: SpatialTransformer(channels, context, head_width)
    residual = lambda a, b: ResBlock(a, b, 4 * width)
    first = nn.Conv2d(inside, width, 3, padding=1)
    entries, maps, channels = [nn.ModuleList([first])], [width], width
    for level, multiplier in enumerate(multipliers):
      for _ in range(blocks):
        layers = [residual(channels, channels := width * multiplier)]
        layers += [transformer(channels)] if 2**level in attention else []
        entries.append(nn.ModuleList(layers))
        maps.append(channels)
      if level + 1 < len(multipliers):
        entries.append(nn.ModuleList([Plain(channels, 'op', False)]))
        maps.append(channels)
    self.input_blocks = nn.ModuleList(entries)
    self.middle_block = nn.ModuleList(
      [residual(channels, channels), transformer(channels), residual(channels, channels)]
    )
    entries = []
    for level, multiplier in reversed(list(enumerate(multipliers))):
      for i in range(blocks + 1):
        layers = [residual(channels + maps.pop(), channels := width * multiplier)]
        layers += [transformer(channels)] if 2**level in attention else []
        layers += [Plain(channels, 'conv', True)] if level and i == blocks else []
        entries.append(nn.ModuleList(layers))
    self.output_blocks = nn.ModuleList(entries)
    self.out = nn.Sequential(norm(width, 1e-5), nn.SiLU(), nn.Conv2d(width, outside, 3, padding=1))

  def forward(self, x, t, context):
    half = self.width // 2
    rates = torch.exp(-math.log(10_000) * torch.arange(half, dtype=torch.float32) / half)
    angles = t.to(torch.float32)[:, None] * rates
    features = torch.cat([torch.cos(angles), torch.sin(angles)], dim=1).to(x.dtype)
    embedding = self.time_embed(features)
    h = self.input_blocks[0][0](x)
    maps = [h]
    for layers in self.input_blocks[1:]:
      for layer in layers:
        h = layer(h, embedding, context)
      maps.append(h)
    for layer in self.middle_block:
      h = layer(h, embedding, context)
    for layers in self.output_blocks:
      h = torch.cat([h, maps.pop()], dim=1)
      for layer in layers:
        h = layer(h, embedding, context)
    return self.out(h)


# -- stage 2: the conditions


def _dense(*widths):
  """Linear layers with leaky units between."""
  layers = [nn.Linear(widths[0], widths[1])]
  for a, b in zip(widths[1:], widths[2:]):
    layers += [nn.LeakyReLU(0.02), nn.Linear(a, b)]
  return nn.Sequential(*layers)


def _convolutions(widths, stride):
  """Convolutions along time, a leaky unit after each."""
  layers = []
  for a, b in zip(widths, widths[1:]):
    layers += [nn.Conv1d(a, b, 3, stride, padding=1), nn.LeakyReLU(0.02)]
  return nn.Sequential(*layers)


class AudioNet(nn.Module):
  def __init__(self, speech=29):
    super().__init__()
    self.encoder_conv = _convolutions([speech, 32, 32, 64, 64], 2)
    self.encoder_fc1 = _dense(64, 64, 64)

  def forward(self, x):  # [B, 16, C]
    return self.encoder_fc1(self.encoder_conv(x.transpose(1, 2))[:, :, 0])


class AudioAttNet(nn.Module):
  def __init__(self, frames=8):
    super().__init__()
    self.attentionConvNet = _convolutions([32, 16, 8, 4, 2, 1], 1)
    self.attentionNet = nn.Sequential(nn.Linear(frames, frames), nn.Softmax(dim=2))

  def forward(self, x):  # [B, T, 64]
    weights = self.attentionNet(self.attentionConvNet(x[:, :, :32].transpose(1, 2)))  # [B, 1, T]
    return (weights @ x)[:, 0]


class LdmNet(nn.Module):
  def __init__(self):
    super().__init__()
    self.encoder_fc1 = _dense(78, 128, 64, 64)

  def forward(self, x):  # [B, 39, 2]
    return self.encoder_fc1(x.flatten(1))


class LatentDiffusion(nn.Module):
  """All of it under the names of a published checkpoint."""

  def __init__(self, size):
    super().__init__()
    self.model = nn.Module()
    self.model.diffusion_model = UNetModel(**size['unet'], inside=9, outside=3, context=128)
    self.first_stage_model = VQModel(**size['vq'])
    self.cond_stage_model_for_audio = AudioNet(size['speech_width'])
    self.cond_stage_model_for_audio_smooth = AudioAttNet()
    self.cond_stage_model_for_ldm = LdmNet()

  def context(self, speech, landmarks):
    """speech [B, 8, 16, C], landmarks in pixels [B, 39, 2] -> [B, 1, 128]."""
    voice = self.cond_stage_model_for_audio(speech.flatten(0, 1)).reshape(*speech.shape[:2], -1)
    voice = self.cond_stage_model_for_audio_smooth(voice)
    return torch.cat([voice, self.cond_stage_model_for_ldm(landmarks)], dim=1)[:, None]
