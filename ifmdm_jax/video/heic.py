"""Reads HEIC, as phones write it: a picture in tiles, and how they are put together.

FFmpeg decodes the tiles; which of them make the picture, where they lie and how it is turned say
the boxes of the file (ISO/IEC 23008-12).
"""

import dataclasses
import struct

import numpy as np

from ifmdm_jax.errors import InputError

BRANDS = b'heic', b'heix', b'heim', b'heis', b'hevc', b'hevx', b'mif1', b'msf1'
LARGEST = 2**24  # bytes of what is said about pictures
TILE = 2**22  # pixels that any tile may have


@dataclasses.dataclass
class Layout:
  """How a picture is put together.

  Attributes:
    size: (width, height) before it is turned.
    tiles: numbers of the tiles, row by row.
    columns: tiles of a row.
    turns: 'irot' and 'imir' in their order, each with its number.
    profile: of the colours, ICC; None: they are sRGB.
  """

  size: tuple[int, int]
  tiles: list[int]
  columns: int = 1
  turns: list[tuple[bytes, int]] = dataclasses.field(default_factory=list)
  profile: bytes | None = None


def is_heic(head):
  """Says whether a file that begins with these 12 bytes is HEIC."""
  return head[4:8] == b'ftyp' and head[8:12] in BRANDS


def read(path, check_size):
  """Reads the main picture of a file.

  Args:
    path: of it.
    check_size: is called with (width, height) before anything is decoded.

  Returns:
    (uint8 [H, W, 3] as it is seen, ICC profile or None).

  Raises:
    InputError: what it is made of is not there. Damaged files raise more than this.
  """
  found = layout(path)
  check_size(found.size)
  image = _put_together(path, found)
  for kind, number in found.turns:
    if kind == b'irot':
      image = np.rot90(image, number & 3)  # against the clock
    else:
      image = image[:, ::-1] if number & 1 else image[::-1]
  return image, found.profile


def _put_together(path, found):
  import av  # here: networks and their training run without

  width, height = found.size
  image, missing = np.zeros((height, width, 3), np.uint8), set(found.tiles)
  limits = {'format_whitelist': 'mov', 'protocol_whitelist': 'file'}
  with av.open(str(path.absolute()), format='mov', options=limits) as opened:
    streams = [stream for stream in opened.streams.video if stream.id in missing]
    for packet in opened.demux(streams):
      if packet.stream.id not in missing:
        continue
      pixels = packet.stream.width * packet.stream.height
      if pixels > max(TILE, (width + 64) * (height + 64)):
        raise InputError(f'expected tiles of a picture, {path} has larger ones: export it as JPEG')
      for frame in packet.decode():
        tile, index = frame.to_ndarray(format='rgb24'), found.tiles.index(packet.stream.id)
        row, column = divmod(index, found.columns)
        place = image[row * tile.shape[0] :, column * tile.shape[1] :][: tile.shape[0]]
        place = place[:, : tile.shape[1]]
        place[:] = tile[: place.shape[0], : place.shape[1]]
        missing.discard(packet.stream.id)
        break
  if missing:
    raise InputError(f'expected a whole picture, {path} lacks tiles: fetch it again')
  return image


def layout(path):
  """Reads how the main picture of a file is put together."""
  boxes = dict(_boxes(_meta(path)[4:]))
  main = _number(boxes[b'pitm'], 4, 2 if not boxes[b'pitm'][0] else 4)
  properties = _properties(boxes[b'iprp'])
  size, turns, profile = None, [], None
  for kind, data in properties.get(main, []):
    if kind == b'ispe':
      size = struct.unpack('>II', data[4:12])
    elif kind in (b'irot', b'imir'):
      turns.append((kind, data[0]))
    elif kind == b'colr' and data[:4] in (b'prof', b'rICC'):
      profile = data[4:]
  if _kind(boxes[b'iinf'], main) != b'grid':
    return Layout(size, [main], turns=turns, profile=profile)
  grid = _item(path, boxes, main)
  rows, columns = grid[2] + 1, grid[3] + 1
  size = struct.unpack('>II' if grid[1] & 1 else '>HH', grid[4 : 12 if grid[1] & 1 else 8])
  tiles = _made_of(boxes[b'iref'], main)
  if len(tiles) != rows * columns or len(set(tiles)) != len(tiles):
    raise InputError(f'expected {rows * columns} tiles, {path} has {len(tiles)}: fetch it again')
  return Layout(size, tiles, columns, turns, profile)


def _boxes(data):
  """Yields (kind, content) of the boxes side by side in some bytes."""
  while len(data) >= 8:
    size, start = _number(data, 0, 4), 8
    if size == 1:
      size, start = _number(data, 8, 8), 16
    size = size or len(data)
    if not start <= size <= len(data):
      raise ValueError('a box is longer than what it is in')
    yield data[4:8], data[start:size]
    data = data[size:]


def _meta(path):
  with open(path, 'rb') as file:
    while head := file.read(8):
      size, kind = _number(head, 0, 4), head[4:]
      size = _number(file.read(8), 0, 8) - 8 if size == 1 else size
      if kind == b'meta' and 8 < size <= LARGEST:
        return file.read(size - 8)
      if size < 8:
        break
      file.seek(size - 8, 1)
  raise ValueError('nothing says what it is made of')


def _number(data, start, size):
  if len(data) < start + size:
    raise ValueError('it is cut short')
  return int.from_bytes(data[start : start + size], 'big')


def _kind(data, item):
  """The kind of an item, as `iinf` says."""
  for _, entry in _boxes(data[6 if not data[0] else 8 :]):
    wide = 4 if entry[0] >= 3 else 2
    if _number(entry, 4, wide) == item:
      return entry[6 + wide : 10 + wide]
  raise ValueError('its main picture is not there')


def _properties(data):
  """{item: [(kind, content)]} of `iprp`."""
  parts = dict(_boxes(data))
  known, joined = list(_boxes(parts[b'ipco'])), parts[b'ipma']
  wide, large, at = 4 if joined[0] else 2, joined[3] & 1, 8
  found = {}
  for _ in range(_number(joined, 4, 4)):
    item, count = _number(joined, at, wide), _number(joined, at + wide, 1)
    at += wide + 1
    places = [_number(joined, at + n * (1 + large), 1 + large) for n in range(count)]
    at += count * (1 + large)
    found[item] = [known[p - 1] for p in (p & (0x7FFF if large else 0x7F) for p in places) if p]
  return found


def _made_of(data, item):
  """The items that an item is made of, as `iref` says."""
  wide = 4 if data[0] else 2
  for kind, entry in _boxes(data[4:]):
    if kind == b'dimg' and _number(entry, 0, wide) == item:
      count = _number(entry, wide, 2)
      return [_number(entry, wide + 2 + n * wide, wide) for n in range(count)]
  raise ValueError('its tiles are not named')


def _item(path, boxes, wanted):
  """The content of an item, as `iloc` says where it lies."""
  data = boxes[b'iloc']
  version, sizes = data[0], data[4:6]
  offset, length, base = sizes[0] >> 4, sizes[0] & 15, sizes[1] >> 4
  index = sizes[1] & 15 if version else 0
  wide, at = (4 if version == 2 else 2), 6

  def take(size):
    nonlocal at
    at += size
    return _number(data, at - size, size)

  for _ in range(take(wide)):
    item, method = take(wide), take(2) & 15 if version else 0
    take(2)
    begin = take(base)
    extents = [(take(index), begin + take(offset), take(length)) for _ in range(take(2))]
    if item == wanted:
      return b''.join(_extent(path, boxes, method, *extent[1:]) for extent in extents)
  raise ValueError('its main picture lies nowhere')


def _extent(path, boxes, method, start, length):
  if length > LARGEST:
    raise ValueError('its main picture is said at too great a length')
  if method == 1:
    return boxes[b'idat'][start : start + length]
  with open(path, 'rb') as file:
    file.seek(start)
    return file.read(length)
