"""Every row on every clip: makes or reads the videos, scores them, keeps what is done.

The unit of work is one row on one clip. Its figures go into OUTPUT/clips/ROW/NAME.json, what
metrics of sets need into .npz files beside it, its pictures into OUTPUT/videos/ROW/NAME.mp4; a
second run takes over whatever was made by the same files, settings and definitions. What cannot be
scored is written down with its reason: one bad clip costs one line, not the table.
"""

import dataclasses
import functools
import hashlib
import time

import cv2
import numpy as np
from PIL import Image
from tqdm import tqdm

from ifmdm_jax import files, video
from ifmdm_jax.audio import features
from ifmdm_jax.evaluation import best_of, cost, diversity, fingerprint, protocol, suite, undrawn
from ifmdm_jax.evaluation.dubs import Film, Pasted
from ifmdm_jax.evaluation.generators import ContractError, FirstFrame, GroundTruth, instants
from ifmdm_jax.evaluation.store import Store
from ifmdm_jax.evaluation.types import Absent, PerSet, Record
from ifmdm_jax.face.points import mouth_opening
from ifmdm_jax.rates import FPS, SAMPLE_RATE

BASELINES = GroundTruth | FirstFrame | Film | Pasted
TILE = 320  # pixels of a video beside others


def definitions():
  """Hashes all that a figure depends on besides videos: metrics, reading, their ground floor."""
  return fingerprint.of_modules(__name__)


@dataclasses.dataclass(frozen=True)
class Tools:
  """What all clips are scored with.

  Attributes:
    store: where results go.
    scorers: {family: scorer or Absent}.
    track: frames -> landmarks [T, 468, 2] in pixels.
    seeds: of the protocol.
    sounds: `undrawn.Sounds` of the protocol.
  """

  store: Store
  scorers: dict
  track: object
  seeds: tuple[int, ...]
  sounds: undrawn.Sounds

  @property
  def kind(self):
    """Says what kind of protocol it is."""
    return self.sounds.clips.kind


# {kind of protocol: {prefix: makes a video of a row}}
VIDEOS = {
  suite.TALK: {
    suite.DRIVEN: lambda row, reference, tools: row.driven(reference, tools.seeds[0]),
    suite.REENACT: lambda row, reference, tools: row.reenact(reference),
  },
  suite.DUB: {
    suite.OWN: lambda row, reference, tools: row.own(reference, tools.seeds[0]),
    suite.ANOTHER: lambda row, reference, tools: row.another(
      reference, tools.seeds[0], another_voice(tools.sounds, reference.clip)
    ),
  },
}


def another_voice(sounds, clip):
  """Returns (waveform, features) of other people of the protocol, as long as the clip."""
  waveform = sounds.another(clip.name, len(clip.frames) * SAMPLE_RATE // FPS)
  return waveform, sounds.encode_audio(waveform, SAMPLE_RATE)


def run(rows, clips, output, track, encode_audio, weights=None):
  """Scores every row on every clip of a protocol.

  Args:
    rows: see `generators`; their names differ.
    clips: `protocol.Protocol`.
    output: folder.
    track: frames -> landmarks [T, 468, 2] in pixels.
    encode_audio: (waveform, sample rate) -> speech features.
    weights: folder of imported networks, or None.

  Returns:
    ({row: [Record of each clip]}, scorers, Store).

  Raises:
    ContractError: a generator is not what `ifmdm_jax.generator` says.
  """
  store, records = Store(output), {row.name: [] for row in rows}
  load_scorers = functools.cache(lambda: suite.load(weights, clips.kind))
  networks = fingerprint.of_files(weights) if weights else None
  sounds = undrawn.Sounds(clips, encode_audio, features.load('mel').features)
  settings = [
    definitions(),
    clips.size,
    clips.crop,
    clips.seeds,
    networks,
    clips.voices,
    clips.kind,
    sounds.state,
  ]
  total = len(rows) * len(clips.clips)
  with tqdm(total=total, desc=clips.name, unit='video', disable=None) as progress:
    for entry in clips.clips:
      read = functools.cache(lambda entry=entry: protocol.load(clips, entry, track, encode_audio))
      for row in rows:
        progress.set_postfix_str(f'{entry.name} {row.name}')
        try:
          mark = _mark(settings, row, entry, protocol.find(clips, entry))
          record = store.read(row.name, entry.name, mark)
          if record is None:
            tools = Tools(store, load_scorers(), track, clips.seeds, sounds)
            record, descriptions = score(tools, row, read())
            store.write(row.name, record, mark, descriptions)
        except ContractError:
          raise
        except Exception as error:  # noqa: BLE001, a damaged file must not end the run
          reason = store.absent(error)
          record = Record(
            entry.name, entry.person, failed=reason.reason, unforeseen=reason.unforeseen
          )
        records[row.name].append(record)
        progress.update()
  return records, load_scorers(), store


def _mark(settings, row, entry, path):
  """Changes when anything does that a row's figures on a clip depend on."""
  state = path.stat()
  facts = [*settings, str(entry), row.fingerprint, state.st_size, state.st_mtime_ns]
  return hashlib.sha256(repr(facts).encode()).hexdigest()


def score(tools, row, reference):
  """Makes the videos of one row on one clip and scores them.

  Returns:
    (Record, {family: arrays of `PerSet.describe`}).
  """
  start, clip = time.monotonic(), reference.clip
  videos = {
    prefix: _try(tools, make, row, reference, tools) for prefix, make in VIDEOS[tools.kind].items()
  }
  pairs, notes = {}, list(clip.notes)
  for kind, seen in videos.items():
    if not isinstance(seen, Absent):
      points = tools.track(seen.frames) if seen.landmarks is None else seen.landmarks
      pairs[kind] = reference.pair(seen.frames, points, seen.notes, seen.voice)
      notes += _notes(kind, seen.notes, pairs[kind].has_face)
  metrics, descriptions = {}, {}
  for family in suite.families(tools.kind):
    values = _family(tools, family, pairs.get(family.video, videos[family.video]))
    if isinstance(values, PerSetDescription):
      descriptions[family.name] = values.arrays
    else:
      metrics |= values
  main = next(iter(videos.values()))
  if tools.kind == suite.TALK:
    metrics |= _takes(tools, row, reference, main)
    metrics |= _undrawn(tools, row, reference)
  metrics |= _cost(main)
  metrics = {name: _plain(value) for name, value in metrics.items()}
  if not isinstance(row, BASELINES):
    _write_video(tools.store, row.name, clip, pairs)
  series = {kind or 'driven': _opening(pair.landmarks) for kind, pair in pairs.items()}
  unforeseen = [
    x for x in (*videos.values(), *metrics.values()) if isinstance(x, Absent) and x.unforeseen
  ]
  record = Record(
    clip.name,
    clip.person,
    metrics,
    series | {'reference': _opening(clip.landmarks)},
    tuple(dict.fromkeys(notes)),
    unforeseen=bool(unforeseen),
    generator_error=main.reason if any(x is main for x in unforeseen) else '',
    seconds=round(time.monotonic() - start, 1),
  )
  return record, descriptions


@dataclasses.dataclass(frozen=True)
class PerSetDescription:
  """Arrays of a clip, for a metric of sets."""

  arrays: dict


def _try(tools, call, *arguments):
  """Returns the call's result, or Absent: one family or video must not end a run."""
  try:
    return call(*arguments)
  except ContractError:
    raise
  except Exception as error:  # noqa: BLE001, whatever a generator or metric did not foresee
    return tools.store.absent(error)


def _notes(kind, notes, has_face):
  """Lists what is said about one video."""
  kind = kind.rstrip('_') or 'driven'
  result = [f'{kind}: {note}' for note in notes]
  if not has_face.all():
    result.append(f'{kind}: a face in {has_face.sum()} of {len(has_face)} frames')
  return result


def _family(tools, family, pair):
  """Scores a family: {name: value}, or the description of a clip for a family of sets."""
  scorer = tools.scorers[family.name]
  for absent in (pair, scorer):
    if isinstance(absent, Absent):
      return dict.fromkeys(family.metrics, absent)
  if isinstance(scorer, PerSet):
    arrays = _try(tools, scorer.describe, pair)
    if not isinstance(arrays, Absent):
      return PerSetDescription(arrays)
    return dict.fromkeys(family.metrics, arrays)
  values = _try(tools, scorer.score, pair)
  if isinstance(values, Absent):
    return dict.fromkeys(family.metrics, values)
  return {name: values[name.removeprefix(family.video)] for name in family.metrics}


def _takes(tools, row, reference, driven):
  """Figures of several seeds of one clip; draws where they differ."""
  names = diversity.METRICS | best_of.METRICS
  if isinstance(driven, Absent):
    return dict.fromkeys(names, driven)
  if len(tools.seeds) < 2:
    return dict.fromkeys(names, Absent('the protocol has one seed only'))

  def scores():
    clip, videos = reference.clip, row.samples(reference, tools.seeds, driven)
    points = [tools.track(v.frames) if v.landmarks is None else v.landmarks for v in videos]
    pairs = [reference.pair(v.frames, each, voice=v.voice) for v, each in zip(videos, points)]
    samples = np.stack([v.frames[instants()] for v in videos])
    if not isinstance(row, BASELINES):
      _write_map(tools.store.map_path(row.name, clip.name), samples, clip.image)
    points = np.stack([each[instants()] for each in points])
    return diversity.score(samples, points, clip.landmarks[0]) | best_of.score(pairs, tools.scorers)

  values = _try(tools, scores)
  return dict.fromkeys(names, values) if isinstance(values, Absent) else values


def _write_map(path, samples, portrait):
  path.parent.mkdir(parents=True, exist_ok=True)
  with files.atomic(path) as half:
    Image.fromarray(diversity.spread_map(samples, portrait)).save(half, 'JPEG', quality=92)


def _undrawn(tools, row, reference):
  """Figures of sounds besides the clip's own."""
  values = _try(tools, undrawn.score, row, reference, tools.sounds)
  return dict.fromkeys(undrawn.METRICS, values) if isinstance(values, Absent) else values


def _cost(driven):
  spent = {} if isinstance(driven, Absent) else driven.cost
  return {name: spent.get(name, Absent('not generated here')) for name in cost.METRICS}


def _write_video(store, row, clip, pairs):
  """Writes the videos beside the real one, for the report."""
  videos = [pair.predicted for pair in pairs.values()]
  if not videos:
    return
  path = store.output / 'videos' / row / f'{clip.name}.mp4'
  path.parent.mkdir(parents=True, exist_ok=True)
  video.write(path, side_by_side([clip.frames, *videos]), clip.waveform, crf=23,
              provenance=False)  # fmt: skip


def side_by_side(videos):
  """Yields frames [TILE, n TILE, 3] of videos uint8 [T, R, R, 3]; the last frames stay."""
  for t in range(max(map(len, videos))):
    row = [frames[min(t, len(frames) - 1)] for frames in videos]
    yield np.concatenate(
      [cv2.resize(frame, (TILE, TILE), interpolation=cv2.INTER_AREA) for frame in row], axis=1
    )


def _plain(value):
  """Returns a metric's value as a finite number, or Absent."""
  if isinstance(value, Absent):
    return value
  value = float(value)
  return value if np.isfinite(value) else Absent(f'came out as {value}')


def _opening(points):
  """Measures the mouth opening [T] for a plot, None where there is no face."""
  return [round(float(x), 4) if np.isfinite(x) else None for x in mouth_opening(points)]
