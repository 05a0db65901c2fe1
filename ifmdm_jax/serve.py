"""Live avatars over the network: by WebRTC, and by websockets of two dialects.

  python -m ifmdm_jax.serve --portraits faces/            http://127.0.0.1:8765
  python -m ifmdm_jax.serve --checkpoint runs/anna --most 8
  python -m ifmdm_jax.serve --host 0.0.0.0 --token "$(openssl rand -hex 16)" --hosts faces.example

Needs the extra: pip install 'ifmdm_jax[serve]'. Only this machine reaches it, unless --host says
otherwise, and then only with the token, behind a proxy that encrypts. Uploaded portraits are kept
in memory alone, and go with their session. SIGTERM lets sessions end; a second one does not.
docs/serve.md has the requests, and clients in ten lines.
"""

import functools
import os

from absl import flags

import ifmdm_jax as ifm
from ifmdm_jax import bundle, compile_cache, errors, talk
from ifmdm_jax.errors import SHARED, InputError
from ifmdm_jax.server import gate, run
from ifmdm_jax.server.limits import Limits
from ifmdm_jax.server.state import State
from ifmdm_jax.streaming.live import Live

SHORTEST, VARIABLE = 16, 'IFMDM_TOKEN'  # letters of a token; where it may stand
# fmt: off
string, integer, real, words = (functools.partial(define, **SHARED) for define in (
  flags.DEFINE_string, flags.DEFINE_integer, flags.DEFINE_float, flags.DEFINE_list))
HOST = string('host', '127.0.0.1', 'Address to listen at; another than this machine\'s own needs '
              '--token.')
PORT = integer('port', 8765, 'To listen at; 0: any free one.', lower_bound=0, upper_bound=65535)
CHECKPOINT = string('checkpoint', None, 'Folder of weights; default: the bundled.')
PORTRAITS = string('portraits', None, 'Folder of pictures that clients choose from by name.')
MOST = integer('most', 4, 'Sessions at once.', lower_bound=1, upper_bound=256)
LOAD = real('load', 0.95, 'Share of its time that the maker of frames may be busy; whoever comes '
            'then is refused, as all would get too few.', lower_bound=0.1)
TOKEN = string('token', None, f'Who has it may come in, {SHORTEST} letters or more; default: the '
               f'environment\'s {VARIABLE}, which no list of processes shows.')
HOSTS = words('hosts', None, 'Names that clients know this server by; default: this machine\'s own '
              'on loopback, any elsewhere.')
ICE = words('ice', [], 'STUN or TURN servers for WebRTC, by their URLs; default: none is asked.')
MINUTES = real('minutes', 30.0, 'Longest session.', lower_bound=0.1)
UPLOAD = real('upload_mb', 10.0, 'Largest picture or sound that is sent.', lower_bound=0.1)
RATE = real('rate', 50.0, 'Requests a second of an address.', lower_bound=1.0)
STOP = real('stop_seconds', 10.0, 'For sessions to end once it is stopped.', lower_bound=0.0)
COMPILE_CACHE = string('compile_cache', None, 'Folder for compiled programs, or none; default: '
                       "in the user's cache folder.")
# fmt: on


def main(_):
  inside, token = gate.loopback(HOST.value), TOKEN.value or os.environ.get(VARIABLE)
  if not token and not inside:
    raise InputError(
      f'expected --token with --host {HOST.value}, got none: others could use this machine'
    )
  if token and len(token) < SHORTEST:
    raise InputError(f'expected --token of {SHORTEST} letters or more: a shorter can be guessed')
  talk.check_checkpoint(CHECKPOINT.value)
  compile_cache.keep(COMPILE_CACHE.value)
  live = Live(ifm.load(bundle.chosen(CHECKPOINT.value, None)), MOST.value)
  limits = Limits(sessions=MOST.value, load=LOAD.value, minutes=MINUTES.value,
                  upload=round(UPLOAD.value * 2**20), rate=RATE.value, stop=STOP.value)  # fmt: skip
  state = State(live, portraits=PORTRAITS.value, limits=limits, ice=ICE.value)
  live.warm()
  hosts = HOSTS.value or (gate.LOOPBACK if inside else None)

  def ready(port):
    name = f'[{HOST.value}]' if ':' in HOST.value else HOST.value
    print(f'Avatars are at http://{name}:{port}/; Ctrl-C stops it.', flush=True)

  run.serve(state, HOST.value, PORT.value, token=token or None, hosts=hosts, ready=ready)


if __name__ == '__main__':
  errors.run(main)
