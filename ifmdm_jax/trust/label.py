"""Draws a visible notice into the first seconds of a video."""

import cv2
import numpy as np

from ifmdm_jax import media

TEXT = 'AI-generated'
SECONDS = 2.0  # that GB 45438-2025 asks for, at least
HEIGHT = 0.06  # of letters, over the shorter side; the rule: 0.05
FONT, DARK = cv2.FONT_HERSHEY_SIMPLEX, 0.35  # what stays of the picture behind the letters


def draw(picture, text=TEXT, turns=0):
  """Draws white letters on a dark ground into the upper left corner of a frame of PyAV, in place.

  Letters of other than the Latin alphabet cannot be drawn.

  Args:
    picture: of a planar YUV format of 8 or 10 bits.
    turns: quarters by which players turn it, counterclockwise.
  """
  light, *colours = (np.rot90(plane, turns) for plane in media.planes(picture))
  unit = 4 if light.dtype == np.uint16 else 1
  height, width = light.shape
  (wide, high), _ = cv2.getTextSize('H' * len(text), FONT, 1.0, 1)
  scale = HEIGHT * min(height, width) / high
  thick = max(1, round(2 * scale))
  (wide, high), below = cv2.getTextSize(text, FONT, scale, thick)
  scale *= min(1.0, 0.9 * width / wide)
  (wide, high), below = cv2.getTextSize(text, FONT, scale, thick)
  room = max(2, high // 2)
  bottom, right = min(height, high + below + 2 * room), min(width, wide + 2 * room)
  letters = np.zeros((bottom, right), np.uint8)
  cv2.putText(letters, text, (room, room + high), FONT, scale, 255, thick, cv2.LINE_AA)
  share = letters.astype(np.float32) / 255
  box = light[:bottom, :right]
  box[:] = np.rint(box * DARK * (1 - share) + 235 * unit * share).astype(light.dtype)
  for plane in colours:
    rows, columns = -(-bottom * plane.shape[0] // height), -(-right * plane.shape[1] // width)
    plane[:rows, :columns] = 128 * unit
