"""Animates the stills of a prepared set: clips of many people, as records like any others.

What a clip is of stands in its licence, 'LICENCE OF THE STILL; animated by NAME VERSION; voice:
LICENCE OF THE VOICE', so that a pattern tells it from a film, and in the index under `animated`.
"""

import functools
import pathlib

from tqdm import tqdm

from ifmdm_jax import files
from ifmdm_jax.errors import InputError
from ifmdm_jax.pipeline import records, write
from ifmdm_jax.pipeline import voices as recordings
from ifmdm_jax.pipeline.prep import animated, process, relimit, results

MARK = 'animated by'


def build(source, output, settings, generator, version='', *, voices=None, licence=''):
  """Turns every still of a set that can be shown into a clip of a set at `output`.

  Stopped, it goes on with the stills that are missing; those that were done with the same settings,
  voice and generator are not done again. Other limits cost no drawing but of what they newly admit.

  Args:
    source: folder of the set, or of several, that has the stills.
    output: folder of the set that is written.
    settings: `prep.results.Settings` with `animated.Limits`; `longest` is the length of a clip.
    generator: `generator.Generator` that needs a picture and a voice.
    version: of its weights.
    voices: folder with recordings; None: those of the clips of `source`, of the still's own split.
    licence: pattern that has to be found in the licence or provenance of stills and voices.

  Returns:
    The numbers of the report.

  Raises:
    InputError: there are no stills, no voices for them, or none of them could be kept.
  """
  output = pathlib.Path(output).resolve()
  if not generator.needs <= {'image', 'voice'}:
    raise InputError(
      f'expected a generator that needs a picture and a voice, {generator.name} needs '
      f'{", ".join(sorted(generator.needs))}: use another one'
    )
  if any(pathlib.Path(folder).resolve() == output for folder in records.folders(source)):
    raise InputError(f'--output is {output}, the set that is animated: expected another folder')
  stills = records.clips(source, licence=licence, stills=True, sound=False)
  if not len(stills):
    raise InputError(
      f'{source} has no stills with a licence like {licence!r}: prepare some, or change --licence'
    )
  found = (
    recordings.of_folder(voices, licence) if voices else recordings.of_set(source, licence)
  )  # fmt: skip
  name = f'{generator.name} {version}'.strip()
  sources = list(_sources(source, stills, found, settings, name))
  sources.sort(key=lambda each: each.key[-8:])  # all kinds from the start: the bar's time is true
  make = functools.partial(animated.Animated, generator.generate, animated.recognition())
  with files.alone(output):
    results.sweep(output)
    outcomes = [
      relimit.result(output, each, settings)
      or process.guarded(each, output, settings, None, {'animated': make})
      for each in tqdm(sources, 'stills', unit='still')
    ]
    return write.conclude(output, outcomes, settings)


def _sources(folder, stills, voices, settings, generator):
  """Yields `animated.AnimatedStill` of every still, with pieces of voices in turn."""
  for split in sorted({entry.split for entry in stills.entries}):
    pieces = recordings.pieces(voices, split, settings.longest, settings.limits.loudness)
    if not pieces:
      raise InputError(
        f'expected voices for the stills of split {split}, found none: pass --voices FOLDER'
      )
    chosen = [i for i, entry in enumerate(stills.entries) if entry.split == split]
    for turn, index in enumerate(chosen):
      entry, voice = stills.entries[index], pieces[turn % len(pieces)]
      of_voice = f'voice: {voice.licence}' if voice.licence else ''
      terms = [entry.licence, f'{MARK} {generator}', of_voice]
      yield animated.AnimatedStill(
        path=str(folder),
        name=f'animated/{entry.name}',
        person=entry.person,
        split=split,
        licence='; '.join(filter(None, terms)),
        kind='animated',
        stills=stills,
        index=index,
        voice=voice,
        generator=generator,
      )
