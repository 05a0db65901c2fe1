"""What a record holds, in types of tensorflow-datasets; imported only by what writes records."""

import numpy as np
import tensorflow_datasets as tfds

_BYTES = tfds.features.Scalar(np.object_)


class _Info(tfds.core.DatasetInfo):
  def initialize_from_bucket(self):
    """Looks up nothing: these sets are on no server, and looking leaves a temporary folder."""


class _Builder(tfds.core.GeneratorBasedBuilder):
  """Examples come from `examples`, {split: iterable of (key, example) or a Beam collection}."""

  VERSION = tfds.core.Version('1.0.0')
  code_path = None  # not a package of its own with a README and checksums to look for

  def __init__(self, examples=None, **kwargs):
    self.examples = examples
    super().__init__(file_format='array_record', **kwargs)

  def _info(self):
    features = tfds.features.FeaturesDict(self.FEATURES)
    return _Info(builder=self, features=features, description=self.__doc__)

  def _split_generators(self, _):
    return {split: self._generate_examples(split) for split in self.examples}

  def _generate_examples(self, split):
    return self.examples[split]


class TalkingFaces(_Builder):
  """Tracks of one talking face each: 25 fps, 16 kHz mono, cropped, voice in sync.

  video: WebP (`pipeline.frames`); sound: FLAC, empty if silent; landmarks: uint16 [T, 468, 2]
  (`pipeline.landmarks`); squares: int32 [T, 3], x0, y0, side in the source; matte: WebP, empty if
  there is none; about: JSON.
  """

  VERSION = tfds.core.Version('1.2.0')
  FEATURES = dict(
    video=_BYTES, sound=_BYTES, landmarks=_BYTES, squares=_BYTES, matte=_BYTES, about=_BYTES
  )


class MotionCodes(_Builder):
  """Motion codes of every frame and its mirror image, how far the mouth is open, features of the
  voice, and of other sounds for the same face: float32 bytes. See `pipeline.codes`.
  """

  VERSION = tfds.core.Version('1.2.0')
  FEATURES = dict.fromkeys(
    ('codes', 'mirrored', 'opening', 'features', 'altered', 'quiet', 'about'), _BYTES
  )


class SpeechFeatures(_Builder):
  """Features of the voice, two a frame: float32 bytes."""

  FEATURES = dict(features=_BYTES, about=_BYTES)


class LipCrops(_Builder):
  """Lips uint8, their points float32, and two kinds of features of the voice, float16 bytes."""

  FEATURES = dict(lips=_BYTES, points=_BYTES, whisper_tiny=_BYTES, mfcc=_BYTES, about=_BYTES)
