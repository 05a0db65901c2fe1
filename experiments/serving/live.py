"""Does one live session hold 25 frames a second, with lips in time, and how soon is it silent?

  python experiments/serving/live.py --minutes 30 --output experiments/serving      # live.csv, png
  python experiments/serving/live.py --breaks 20 --output experiments/serving       # breaks.csv

A voice arrives in packets of 20 ms as it is spoken: a reply, a pause of two seconds, and again.
Frames are taken as they are due. A row of live.csv is a minute:

  fps_mean, fps_5    frames in a second: mean, and 5th percentile over its seconds
  first_ms           from the first packet of a reply to its first frame: the longest of the minute
  late               frames more than 80 ms late, so far
  rss_mb             memory at its end
  sync, lag          of the first and last minute: r of the opening that is drawn with the one that
                     the sound predicts, and by how many frames the sound is late (`face/lag.py`)

A row of breaks.csv is an interruption, in the middle of speech:

  silent_ms   until the first frame without sound
  closed_ms   until the mouth is as closed as at rest: above its mean there by SHUT of how far it
              opens in speech (95th percentile), at most
  onset       largest change of all landmarks between two frames where a reply begins, over the
              median change in speech; eyes are held still in this run, as a blink, which may fall
              anywhere, is no jump
"""

import argparse
import asyncio
import csv
import pathlib
import resource
import time

import cv2
import matplotlib
import numpy as np

import ifmdm_jax as ifm
from ifmdm_jax import compile_cache
from ifmdm_jax.audio import features
from ifmdm_jax.face import lag
from ifmdm_jax.face.landmarker import FaceLandmarker
from ifmdm_jax.face.points import mouth_opening
from ifmdm_jax.rates import FPS, SAMPLE_RATE
from ifmdm_jax.streaming.live import Live

matplotlib.use('Agg')
from matplotlib import pyplot as plt  # noqa: E402

PACKET, PAUSE = 0.02, 2.0  # seconds
SHUT = 0.15  # of the opening in speech
ROOM = pathlib.Path(__file__).parents[2] / 'data' / 'fixtures'


def memory():
  """Reads what the process holds, MB."""
  pages = int(pathlib.Path('/proc/self/statm').read_text().split()[1])
  return pages * resource.getpagesize() / 2**20


async def speak(session, voice, begun):
  """Sends a voice in packets as it is spoken; appends the time of the first."""
  start = time.monotonic()
  begun.append(start)
  step = round(PACKET * SAMPLE_RATE)
  for k in range(0, len(voice), step):
    await asyncio.sleep(start + k / SAMPLE_RATE - time.monotonic())
    await session.push_audio(voice[k : k + step])
  await session.flush()


async def talk(session, voice, begun):
  """Speaks again and again."""
  while True:
    await asyncio.sleep(PAUSE)
    await speak(session, voice, begun)


class Film:
  """Frames that were kept, as files, and their sound."""

  def __init__(self, folder):
    self.folder, self.sound, self.count = folder, [], 0
    folder.mkdir(parents=True, exist_ok=True)

  def add(self, frame):
    """Keeps a frame."""
    path = self.folder / f'{self.count:06}.jpg'
    cv2.imwrite(str(path), frame.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
    self.sound.append(frame.audio)
    self.count += 1

  def landmarks(self):
    """Tracks the face: [T, 468, 2], pixels."""
    paths = sorted(self.folder.glob('*.jpg'))[: self.count]
    return FaceLandmarker().track(cv2.imread(str(path))[..., ::-1] for path in paths)

  def in_time(self):
    """Measures the `Lag` of what was drawn and played."""
    sound = np.concatenate(self.sound).astype(np.float32) / 32768
    speech = features.load('whisper_tiny', layer=2).features(sound, SAMPLE_RATE)
    return lag.load().lag(speech, mouth_opening(self.landmarks()), 5)


async def last(live, image, voice, minutes, folder):
  """Runs for minutes: rows of live.csv."""
  rows, begun, films, waits = [], [], {}, []
  async with await live.session(image, rate=SAMPLE_RATE) as session:
    task = asyncio.create_task(talk(session, voice, begun))
    start, times, was = time.monotonic(), [], False
    async for frame in session:
      now = time.monotonic()
      times.append(now - start)
      if frame.speaking and not was:
        waits.append(now - begun[-1])
      was = frame.speaking
      minute = int((now - start) / 60)
      if minute in (0, minutes - 1):
        films.setdefault(minute, Film(folder / f'minute{minute + 1}')).add(frame)
      if minute >= len(rows) + 1:
        seconds = np.histogram(times, np.arange(60 * len(rows), 60 * len(rows) + 61))[0]
        rows.append(dict(
          minute=len(rows) + 1, fps_mean=round(seconds.mean(), 2),
          fps_5=float(np.percentile(seconds, 5)), first_ms=round(1e3 * max(waits, default=0)),
          late=session.late, rss_mb=round(memory(), 1), sync='', lag='',
        ))  # fmt: skip
        print(rows[-1], flush=True)
        waits = []
      if minute >= minutes:
        break
    task.cancel()
  for minute, film in films.items():
    found = film.in_time()
    rows[minute] |= dict(sync=round(found.r, 3), lag=found.frames)
  return rows


async def broken(live, image, voice, count, folder):
  """Breaks off `count` replies: rows of breaks.csv."""
  rng, rows, begun = np.random.default_rng(0), [], []
  film, marks = Film(folder / 'breaks'), []  # (asked after frame, seconds until silent)
  still = dict(blinks_per_minute=0, gaze='camera')
  async with await live.session(image, rate=SAMPLE_RATE, **still) as session:

    async def watch(frames, until=None):
      while frames > 0:
        frame = await anext(session)
        film.add(frame)
        spoken.append(frame.speaking)
        frames -= 1
        if until and until(frame):
          return

    spoken = []
    await watch(3 * FPS)
    for _ in range(count):
      task = asyncio.create_task(speak(session, voice, begun))
      await watch(10 * FPS, lambda frame: frame.speaking)
      await watch(int(rng.uniform(1, 4) * FPS))
      task.cancel()
      asked, at = time.monotonic(), film.count
      await session.interrupt()
      await watch(FPS, lambda frame: not frame.audio.any())
      marks.append((at, time.monotonic() - asked))
      await watch(2 * FPS)
  track = film.landmarks()
  opening, spoken = mouth_opening(track), np.array(spoken)
  rest = np.concatenate(
    [opening[FPS : 3 * FPS], *[opening[at + FPS : at + 2 * FPS] for at, _ in marks]]
  )
  closed = (1 - SHUT) * np.nanmean(rest) + SHUT * np.nanpercentile(opening[spoken], 95)
  change = np.linalg.norm(np.diff(track, axis=0), axis=-1).mean(-1)  # pixels
  usual = np.nanmedian(change[spoken[1:]])
  onsets = np.flatnonzero(spoken[1:] & ~spoken[:-1])
  for (at, silent), onset in zip(marks, onsets):
    after = opening[at : at + FPS] <= closed
    rows.append(
      {
        'at_frame': at,
        'silent_ms': round(1e3 * silent),
        'closed_ms': round(1e3 * int(after.argmax()) / FPS) if after.any() else '',
        'open_at': round(float(opening[at - 1]), 3),
        'closed_below': round(float(closed), 3),
        'onset': round(float(np.nanmax(change[onset - 3 : onset + 4]) / usual), 2),
      }
    )
  return rows


def plot(rows, path):
  """Draws frames a second and memory over minutes."""
  figure, (above, below) = plt.subplots(2, 1, figsize=(7, 4), sharex=True)
  minutes = [row['minute'] for row in rows]
  above.plot(minutes, [row['fps_5'] for row in rows], label='5th percentile of its seconds')
  above.plot(minutes, [row['fps_mean'] for row in rows], label='mean')
  above.set_ylim(0, 30), above.set_ylabel('frames a second'), above.legend(loc='lower right')
  below.plot(minutes, [row['rss_mb'] for row in rows])
  below.set_ylim(0), below.set_ylabel('memory, MB'), below.set_xlabel('minute')
  figure.tight_layout()
  figure.savefig(path, dpi=110)


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--image', default=str(ROOM / 'portrait.jpg'))
  parser.add_argument('--voice', default=str(ROOM / 'speech.wav'))
  parser.add_argument('--minutes', type=int, default=0)
  parser.add_argument('--breaks', type=int, default=0)
  parser.add_argument('--frames', default='out/live', help='where frames are kept')
  parser.add_argument('--output', required=True)
  flags = parser.parse_args()
  compile_cache.keep(None)
  image = ifm.read_portrait(flags.image)
  voice, _ = ifm.read_voice(flags.voice)
  output, folder = pathlib.Path(flags.output), pathlib.Path(flags.frames)
  live = Live(ifm.load())
  live.warm()

  async def run():
    found = {}
    if flags.minutes:
      found['live'] = await last(live, image, voice, flags.minutes, folder)
    if flags.breaks:
      found['breaks'] = await broken(live, image, voice, flags.breaks, folder)
    await live.close()
    return found

  for name, rows in asyncio.run(run()).items():
    output.mkdir(parents=True, exist_ok=True)
    with open(output / f'{name}.csv', 'w', newline='') as file:
      writer = csv.DictWriter(file, list(rows[0]))
      writer.writeheader()
      writer.writerows(rows)
    if name == 'live':
      plot(rows, output / 'live.png')
      late = rows[len(rows) // 3 :]
      slope = np.polyfit([r['minute'] for r in late], [r['rss_mb'] for r in late], 1)[0]
      print(f'memory: {slope:+.2f} MB a minute over the last {len(late)} minutes')
    else:
      for key in ('silent_ms', 'closed_ms', 'onset'):
        values = [row[key] for row in rows if row[key] != '']
        print(key, 'median', np.median(values), 'longest', max(values), 'of', len(values))


if __name__ == '__main__':
  main()
