"""Does verify give the right answer? Makes a video, does things to it, and examines each.

  python experiments/mark/verify.py --output experiments/mark

The video is the bundled portrait with the bundled speech, as `sample` writes it; the stranger is
the bundled portrait, swaying, written by others. One row of verify.csv is one file.
"""

import csv
import pathlib
import tempfile

import av
import c2pa
from absl import app, flags

from ifmdm_jax import talk, video
from ifmdm_jax.trust import certificate, report
from tests.trust import videos

OUTPUT = flags.DEFINE_string('output', 'experiments/mark', 'Folder of the table.')
FIXTURES = videos.PORTRAIT.parent
LAYERS = 'manifest', 'mark', 'aigc', 'notice'


def changed(source, target, at):
  """Copies a file with 32 bytes turned over from one on."""
  whole = bytearray(source.read_bytes())
  whole[at : at + 32] = bytes(each ^ 255 for each in whole[at : at + 32])
  target.write_bytes(whole)
  return target


def silenced(source, target):
  """Overwrites the sound in place, with that of another second; the manifest stays."""
  whole = bytearray(source.read_bytes())
  with av.open(str(source)) as container:
    packets = [(p.pos, p.size) for p in container.demux(audio=0) if p.size and p.pos]
  half = len(packets) // 2
  for (place, size), (other, length) in zip(packets[:half], packets[half:]):
    if size >= length:
      whole[place : place + length] = whole[other : other + length]
  target.write_bytes(whole)
  return target


def signed_by_others(source, target):
  """Signs as another software would, that says it was recorded."""
  other = certificate.made()
  info = c2pa.C2paSignerInfo(b'es256', other.chain, other.key, None)
  says = dict(
    claim_generator_info=[dict(name='a camera')],
    assertions=[dict(label='c2pa.actions', data=dict(actions=[dict(
      action='c2pa.created', digitalSourceType=
      'http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture')]))],
  )  # fmt: skip
  with open(source, 'rb') as old, open(target, 'w+b') as new:
    c2pa.Builder(says).sign(c2pa.Signer.from_info(info), 'video/mp4', old, new)
  return target


def files(folder):
  """Yields (name, file, right verdict, right states of LAYERS)."""
  ours = folder / 'ours.mp4'
  talk.make(videos.PORTRAIT, FIXTURES / 'speech.wav', ours)
  yes, no, broken, other = report.PRESENT, report.ABSENT, report.BROKEN, report.OTHER
  synthetic, alien = report.SYNTHETIC, folder / 'stranger.mp4'
  yield 'as written', ours, synthetic, (yes, yes, yes, yes)
  again = lambda name, **how: videos.again(ours, folder / f'{name}.mp4', **how)
  yield 'encoded again, CRF 28', again('b'), synthetic, (no, yes, no, no)
  cropped = again('c', crop=0.8, scale=0.75)
  yield 'cropped to 80 %, scaled by 0.75, CRF 28', cropped, synthetic, (no, yes, no, no)
  copied = videos.remuxed(ours, folder / 'd.mp4')
  yield 'copied into a new container', copied, synthetic, (no, yes, no, no)
  swapped = videos.remuxed(ours, folder / 'e.mp4', FIXTURES / 'speech.wav')
  yield 'another sound track, new container', swapped, synthetic, (no, yes, no, no)
  sound = silenced(ours, folder / 'f.mp4')
  yield 'another sound in place, manifest kept', sound, report.CHANGED, (broken, yes, yes, yes)
  place = ours.read_bytes().index(b'trainedAlgorithmicMedia')
  tampered = changed(ours, folder / 'g.mp4', place)
  yield 'manifest tampered with', tampered, report.CHANGED, (broken, yes, yes, yes)
  picture = changed(ours, folder / 'h.mp4', len(ours.read_bytes()) - 3000)
  yield 'picture or sound tampered with', picture, report.CHANGED, (broken, yes, yes, yes)
  video.write(alien, videos.talk(120), provenance=False, metadata={})
  yield "a stranger's", alien, report.SILENT, (no, no, no, no)
  camera = signed_by_others(alien, folder / 'i.mp4')
  yield "a stranger's, signed by a camera", camera, report.STRANGER, (other, no, no, no)
  camera = signed_by_others(ours, folder / 'j.mp4')
  right = other, yes, yes, yes
  yield 'as written, signed anew by a camera', camera, report.SYNTHETIC, right
  wiped = folder / 'k.mp4'
  video.write(wiped, video.read.read_frames(ours), provenance=False, metadata={})
  yield 'all statements removed but the mark', wiped, synthetic, (no, yes, no, no)


def main(_):
  rows = []
  with tempfile.TemporaryDirectory() as folder:
    for name, path, verdict, states in files(pathlib.Path(folder)):
      found = report.examine(path)
      got = [found['layers'][each]['state'] for each in LAYERS]
      right = found['verdict'] == verdict and got == list(states)
      rows.append(dict(file=name, verdict=found['verdict'], **dict(zip(LAYERS, got)), right=right))
      print(rows[-1], flush=True)
  with open(pathlib.Path(OUTPUT.value) / 'verify.csv', 'w', newline='') as file:
    table = csv.DictWriter(file, list(rows[0]), lineterminator='\n')
    table.writeheader()
    table.writerows(rows)


if __name__ == '__main__':
  app.run(main)
