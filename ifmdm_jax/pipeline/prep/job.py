"""What films, ready clips and stills have in common while they are worked on."""

import io
import os

import cv2
import numpy as np
import soundfile

from ifmdm_jax import media
from ifmdm_jax.pipeline import frames as codec
from ifmdm_jax.rates import FPS, SAMPLE_RATE
from ifmdm_jax.video import read


class Job:
  """One source on its way into a folder; subclasses say how in `run`.

  Attributes:
    kept, dropped: what result.json says of each track.
    damage: what of the file is damaged or missing; '': nothing.
    seconds: of the file.
    offset: frames by which the voice of the whole file is late; None: not known.
  """

  def __init__(self, source, folder, settings, estimate_lag):
    self.source, self.folder, self.settings = source, folder, settings
    self.estimate_lag = estimate_lag
    self.kept, self.dropped = [], []
    self.seconds, self.offset = 0.0, None
    self.sound, self.pictures = media.Flaws(), media.Flaws()
    self._files = []

  @property
  def damage(self):
    said = self.pictures.sentence('pictures'), self.sound.sentence()
    return ', '.join(part for part in said if part)

  def run(self):
    """Fills the folder, `kept` and `dropped`; an InputError makes `give_up` the end."""
    raise NotImplementedError

  def give_up(self, reason, value, detail):
    """Keeps nothing of this source."""
    self.close()
    self.sound = self.pictures = media.Flaws()  # the reason says it
    for path in self.folder.glob('[0-9][0-9][0-9].*'):
      path.unlink()
    self.kept, self.offset = [], None
    self.drop(reason, value, detail)

  def drop(self, reason, value, detail='', *, track=None, limit=None, measures=None):
    """Notes a track, or the whole file, that is not kept, with the number behind the reason.

    Args:
      reason: a few words, the same for all that are dropped for it.
      value: a number.
      detail: what the number counts.
      track: has `start`, `stop`, `person` and `picture`, a file.
      limit: that the number misses.
      measures: {name: number} of the track.
    """
    entry = dict(source=self.source.name, reason=reason, value=_short(value))
    if limit is not None:
      entry['limit'] = limit
    if detail:
      entry['detail'] = detail
    if track is not None:
      name = f'd{len(self.dropped):03d}.jpg'
      os.replace(track.picture, self.folder / name)
      entry.update(start=track.start, stop=track.stop, face=track.person, picture=name)
    if measures is not None:
      entry['measures'] = rounded(measures)
    self.dropped.append(entry)

  def keep(self, index, *, face, start, stop, offset_frames, sound, measures, **about):
    """Notes a track whose files, INDEX.frames and so on, are in the folder.

    What else is said of it goes into the index.
    """
    self.kept.append(
      dict(
        source=self.source.name,
        name=f'{self.source.key}_{index:03d}',
        face=face,
        start=start,
        stop=stop,
        offset_frames=offset_frames,
        sound=sound,
        matte=self.settings.matte,
        bytes=(self.folder / f'{index:03d}.frames').stat().st_size,
        picture=f'{index:03d}.jpg',
        measures=rounded(measures),
        **about,
      )
    )

  def frames(self, until=None):
    """Yields the frames at 25 fps; what is damaged is black, so that nobody is seen in it.

    A file that cannot be read further ends there.
    """
    count, self.pictures = 0, media.Flaws()
    try:
      # One thread: there is a process per core, and threads hold frames of 4K each.
      frames = read.frames(self.source.path, threads=1, flaws=self.pictures, blank=True)
      for count, frame in enumerate(frames, 1):
        yield frame
        if until is not None and count >= until:
          return
    except media.Damaged as error:
      if not count:
        raise
      self.pictures.end, self.pictures.broken = count / FPS, error.reason

  def counted_frames(self):
    """The same, all of them, adding up `seconds`."""
    for frame in self.frames():
      self.seconds += 1 / FPS
      yield frame

  def encoder(self, index, kind, quality=None):
    """Opens INDEX.KIND for frames; `close` closes it, if nobody else did."""
    quality = self.settings.quality if quality is None else quality
    self._files.append(open(self.folder / f'{index:03d}.{kind}', 'wb'))
    return codec.Encoder(self._files[-1], quality)

  def close(self):
    """Closes what an error left open: a folder with open files cannot be moved everywhere."""
    for file in self._files:
      file.close()


def write_picture(path, picture):
  """Writes uint8 RGB [H, W, 3] as a JPEG; OpenCV would not say that there is no room."""
  path.write_bytes(cv2.imencode('.jpg', picture[..., ::-1])[1].tobytes())


def write_sound(path, voice):
  """Writes int16 [L] at 16 kHz as FLAC; libsndfile would not say that there is no room."""
  file = io.BytesIO()
  soundfile.write(file, voice, SAMPLE_RATE, format='FLAC')
  path.write_bytes(file.getvalue())


def _short(value):
  return round(float(value), 4) if isinstance(value, float) else value


def rounded(measures):
  """Rounds {name: number} to four decimals; NaN is left out."""
  return {k: round(float(v), 4) for k, v in measures.items() if not np.isnan(v)}
