"""A video and a new voice become the same video with new lips.

  python -m ifmdm_jax.dub --video talk.mp4 --audio german.wav --output talk_de.mp4

The video: any that FFmpeg decodes. One person of it gets new lips wherever the face can be used;
profiles, covered mouths, other people and frames without a face pass as they are, and so does every
pixel that the lips do not need. Size, frame times, colours, rotation and other tracks stay; the
sound is the new voice. talk_de.report.json says for each second what was done.

  several people in the video                    --face 2         (1 is the one who is seen most)
  or by what they do                             --who speaking   (left, right, largest)
  a voice that is longer than the video          --longer loop    (pingpong; cut: it ends with the
                                                 video; hold, the default: the last frame stays)
  a voice that is a little too long or short     --stretch        (up to 12 %, its pitch stays)
  how much that would be, and nothing else       --align
  another sound track of the voice's file        --track 2        (1 is the first)
  another system, or weights of your own         --system NAME    --checkpoint runs/mine
  what the film is, who is in it, how long it took  --verbose
  a notice in the first two seconds, or spoken      --label          --spoken_label
  your own certificate to sign with                 --sign cert.pem,key.pem
  without the signature and the mark      --no_provenance

Where the voice ends before the video, there is silence and the lips rest. Same seed, same video.
From Python: `ifmdm_jax.dubbing.dub('talk.mp4', 'german.wav', 'talk_de.mp4', ifm.load())`.

The result says that it is synthetic, in a signed manifest, in its pixels and in its metadata:
`python -m ifmdm_jax.verify talk_de.mp4`. Dub only people who have agreed to it.
Bad input ends in one line, exit status 2 and no file.
"""

import functools

from absl import flags

import ifmdm_jax as ifm
from ifmdm_jax import bundle, compile_cache, dubbing, errors
from ifmdm_jax.dubbing import people, timeline
from ifmdm_jax.errors import SHARED, InputError
from ifmdm_jax.trust import flags as provenance

# fmt: off
string, integer, boolean, enum, words = (functools.partial(define, **SHARED) for define in (
  flags.DEFINE_string, flags.DEFINE_integer, flags.DEFINE_bool, flags.DEFINE_enum,
  flags.DEFINE_list))
VIDEO = string('video', None, 'The film of a person.')
AUDIO = string('audio', None, 'The new voice: a sound file, or a film with sound.')
OUTPUT = string('output', None, 'The film to write, *.mp4, *.mov or *.mkv.')
CHECKPOINT = string('checkpoint', None, 'Folder of weights; default: the bundled.')
SYSTEM = string('system', None, 'Whose bundled weights, by the name of their system.')
SEED = integer('seed', 0, 'Of the motion; the same seed gives the same video.')
FACE = integer('face', None, 'Whose lips, 1 is the person who is seen most.', lower_bound=1)
WHO = enum('who', None, list(people.WHO), 'Whose lips, of several people.')
LONGER = enum('longer', 'hold', list(timeline.LONGER), 'What is shown while the voice goes on '
              'after the film: its last frame, the film anew, back and forth; or cut the voice.')
STRETCH = boolean('stretch', False, 'Bring the voice to the length of the film, by 12 % at most.')
ALIGN = boolean('align', False, 'Only say how the lengths of voice and film differ.')
TRACK = integer('track', None, 'Which sound track of the voice\'s file; default: as it says.',
                lower_bound=1)
BACKGROUND = boolean('keep_background_audio', False, 'Mix in what is heard beside the old voice; '
                     'needs an installed program that separates them.')
STEPS = integer('steps', None, 'Diffusion steps; default: as the weights advise.', lower_bound=1)
REFERENCE = string('reference', None, 'Frames that a system looks at, in its own words.')
VERBOSE = boolean('verbose', False, 'Say what was found in the film, and where the time went.')
COMPILE_CACHE = string('compile_cache', None, 'Folder for compiled programs, or none; default: '
                       "in the user's cache folder.")
OVERWRITE = boolean('overwrite', False, 'Replace an existing output.')
# fmt: on
flags.adopt_module_key_flags(provenance)


def main(_):
  wanted = (VIDEO, AUDIO) if ALIGN.value else (VIDEO, AUDIO, OUTPUT)
  for required in wanted:
    if required.value is None:
      raise InputError(
        f'expected --video, --audio and --output, got no --{required.name}: --help shows an example'
      )
  if ALIGN.value:
    print(dubbing.align(VIDEO.value, AUDIO.value, track=TRACK.value).line())
    return
  compile_cache.keep(COMPILE_CACHE.value)
  options = {flag.name: flag.value for flag in (STEPS, REFERENCE) if flag.value is not None}
  checkpoint = bundle.chosen(CHECKPOINT.value, SYSTEM.value)
  result = dubbing.dub(
    VIDEO.value, AUDIO.value, OUTPUT.value, ifm.load(checkpoint), face=FACE.value, who=WHO.value,
    longer=LONGER.value, stretch=STRETCH.value, track=TRACK.value,
    keep_background_audio=BACKGROUND.value, overwrite=OVERWRITE.value, seed=SEED.value,
    checkpoint=str(checkpoint or 'bundled'), provenance=provenance.chosen(),
    say=lambda part: print(part.line()), **options,
  )  # fmt: skip
  if VERBOSE.value:
    print('\n'.join(result.facts))
  print(result.line('with new lips'))


if __name__ == '__main__':
  errors.run(main)
