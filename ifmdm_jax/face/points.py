"""Where things are in the 468-point face mesh (MediaPipe's order), for whoever reads landmarks."""

import numpy as np

POINTS = 468
LIPS_OUTER = [
  61,
  146,
  91,
  181,
  84,
  17,
  314,
  405,
  321,
  375,
  291,
  185,
  40,
  39,
  37,
  0,
  267,
  269,
  270,
  409,
]
LIPS_INNER = [
  78,
  95,
  88,
  178,
  87,
  14,
  317,
  402,
  318,
  324,
  308,
  191,
  80,
  81,
  82,
  13,
  312,
  311,
  310,
  415,
]
CHIN = [152, 148, 176, 377, 400]
FOREHEAD, CHIN_TIP = 10, 152
LEFT_EYE = [33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173]
RIGHT_EYE = [263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398]
BROWS = [70, 63, 105, 66, 107, 55, 65, 52, 53, 46, 300, 293, 334, 296, 336, 285, 295, 282, 283, 276]
RIGID = [
  168,
  6,
  197,
  195,
  5,
  4,
  1,
  2,
  98,
  327,
  10,
  338,
  297,
  332,
  284,
  251,
  389,
  356,
  454,
  109,
  67,
  103,
  54,
  21,
  162,
  127,
  234,
  116,
  345,
  151,
  9,
  8,
  33,
  133,
  362,
  263,
]
OVAL = [10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288,
        397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136,
        172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109]  # fmt: skip
LIPS = [61, 291, 0, 17, 37, 267, 84, 314, 13, 14]  # enough for a box
LEFT_CORNER, RIGHT_CORNER = 33, 263  # outer corners of the eyes, left as in the picture
MIDDLE = [0, 1, 2, 4, 5, 6, *range(8, 20), 94, 151, 152, 164, 168, 175, 195, 197, 199, 200]


def _mirror():
  """The mesh numbers one side of the face up to 247, then the other one in the same order."""
  one = [i for i in range(248) if i not in MIDDLE]
  index = np.arange(POINTS)
  index[one], index[248:] = index[248:], one
  return index


MIRROR = _mirror()  # for each point its number in a mirrored picture


def height(landmarks):
  """Median height of a face from hairline to chin. [T, 468, 2] -> float, in their unit."""
  across = landmarks[:, FOREHEAD] - landmarks[:, CHIN_TIP]
  return float(np.median(np.linalg.norm(across, axis=-1)))


def mouth_opening(landmarks):
  """Inner-lip gap over the distance of the outer eye corners. [..., 468, 2] -> [...]."""
  gap = np.linalg.norm(landmarks[..., 13, :] - landmarks[..., 14, :], axis=-1)
  return gap / np.linalg.norm(landmarks[..., 33, :] - landmarks[..., 263, :], axis=-1)
