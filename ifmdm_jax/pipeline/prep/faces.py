"""Where the face is: detector, 468-point mesh, and the square that every model here expects.

YuNet finds boxes, MediaPipe's face mesh finds the points; both run in OpenCV on one core from files
in `ifmdm_jax/weights` (their licences: NOTICE.md there). Pictures are uint8 RGB [H, W, 3], places
are pixels (x, y) from the upper left corner; the middle of the first pixel is (0.5, 0.5).
"""

import dataclasses
from collections.abc import Iterable

import cv2
import numpy as np

from ifmdm_jax.errors import InputError
from ifmdm_jax.face import points as face_mesh
from ifmdm_jax.face import tflite

LEFT_EYE, RIGHT_EYE = 33, 263  # outer corners, left as in the picture
MESH_SIDE = 192  # pixels the mesh network looks at
LOOKS = 4  # after which it hardly matters where the first one was


@dataclasses.dataclass(frozen=True)
class Face:
  """A detected face: `box` (x, y, width, height), `eyes` [2, 2] (left as in the picture first)."""

  box: np.ndarray
  eyes: np.ndarray
  score: float

  @property
  def area(self):
    return float(self.box[2] * self.box[3])


class FaceDetector:
  """YuNet (Wu et al. 2023): `detector(image)` lists the faces, the largest first."""

  def __init__(self, threshold=0.6):
    log = getattr(cv2.utils, 'logging', cv2)  # OpenCV 5 and 4
    level = log.getLogLevel()
    log.setLogLevel(2)  # errors only: OpenCV 5 warns about its own new engine
    model = tflite.WEIGHTS / 'face_detection_yunet_2023mar_int8bq.onnx'
    self.net = cv2.FaceDetectorYN.create(str(model), '', (320, 320), threshold)
    log.setLogLevel(level)

  def __call__(self, image) -> list[Face]:
    # Faces of 10 to 300 pixels are what YuNet knows: look at 640 first, then from further away.
    for side in (640, 320, 160):
      faces = self._detect(image, side)
      if faces:
        return faces
    return []

  def _detect(self, image, side):
    scale = min(1.0, side / max(image.shape[:2]))
    margin = side // 8  # a face cut by the frame is found, too
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    small = cv2.copyMakeBorder(small, *(margin,) * 4, cv2.BORDER_CONSTANT)
    self.net.setInputSize(small.shape[1::-1])
    rows = self.net.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))[1]
    if rows is None:
      return []
    faces = []
    for row in rows:
      x, y, width, height = row[:4]
      box = np.array([x - margin, y - margin, width, height]) / scale
      eyes = (row[4:8].reshape(2, 2) - margin) / scale
      faces.append(Face(box.astype(np.float32), eyes.astype(np.float32), float(row[14])))
    return sorted(faces, key=lambda face: -face.area)


@dataclasses.dataclass(frozen=True)
class Roi:
  """The turned square that the mesh network looks at: centre, side in pixels, angle in radians."""

  centre: np.ndarray
  side: float
  angle: float

  @classmethod
  def around(cls, low, high, eyes, scale=1.5):
    """MediaPipe's rule: the longer side of the box times 1.5, turned until the eyes are level."""
    low, high, (left, right) = np.asarray(low), np.asarray(high), np.asarray(eyes)
    angle = np.arctan2(right[1] - left[1], right[0] - left[0])
    return cls((low + high) / 2, float(scale * np.max(high - low)), float(angle))

  @classmethod
  def of_face(cls, face):
    return cls.around(face.box[:2], face.box[:2] + face.box[2:], face.eyes)

  @classmethod
  def of_landmarks(cls, points):
    return cls.around(points.min(0), points.max(0), points[[LEFT_EYE, RIGHT_EYE]])

  def to_picture(self):
    """[2, 3]: from places in the network's square, 0 to 192, to places in the picture."""
    scale = self.side / MESH_SIDE
    turn = scale * np.array(
      [[np.cos(self.angle), -np.sin(self.angle)], [np.sin(self.angle), np.cos(self.angle)]]
    )
    return np.column_stack([turn, self.centre - turn @ np.full(2, MESH_SIDE / 2)])


class FaceMesh:
  """MediaPipe face mesh (Kartynnik et al. 2019), 468 points in pixels, 2 to 4 ms a look.

  `looks`: at each picture. One is enough to follow a face; after several the points no longer
  depend on where the first look was, and are those that a sampler reads (`perception.mesh`).
  """

  def __init__(self, looks=1):
    self.net, self.looks = tflite.network('face_landmark.tflite'), looks

  def landmarks(self, image, where) -> tuple[np.ndarray, float]:
    """Points float32 [468, 2] and the probability that a face is there.

    `where`: a `Face` (one more look then), or points: of the frame before, or a guess.
    """
    if isinstance(where, Face):
      where, _ = self._look(image, Roi.of_face(where))
    for _ in range(self.looks):
      where, presence = self._look(image, Roi.of_landmarks(where))
    return where, presence

  def _look(self, image, roi):
    to_picture = roi.to_picture()
    # OpenCV counts from the middle of the first pixel.
    pixels = to_picture.copy()
    pixels[:, 2] += to_picture[:, :2] @ [0.5, 0.5] - 0.5
    patch = cv2.warpAffine(
      image, pixels, (MESH_SIDE, MESH_SIDE), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    self.net.setInput(cv2.dnn.blobFromImage(patch, 1 / 255))
    points, presence = self.net.forward(['conv2d_20', 'conv2d_30'])
    points = points.reshape(468, 3)[:, :2] @ to_picture[:, :2].T + to_picture[:, 2]
    return points.astype(np.float32), float(1 / (1 + np.exp(-presence.item())))

  def track(self, frames: Iterable[np.ndarray], detector=None, threshold=0.5) -> np.ndarray:
    """Points float32 [T, 468, 2] of the largest face of a video, followed from frame to frame.

    A lost face is searched anew; where there is none the points are NaN.
    """
    detector = detector or FaceDetector()
    track, last = [], None
    for image in frames:
      points, presence = (None, 0.0) if last is None else self.landmarks(image, last)
      if presence < threshold:
        faces = detector(image)
        if faces:
          points, presence = self.landmarks(image, faces[0])
      last = points if presence >= threshold else None
      track.append(np.full((468, 2), np.nan, np.float32) if last is None else last)
    return np.stack(track) if track else np.zeros((0, 468, 2), np.float32)


def crop_square(landmarks, shape, face_fraction=0.5, tight=0.6, tightest=0.7):
  """The square (x0, y0, side) in whole pixels that the models were trained on.

  The face (point 10 to 152) is `face_fraction` of the side; the middle of the mesh's bounding box
  is in the middle across and 3 % of the side above the middle. Where that does not fit into the
  picture, in this order: the square shrinks about its centre (face up to `tight` of the side), then
  moves, then shrinks to the picture's shorter side (up to `tightest`); only if the face itself is
  larger than that does the square stick out of the picture; `cut` repeats the edge there.

  Args:
    landmarks: [468, 2] or, for one fixed square over a whole video, [T, 468, 2]; NaN is skipped.
    shape: (H, W, ...) of the picture.
  """
  points = np.asarray(landmarks, np.float64).reshape(-1, *np.shape(landmarks)[-2:])
  points = points[np.isfinite(points).all((1, 2))]
  if not len(points):
    raise InputError('no face in any frame: expected landmarks of at least one frame')
  height, width = shape[:2]
  face = face_mesh.height(points)
  x, y = np.median((points.min(1) + points.max(1)) / 2, axis=0)

  room = min(2 * x, 2 * (width - x), y / 0.47, (height - y) / 0.53)  # side that fits unmoved
  side = np.clip(room, face / tight, face / face_fraction)
  side = round(max(min(side, height, width), face / tightest))
  x0, y0 = round(x - 0.5 * side), round(y - 0.47 * side)
  x0 = int(np.clip(x0, min(0, width - side), max(0, width - side)))
  y0 = int(np.clip(y0, min(0, height - side), max(0, height - side)))
  return x0, y0, side


def cut(image, square, size=512):
  """The square (x0, y0, side) of a picture as uint8 [size, size, 3]; outside, the edge repeats."""
  x0, y0, side = square
  height, width = image.shape[:2]
  beyond = (max(0, -y0), max(0, y0 + side - height), max(0, -x0), max(0, x0 + side - width))
  if any(beyond):
    image = cv2.copyMakeBorder(image, *beyond, cv2.BORDER_REPLICATE)
    x0, y0 = x0 + beyond[2], y0 + beyond[0]
  patch = image[y0 : y0 + side, x0 : x0 + side]
  return cv2.resize(
    patch, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
  )
