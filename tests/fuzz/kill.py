"""Kills commands at random moments and lets them go on: what comes out is as if none was killed.

  python -m tests.fuzz.kill --moments 100          (make kill: sample, batch, prepare and train)

Each job is begun, ended by SIGKILL or SIGHUP at a random moment, begun again, a few times over, and
then left to its end. On the way, what has its name is whole; at the end nothing half written is
left. Processes are copies of this one, which has imported everything and computed nothing: so a
moment costs the job and no start.
"""

import argparse
import hashlib
import os
import pathlib
import random
import signal
import sys
import tempfile
import time

import jax
import numpy as np
import soundfile

import ifmdm_jax as ifm
from ifmdm_jax import errors, files, talk, testing
from ifmdm_jax.batch import jobs, maker, run
from ifmdm_jax.pipeline import write
from ifmdm_jax.pipeline.prep import layouts, process, results
from ifmdm_jax.training import checkpoints, loop
from ifmdm_jax.trust.origin import Options
from ifmdm_jax.video import read as films
from tests.batch import small
from tests.pipeline import conftest
from tests.pipeline import films as drawn
from tests.training import toy

PORTRAIT = testing.REPOSITORY / 'data' / 'fixtures' / 'portrait.jpg'
IN_A_ROW = 4  # kills before a job is left to its end
STOPPED = (128 + signal.SIGHUP, 0, -signal.SIGKILL, -signal.SIGHUP)


class Slow:
  """Draws the portrait again and again, as slowly as a network."""

  needs = frozenset({'image', 'voice'})

  def generate(self, clip, **_):
    for number in range(40):
      time.sleep(0.01)
      yield np.roll(clip.image, number, 1)[None]


class Sample:
  """A voice becomes a video."""

  def __init__(self, folder):
    self.voice = folder / 'voice.wav'
    soundfile.write(self.voice, np.sin(np.arange(25_600) / 30), 16_000)

  def run(self, folder):
    ifm.load = lambda *_, **__: Slow()
    # Signed and marked ones differ from each other: a time, a number that is drawn anew.
    unsigned = Options(wanted=False)
    talk.make(PORTRAIT, self.voice, folder / 'o.mp4', overwrite=True, provenance=unsigned)

  def check(self, folder, _):
    """What has the name is whole."""
    if (folder / 'o.mp4').exists():
      assert sum(1 for _ in films.frames(folder / 'o.mp4')) == 40

  def result(self, folder):
    return _digest(folder)


class Batch:
  """Portraits and voices become videos."""

  count = 60

  def __init__(self, folder):
    small.inputs(folder, portraits=4)
    self.jobs = [
      jobs.Job(n, f'p{n % 4}.png', f'v{n // 4 % 2}.wav', f'{n}.mp4', seed=n,
               options={'crop': 'none'})
      for n in range(self.count)
    ]  # fmt: skip
    self.base = str(folder)

  def run(self, folder):
    ifm.load = lambda *_, **__: small.Quick()
    settings = maker.Settings(
      self.base, str(folder), provenance=Options(wanted=False), compile_cache='none'
    )
    run.run(self.jobs, settings, workers=0)

  def check(self, folder, _):
    for path in folder.glob('[0-9]*.mp4'):
      assert sum(1 for _ in films.frames(path)) == 10

  def result(self, folder):
    """With the report."""
    return _digest(folder)


class Prepare:
  """Films become a prepared set."""

  def __init__(self, folder):
    self.films = folder / 'films'
    self.films.mkdir()
    for index in range(2):
      drawn.talking(self.films / f'{index}.mp4', seconds=1.2, seed=index)

  def run(self, folder):
    write.workers.run = self._here  # in this process, which is what is killed
    write.build(self.films, folder, conftest.SETTINGS, drawn.LevelLag)

  def _here(self, sources, output, settings, make_lag, _):
    return (process.guarded(source, output, settings, make_lag()) for source in sources)

  def check(self, folder, how):
    for source in layouts.find(self.films):
      place = results.folder_of(folder, source)
      if place.exists():
        done = results.finished(folder, source, conftest.SETTINGS)
        if how is None and done is None:  # there was no room, see `room`
          done = dict(kept=files.read_json(place / 'result.json')['again'])
        assert done['kept']

  def result(self, folder):
    return _digest(folder)


class Train:
  """A toy learns."""

  def __init__(self, folder):
    del folder
    self.config = toy.get_config()
    self.config.train.update(steps=30, save_every_steps=3, eval_every=0, pictures_every=0)

  def run(self, folder):
    loop.train(self.config, folder, devices=jax.devices()[:1])

  def check(self, folder, _):
    pass

  def result(self, folder):
    _, params = checkpoints.load(folder)
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(params)]


JOBS = {'sample': Sample, 'batch': Batch, 'prepare': Prepare, 'train': Train}


def _digest(folder):
  """{relative path: checksum}; locks are nobody's result."""
  return {
    path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
    for path in sorted(folder.rglob('*'))
    if path.is_file() and path.name != '.lock'
  }


def fork(function, *args):
  """Begins a function in a copy of this process; returns its id."""
  pid = os.fork()
  if pid:
    return pid
  status = 70
  try:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    errors.unwind_when_stopped()
    with errors.fail_cleanly():
      function(*args)
    status = 0
  except SystemExit as end:
    status = end.code
  except BaseException as error:
    print(f'{type(error).__name__}: {error}', file=sys.stderr)
  finally:
    os._exit(status)


def end(pid):
  return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def in_a_copy(function, *args):
  """Says whether a function, which may fail, does not: checks compute, this process never does."""
  return end(fork(function, *args)) == 0


def half_written(folder):
  """Lists what nobody should find."""
  hidden = [path.name for path in folder.rglob('.*') if path.name != '.lock']
  return hidden + [path.name for path in folder.rglob('*orbax-checkpoint-tmp*')]


def equal(job, folder, wanted):
  assert job.result(folder) == job.result(wanted)
  assert not half_written(folder), half_written(folder)


def rounds(name, moments, rng):
  """Yields '' or what is wrong, for each moment."""
  with tempfile.TemporaryDirectory() as place:
    place = pathlib.Path(place)
    job = JOBS[name](place)
    (place / 'wanted').mkdir()
    began = time.monotonic()
    if end(fork(job.run, place / 'wanted')):
      raise SystemExit(f'{name} fails without being killed')
    length = time.monotonic() - began
    done = 0
    while done < moments:
      folder, said = place / f'at_{done}', []
      folder.mkdir()
      for _ in range(min(IN_A_ROW, moments - done)):
        how = rng.choice([signal.SIGKILL, signal.SIGHUP])
        pid = fork(job.run, folder)
        time.sleep(rng.uniform(0, length))
        os.kill(pid, how)
        status = end(pid)
        wrong = '' if status in STOPPED else f'{how.name}: exit status {status}'
        if not in_a_copy(job.check, folder, how):
          wrong = f'{how.name}: what has its name is not whole'
        said.append(wrong)
      if end(fork(job.run, folder)):
        said[-1] = 'does not go on'
      elif not in_a_copy(equal, job, folder, place / 'wanted'):
        said[-1] = 'another result, or something half written is left'
      done += len(said)
      yield from said


def main():
  words = argparse.ArgumentParser(description=__doc__)
  words.add_argument('--moments', type=int, default=100)
  words.add_argument('--jobs', default=','.join(JOBS))
  words.add_argument('--seed', type=int, default=0)
  asked = words.parse_args()
  rng, failed, names = random.Random(asked.seed), 0, asked.jobs.split(',')
  for index, name in enumerate(names):
    moments = asked.moments // len(names) + (index < asked.moments % len(names))
    wrong = [each for each in rounds(name, moments, rng) if each]
    failed += len(wrong)
    print(f'{name}: {moments} moments, {len(wrong)} failures', *wrong, sep='\n  ', flush=True)
  sys.exit(failed > 0)


if __name__ == '__main__':
  main()
