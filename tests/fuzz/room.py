"""Runs commands on a real disk that is too small, or that can only be read: one line, nothing half.

  python -m tests.fuzz.room          (make room; as root on Linux: it mounts disks in memory)

Each job is run where some room, or some number of files, is left; then room is made and it is run
again. Without room it ends in one line and exit status 2, what has its name is whole and nothing
half written is left; with room it gives what it gives on a large disk.
"""

import argparse
import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile

from tests.fuzz import kill

ROOM, FILES = '64m', 10_000  # enough for any job


class Disk:
  """A file system in memory, of some room.

  Attributes:
    folder: where it is.
  """

  def __init__(self, folder, size=ROOM, files=FILES):
    """Mounts it: `size` as of mount(8), `files` and folders at most."""
    self.folder = folder
    folder.mkdir(exist_ok=True)
    self._mount('-t', 'tmpfs', '-o', f'size={size},nr_inodes={files}', 'tmpfs')

  def change(self, options):
    """Makes room, or none: `options` of mount(8)."""
    self._mount('-o', f'remount,{options}')

  def _mount(self, *words):
    subprocess.run(['mount', *words, self.folder], check=True, capture_output=True)

  def close(self):
    subprocess.run(['umount', self.folder], check=True, capture_output=True)


def can_mount():
  """Says whether this user may mount a disk here."""
  if sys.platform != 'linux' or os.geteuid():
    return False
  with tempfile.TemporaryDirectory() as folder:
    try:
      Disk(pathlib.Path(folder) / 'disk').close()
    except (OSError, subprocess.CalledProcessError):
      return False
  return True


def run(job, folder, told):
  """Runs a job in a process; returns (exit status, what it said)."""

  def aside():
    with open(told, 'wb') as file:
      os.dup2(file.fileno(), 2)
    job.run(folder)

  status = kill.end(kill.fork(aside))
  return status, told.read_text()


def tried(job, place, wanted, **disk):
  """Returns ('' or what is wrong with a job on a disk, the line that it ended with)."""
  disk = Disk(place / 'disk', **disk)
  try:
    out = disk.folder / 'out'
    with contextlib.suppress(OSError):
      out.mkdir()
    status, said = run(job, out, place / 'said')
    last = said.strip().splitlines()[-1:] or ['']
    if status not in (0, 2) or 'Traceback' in said:
      return f'exit status {status}: {said[-1500:]}', ''
    if status and not last[0].startswith('error: '):
      return f'no line says why: {said[-1500:]}', ''
    if not kill.in_a_copy(job.check, out, None):
      return 'what has its name is not whole', ''
    if hidden := kill.half_written(out):
      return f'left {hidden}', ''
    disk.change(f'size={ROOM},nr_inodes={FILES}')
    again, said = run(job, out, place / 'said')
    if again:
      return f'does not go on with room: exit status {again}: {said[-1500:]}', ''
    if not kill.in_a_copy(kill.equal, job, out, wanted):
      return 'another result than with room', ''
    return '', last[0] if status else 'there was enough'
  finally:
    disk.close()


def main():
  words = argparse.ArgumentParser(description=__doc__)
  words.add_argument('--jobs', default=','.join(kill.JOBS))
  words.add_argument('--sizes', default='4k,16k,64k,256k,1m,1200k,1500k')
  words.add_argument('--files', default='1,2,3,4,6,8,12,16,24,64,300')
  asked, failed = words.parse_args(), 0
  for name in asked.jobs.split(','):
    with tempfile.TemporaryDirectory() as place:
      place = pathlib.Path(place)
      job = kill.JOBS[name](place)
      (place / 'wanted').mkdir()
      if kill.end(kill.fork(job.run, place / 'wanted')):
        raise SystemExit(f'{name} fails with room')
      disks = [dict(size=size) for size in asked.sizes.split(',')]
      disks += [dict(files=int(count)) for count in asked.files.split(',')]
      for disk in disks:
        wrong, said = tried(job, place, place / 'wanted', **disk)
        failed += bool(wrong)
        print(f'{name} {disk}: {"WRONG, " + wrong if wrong else said}', flush=True)
  sys.exit(failed > 0)


if __name__ == '__main__':
  main()
