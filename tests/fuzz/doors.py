"""Every kind of input: a valid example to be damaged, and the function that a command hands it to.

A door is (name, make(folder) -> file that is damaged, read(file)); `read` raises InputError, or
returns, after looking at everything that a command would look at.
"""

import functools
import io
import itertools
import json
import pathlib
import pickle
import shutil
import tempfile
import zipfile

import av
import numpy as np
import soundfile
from PIL import Image
from safetensors import numpy as safetensors

from ifmdm_jax import bundle, compile_cache, files, read, sample, talk, testing, track, video
from ifmdm_jax.audio import features
from ifmdm_jax.batch import jobs
from ifmdm_jax.dubbing import film as dubbed
from ifmdm_jax.dubbing import planes
from ifmdm_jax.evaluation import protocol, store
from ifmdm_jax.importers import files as foreign
from ifmdm_jax.importers import plain_pickle
from ifmdm_jax.pipeline import codes, records
from ifmdm_jax.pipeline import frames as codec
from ifmdm_jax.pipeline.prep import layouts, results
from ifmdm_jax.sweeps import definition
from ifmdm_jax.systems.ifmdm import parts
from ifmdm_jax.systems.ifmdm.motion_stream import Options
from ifmdm_jax.systems.vlogger import flame
from ifmdm_jax.trust import report
from ifmdm_jax.video import image
from ifmdm_jax.video import read as films

FIXTURES = testing.REPOSITORY / 'data' / 'fixtures'
TORCH = testing.REPOSITORY / 'tests' / 'importers' / 'fixtures'
HEIC = testing.REPOSITORY / 'tests' / 'video' / 'fixtures' / 'tiles.heic'


def _bytes(name, make):
  """A door whose example is bytes."""

  def write_it(folder):
    path = folder / name
    path.write_bytes(make())
    return path

  return write_it


def _picture(form, mode='RGB'):
  with Image.open(FIXTURES / 'portrait.jpg') as picture:
    small, file = picture.resize((80, 96)).convert(mode), io.BytesIO()
  small.save(file, form)
  return file.getvalue()


def _look(path):
  picture = image.read_image(path)
  assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3


def _sound(form, subtype=None):
  file = io.BytesIO()
  waveform = 0.3 * np.sin(np.arange(8000) / 9).astype(np.float32)
  soundfile.write(file, waveform, 8000, format=form, subtype=subtype)
  return file.getvalue()


def _media(form, codecs, frames=12):
  """A film of 0.5 s with sound, or sound alone."""
  file = io.BytesIO()
  with av.open(file, 'w', format=form) as out:
    streams = [
      (codec, out.add_stream(codec, rate=25 if codec in VIDEO else 16_000)) for codec in codecs
    ]
    for codec, stream in streams:
      if codec in VIDEO:
        stream.width, stream.height, stream.pix_fmt = 64, 64, 'yuv420p'
      else:
        stream.layout = 'mono'
    for codec, stream in streams:
      if codec in VIDEO:
        for number in range(frames):
          frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 20 * number, np.uint8), 'rgb24')
          frame.pts = number
          out.mux(stream.encode(frame))
      else:
        wave = (0.3 * np.sin(np.arange(8000) / 9)).astype(np.float32)
        for start in range(0, 7168, 1024):
          piece = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], 'fltp', 'mono')
          piece.sample_rate, piece.pts = 16_000, start
          out.mux(stream.encode(piece))
      out.mux(stream.encode(None))
  return file.getvalue()


VIDEO = {'libx264', 'mpeg4', 'mjpeg'}


def _listen(path):
  voice, rate = read.read_voice(path)
  assert voice.dtype == np.float32 and np.isfinite(voice).all() and 100 <= rate <= 10**6


def _watch(path):
  for frame in itertools.islice(films.frames(path), 60):
    assert frame.dtype == np.uint8 and frame.ndim == 3


def _cut_out(path):
  film = dubbed.Film(path)
  for frame in itertools.islice(film.all_times(), 60):
    assert planes.look(frame, film.stored, film.shown).ndim == 3


def _bundle(folder):
  folder = folder / 'bundle'
  folder.mkdir()
  config = json.loads((bundle.BUNDLED / 'config.json').read_text())
  for part in config['parts'].values():
    files.write_arrays(
      folder / pathlib.Path(part['file']).with_suffix('.safetensors'), {'a': {'b': np.ones(2)}}
    )
    part['file'] = pathlib.Path(part['file']).with_suffix('.safetensors').name
  (folder / 'config.json').write_text(json.dumps(config))
  return folder / 'config.json'


def _open_bundle(path):
  parts.configs_of(bundle.read(path.parent))


def _torch(name):
  return lambda: (TORCH / name).read_bytes()


def _pickled():
  data, file = pickle.dumps({'state_dict': {'a': [1, 2.0, 'b', None]}}, 2), io.BytesIO()
  with zipfile.ZipFile(file, 'w') as archive:
    archive.writestr('x/data.pkl', data)
  return file.getvalue()


def _arrays(path):
  for leaf in _leaves(files.read_arrays(path)):
    assert isinstance(leaf, np.ndarray)


def _leaves(tree):
  return (
    itertools.chain.from_iterable(map(_leaves, tree.values())) if isinstance(tree, dict) else [tree]
  )


def _safetensors():
  return safetensors.save({'a/b': np.ones((3, 4))})


def _npz():
  file = io.BytesIO()
  np.savez(file, **{'a/kernel': np.ones((3, 4), np.float32), 'count': np.int64([1])})
  return file.getvalue()


def _units_csv():
  return b'time,jawOpen,eyeBlink_L,HeadYaw\n0,0.1,0.2,x\n0.04,0.2,0.3,y\n0.08,0.3,0.2,z\n'


def _units_json():
  names = ['jawOpen', 'browInnerUp_L', 'browInnerUp_R']
  content = {'exportFps': 30.0, 'facsNames': names, 'weightMat': [[0.1, 0.2, 0.3]] * 4}
  return json.dumps(content).encode()


def _units_npz():
  file = io.BytesIO()
  np.savez(file, jawOpen=np.linspace(0, 1, 9, dtype=np.float32), fps=np.int64(25))
  return file.getvalue()


def _play(path):
  found = track.read(path)
  assert np.isfinite(found.units).all() and found.units.shape[1] == len(track.UNITS)


def _model():
  return pickle.dumps({'v_template': np.ones((4, 3)), 'f': np.arange(6, dtype=np.uint32)}, 2)


def _coefficients():
  file = io.BytesIO()
  arrays = dict(expr=np.zeros((3, 4), np.float32), jaw_pose=np.full((3, 3), 0.1), fps=25.0)
  np.savez(file, **arrays)
  return file.getvalue()


def _play_flame(path):
  rng = np.random.default_rng(0)
  face = flame.Flame(rng.normal(size=(468, 3)), rng.normal(size=(4, 468, 3)), np.ones(468),
                     np.zeros(3))  # fmt: skip
  assert np.isfinite(flame.read(face, path).units).all()


def _shards(folder):
  (folder / 'one.safetensors').write_bytes(safetensors.save({'a': np.ones(2)}))
  path = folder / 'model.safetensors.index.json'
  path.write_text(json.dumps({'metadata': {}, 'weight_map': {'a': 'one.safetensors'}}))
  return path


def _jobs():
  return (
    b'image,audio,text,output,seed,head,unit\na.jpg,b.wav,,c/d.mp4,1,0.5,"jawOpen=0.1,mouthLeft=0"\n'
    b'e.png,,"Hello, all.",f.mp4,,,\n'
  )


def _protocol(folder):
  clips = [dict(video='a*.mp4', person='p', start=0.5, seconds=1, name='a', text='words')]
  voices = dict(seconds=4, piece=2, silence=2, languages={'en': ['a.wav']})
  path = folder / 'p.json'
  path.write_text(
    json.dumps(
      dict(name='n', root='.', size=64, crop='face', seeds=[0, 1], clips=clips, voices=voices)
    )
  )
  return path


def _read_protocol(path):
  clips = protocol.read(path)
  protocol.sounds(clips)
  for entry in clips.clips:
    protocol.find(clips, entry)


@functools.cache
def _set():
  folder = tempfile.TemporaryDirectory()  # removed with this process
  testing.write_cache(pathlib.Path(folder.name), people=2, num_frames=12)
  return folder


def _in_set(pattern):
  """A file of a prepared set, of which the rest stays whole."""

  def make(folder):
    shutil.copytree(_set().name, folder / 'set')
    return min((folder / 'set').glob(pattern))

  return make


def _read_set(path):
  folder = next(each for each in path.parents if each.name == 'set')
  for clip in records.clips(folder):
    assert clip.frames[:2].dtype == np.uint8
  for clip in codes.read(folder, 'train'):
    assert clip.codes.dtype == np.float32


def _frames():
  return codec.encode(np.zeros((3, 64, 64, 3), np.uint8))


def _decode(path):
  frames = codec.Frames(path.read_bytes())
  assert frames[:1].ndim == 4


def _result(folder):
  source = _source(folder)
  path = results.folder_of(folder, source) / 'result.json'
  path.parent.mkdir(parents=True)
  results.save(path.parent, dict(results.describe(source, results.Settings()), kept=[], dropped=[]))
  return path


def _source(folder):
  (folder / 'a.mp4').write_bytes(b'film')
  return layouts.Source(str(folder / 'a.mp4'), 'a.mp4', 'p', 'train')


def _finished(path):
  folder = path.parents[2]
  found = results.finished(folder, _source(folder), results.Settings())
  assert found is None or isinstance(found, dict)


def _manifest():
  return b'file,identity,split,licence_or_provenance\na.mp4,one,val,"CC BY, 4.0"\n'


def _find(path):
  (path.parent / 'a.mp4').write_bytes(b'film')
  assert len(layouts.find(path.parent)) == 1


def _trace(folder):
  path = folder / 'x.trace'
  compile_cache.write(path, ['tuple', None, ['leaf']], bytes(500))
  return path


def _encoder():
  config = dict(module='ifmdm_jax.audio.wav2vec2', width=8, depth=1, heads=2)
  return safetensors.save({'a': np.ones(2)}, {'config': json.dumps(config), 'kind': 'wav2vec2'})


def _load_encoder(path):
  features.imported(path.parent)


def _record(folder):
  kept = store.Store(folder)
  path = kept.path('row', 'clip')
  path.parent.mkdir(parents=True)
  path.write_text(json.dumps(dict(fingerprint='f', name='clip', metrics={'a': 1.0}, notes=[])))
  return path


def _words(folder):
  path = folder / 'words.txt'
  path.write_text(
    'guidance=1.5 motion_std=0.5 motion_mean=pose_1=0.5,lips_2=1 head=0.5 unit=jawLeft=0.3 steps=4'
  )
  return path


def _options(path):
  """The words of a command's options, as `sample` reads them."""
  for word in path.read_bytes().decode('utf-8', 'surrogateescape').split():
    name, _, value = word.partition('=')
    if name == 'motion_mean':
      Options().changed(motion_mean=sample.numbers(name, value.split(',')))
    elif name == 'unit':
      Options().changed(unit=sample.by_name(name, value.split(',')))
    elif name in ('guidance', 'motion_std', 'head'):
      Options().changed(**{name: sample.numbers(name, [value])})
    else:
      Options().changed(steps=value)
    definition._setting(word)


def _name(folder):
  path = folder / 'name.txt'
  path.write_text('out/talk 10:30 ü.mp4')
  return path


def _output(path):
  name = path.read_bytes().decode('utf-8', 'surrogateescape')
  talk.check_output(path.parent / 'below' / name.lstrip('/~'))
  files.check(path.parent / name)


def _signed(folder):
  frames = np.random.default_rng(0).integers(0, 255, (60, 16, 16, 3), np.uint8)
  video.write(folder / 'a.mp4', frames)
  return folder / 'a.mp4'


def _examine(path):
  found = report.examine(path)
  assert found['verdict'] in report.VERDICTS and list(report.lines(found))
  json.dumps(found)


PICTURES = {'jpg': 'JPEG', 'png': 'PNG', 'webp': 'WEBP', 'gif': 'GIF', 'tiff': 'TIFF',
            'avif': 'AVIF', 'bmp': 'BMP', 'jp2': 'JPEG2000', 'ppm': 'PPM',
            'tga': 'TGA'}  # fmt: skip
SOUNDS = {'wav': ('WAV', None), 'float.wav': ('WAV', 'FLOAT'), 'flac': ('FLAC', None),
          'ogg': ('OGG', None), 'aiff': ('AIFF', None)}  # fmt: skip
MEDIA = {'m4a': ('ipod', ['aac']), 'mp3': ('mp3', ['libmp3lame']), 'mka': ('matroska', ['aac'])}
FILMS = {'mp4': ('mp4', ['libx264', 'aac']), 'mkv': ('matroska', ['mpeg4', 'aac']),
         'avi': ('avi', ['mpeg4']), 'ts': ('mpegts', ['libx264', 'aac'])}  # fmt: skip

DOORS = [
  *((f'picture.{ending}', _bytes(f'a.{ending}', functools.partial(_picture, form)), _look)
    for ending, form in PICTURES.items()),
  ('picture.heic', _bytes('a.heic', HEIC.read_bytes), _look),
  *((f'sound.{ending}', _bytes(f'a.{ending}', functools.partial(_sound, *of)), _listen)
    for ending, of in SOUNDS.items()),
  *((f'sound.{ending}', _bytes(f'a.{ending}', functools.partial(_media, *of)), _listen)
    for ending, of in MEDIA.items()),
  *((f'film.{ending}', _bytes(f'a.{ending}', functools.partial(_media, *of)), _watch)
    for ending, of in FILMS.items()),
  *((f'dub.{ending}', _bytes(f'a.{ending}', functools.partial(_media, *of)), _cut_out)
    for ending, of in FILMS.items()),
  ('verify', _signed, _examine),
  ('bundle', _bundle, _open_bundle),
  ('arrays.safetensors', _bytes('a.safetensors', _safetensors), _arrays),
  ('arrays.npz', _bytes('a.npz', _npz), _arrays),
  ('weights.npz', _bytes('a.npz', _npz), foreign.read),
  ('weights.pt', _bytes('a.pt', _torch('state.pt')), foreign.read),
  ('weights.old.pt', _bytes('a.pt', _torch('state_old_layout.pt')), foreign.read),
  ('weights.scripted.pt', _bytes('a.pt', _torch('scripted.pt')), foreign.read),
  ('weights.pickle', _bytes('a.pt', _pickled), foreign.read),
  ('weights.index', _shards, lambda path: foreign.read(path.parent)),
  ('track.csv', _bytes('a.csv', _units_csv), _play),
  ('track.json', _bytes('a.json', _units_json), _play),
  ('track.npz', _bytes('a.npz', _units_npz), _play),
  ('track.flame', _bytes('a.npz', _coefficients), _play_flame),
  ('flame.pickle', _bytes('a.pkl', _model), plain_pickle.read),
  ('protocol', _protocol, _read_protocol),
  ('records.index', _in_set('index.json'), _read_set),
  ('records.shard', _in_set('records/*/*/*train.array_record*'), _read_set),
  ('records.codes', _in_set('motion/index.json'), _read_set),
  ('frames', _bytes('a.frames', _frames), _decode),
  ('result', _result, _finished),
  ('manifest', _bytes('MANIFEST.csv', _manifest), _find),
  ('trace', _trace, lambda path: compile_cache.read(path)),
  ('encoder', _bytes(files.IMPORTED, _encoder), _load_encoder),
  ('record', _record, lambda path: store.Store(path.parents[2]).read('row', 'clip', 'f')),
  ('options', _words, _options),
  ('output', _name, _output),
  ('jobs', _bytes('jobs.csv', _jobs), lambda path: jobs.read(path, {})),
]  # fmt: skip
