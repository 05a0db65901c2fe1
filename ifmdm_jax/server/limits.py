"""What one client may take: sizes, times, numbers; and how a refusal says so."""

import dataclasses
import time


@dataclasses.dataclass(frozen=True)
class Limits:
  """Limits of a server; what is beyond them is refused in a line."""

  sessions: int = 4  # at once
  load: float = 0.95  # share of the maker's time that all sessions may take
  minutes: float = 30.0  # of a session
  idle: float = 300.0  # seconds without a word, of a websocket; and of a session that nobody joined
  gone: float = 8.0  # seconds without a packet after which a client is taken for gone
  joins: float = 15.0  # seconds until a client has to be there after its offer
  upload: int = 10 * 2**20  # bytes of a body
  pixels: int = 2**24  # of an uploaded picture
  message: int = 2 * 2**20  # bytes of a websocket's message
  text: int = 2**16  # bytes of a request in JSON
  portraits: int = 64  # uploaded ones that wait for a session
  keep: float = 600.0  # seconds that they wait
  waiting: float = 60.0  # seconds of speech that may wait in a session
  rate: float = 50.0  # requests and messages a second, of an address, and of a websocket
  connections: int = 256  # at once
  patience: float = 15.0  # seconds for a request to arrive whole
  stop: float = 10.0  # seconds that running sessions have once the server is stopped


class Refused(Exception):
  """A request that cannot be served now, or by this client: a status of HTTP and a line."""

  def __init__(self, status, reason):
    super().__init__(reason)
    self.status, self.reason = status, reason


class Bucket:
  """Lets through so many a second, and twice as many at once."""

  def __init__(self, rate, clock=time.monotonic):
    self.rate, self.clock = rate, clock
    self._left, self._seen = 2 * rate, clock()

  def take(self, count=1):
    """Says whether another one is let through."""
    now = self.clock()
    self._left = min(2 * self.rate, self._left + (now - self._seen) * self.rate)
    self._seen = now
    if self._left < count:
      return False
    self._left -= count
    return True

  @property
  def full(self):
    """Whether it was not used for a while."""
    return self._left + (self.clock() - self._seen) * self.rate >= 2 * self.rate


class Buckets:
  """A bucket for each address, and no more of them than there are busy ones."""

  MOST = 4096

  def __init__(self, rate, clock=time.monotonic):
    self.rate, self.clock, self._of, self._looked = rate, clock, {}, -1.0

  def take(self, address):
    """Says whether another request of an address is let through."""
    if address not in self._of and len(self._of) >= self.MOST:
      if self.clock() < self._looked + 1:
        return False
      self._looked = self.clock()
      self._of = {key: each for key, each in self._of.items() if not each.full}
      if len(self._of) >= self.MOST:
        return False
    return self._of.setdefault(address, Bucket(self.rate, self.clock)).take()
