"""A page in the browser: a portrait and a voice become a video, a film gets another voice.

  python -m ifmdm_jax.studio                      http://127.0.0.1:7860
  python -m ifmdm_jax.studio --open               and a browser that shows it
  python -m ifmdm_jax.studio --checkpoint runs/anna
  python -m ifmdm_jax.studio --host 0.0.0.0 --token "$(openssl rand -hex 16)"

Needs the extra: pip install 'ifmdm_jax[demo]'. Nothing leaves this machine: no font, no script and
no count of visits comes from or goes to anybody else. What is uploaded lies in a folder of its own
and goes when its page is closed, after an hour, or with the studio. Another machine reaches it only
where --host says so, and only with the token: open http://HOST:PORT/?token=TOKEN, behind a proxy
that encrypts. docs/studio.md shows the page.
"""

import functools
import importlib.util
import webbrowser

from absl import flags

import ifmdm_jax as ifm
from ifmdm_jax import bundle, compile_cache, errors, talk
from ifmdm_jax.apps.studio import app, making, parts, work
from ifmdm_jax.errors import SHARED, InputError
from ifmdm_jax.server import gate

# fmt: off
HOST = flags.DEFINE_string('host', '127.0.0.1', 'Address to listen at; another one than that of '
                           'this machine needs --token.', **SHARED)
PORT = flags.DEFINE_integer('port', 7860, 'To listen at.', lower_bound=0, upper_bound=65535,
                            **SHARED)
CHECKPOINT = flags.DEFINE_string('checkpoint', None, 'Folder of weights; default: the bundled.',
                                 **SHARED)
TOKEN = flags.DEFINE_string('token', None, 'Who has it may come in, 16 letters or more.', **SHARED)
OPEN = flags.DEFINE_bool('open', False, 'Open the page in a browser.', **SHARED)
LONGEST = flags.DEFINE_float('longest_seconds', 120.0, 'Seconds of a voice, and of a film.',
                             lower_bound=1.0, **SHARED)
COMPILE_CACHE = flags.DEFINE_string('compile_cache', None, 'Folder for compiled programs, or none; '
                                    "default: in the user's cache folder.", **SHARED)
# fmt: on


def main(_):
  if TOKEN.value is None and not gate.loopback(HOST.value):
    raise InputError(
      f'expected --token with --host {HOST.value}, got none: others could use this machine'
    )
  if TOKEN.value is not None and len(TOKEN.value) < 16:
    raise InputError('expected --token of 16 letters or more, got a shorter: it could be guessed')
  talk.check_checkpoint(CHECKPOINT.value)
  compile_cache.keep(COMPILE_CACHE.value)
  model = work.Model(functools.partial(ifm.load, bundle.chosen(CHECKPOINT.value, None)))
  model.begin()
  hosts = gate.LOOPBACK if gate.loopback(HOST.value) else None

  def ready(port):
    address = f'http://{f"[{HOST.value}]" if ":" in HOST.value else HOST.value}:{port}/'
    print(f'The studio is at {address}; Ctrl-C stops it.', flush=True)
    if OPEN.value:
      webbrowser.open(address + (f'?token={TOKEN.value}' if TOKEN.value else ''))

  with app.folder() as folder:
    limits = making.Limits(LONGEST.value)
    made = app.application(
      model,
      folder,
      limits=limits,
      checkpoint=CHECKPOINT.value,
      token=TOKEN.value,
      hosts=hosts,
      **live(model, hosts),
    )
    if not app.serve(made, HOST.value, PORT.value, ready):
      raise InputError(f'expected a free port, {PORT.value} is none: pass another --port')


def live(model, hosts):
  """Returns the live tab and its routes, where what they need is installed."""
  if importlib.util.find_spec('aiortc') is None:
    return {}
  from ifmdm_jax.apps.studio import live_tab  # an extra of its own

  folder = parts.FIXTURES if (parts.FIXTURES / 'portrait.jpg').exists() else None
  door = live_tab.Door(model, folder, hosts)
  return dict(tabs=[('Live', live_tab.build)], routes=lambda app: app.mount(live_tab.PATH, door))


if __name__ == '__main__':
  errors.run(main)
