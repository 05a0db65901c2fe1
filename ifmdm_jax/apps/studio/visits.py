"""Visits to the studio: what each has uploaded and made, and that it goes when the page closes."""

import contextlib
import pathlib
import shutil
import threading

OLDEST = 3600  # seconds that a file is kept while the page stays open
PATIENCE = 60  # seconds that work has to end after it was told to


class Visit:
  """One open page.

  Attributes:
    folder: for its videos.
    uploads: files that it sent.
    job: the `work.Job` that works for it, or did last; None: none did.
    made: path of the last video of the tab Talk, or None.
  """

  def __init__(self, folder):
    self.folder, self.uploads, self.job, self.made = folder, set(), None, None
    self._count = 0

  def uses(self, *paths):
    """Notes uploads, which go with the visit."""
    self.uploads |= {pathlib.Path(path) for path in paths if path}

  def fresh(self):
    """Makes an empty folder for a result."""
    self._count += 1
    path = self.folder / str(self._count)
    path.mkdir(parents=True)
    return path

  def stop(self):
    """Ends what works for it."""
    if self.job is not None:
      self.job.stop()


class Visits:
  """All open pages, by the names that Gradio gives them."""

  def __init__(self, folder):
    """`folder`: for everything, Gradio's files among it."""
    self.folder, self._lock = pathlib.Path(folder), threading.Lock()
    self._open, self._count = {}, 0

  def __getitem__(self, name):
    with self._lock:
      if name not in self._open:
        self._count += 1
        self._open[name] = Visit(self.folder / 'made' / str(self._count))
      return self._open[name]

  def close(self, name):
    """Ends the work of a page that was closed, and removes its files but those that others use."""
    with self._lock:
      visit = self._open.pop(name, None)
      if visit is None:
        return
      others = set().union(*(each.uploads for each in self._open.values()))
    visit.stop()
    threading.Thread(target=self._remove, args=(visit, visit.uploads - others)).start()

  def _remove(self, visit, uploads):
    """Removes files, once nothing works with them any more."""
    if visit.job is not None:
      visit.job.finished.wait(PATIENCE)
    shutil.rmtree(visit.folder, ignore_errors=True)
    for path in uploads:
      if path.is_relative_to(self.folder):  # else it is nobody's upload
        with contextlib.suppress(OSError):
          path.unlink(missing_ok=True)
