"""HTML of the studio's page: the stage, lines that it says, faces to choose from."""

import base64
import html

import cv2
import numpy as np

from ifmdm_jax.apps.studio import work
from ifmdm_jax.rates import FPS

SIDE = 512  # pixels, at most, of a picture that is shown
EMPTY = 'Your video appears here'


def picture(pixels, side=SIDE):
  """Encodes uint8 RGB [H, W, 3] as an address that holds the whole picture."""
  scale = min(1.0, side / max(pixels.shape[:2]))
  small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
  done, data = cv2.imencode('.jpg', small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])
  return f'data:image/jpeg;base64,{base64.b64encode(np.asarray(data)).decode()}'


def stage(pixels=None, alt='', bar=''):
  """Shows a picture, or that there is none yet, and under it what happens."""
  if pixels is None:
    inside = f'<p class="empty">{EMPTY}</p>' if not bar else '<p class="empty"></p>'
  else:
    inside = f'<img src="{picture(pixels)}" alt="{html.escape(alt)}">'
  return f'<div class="stage">{inside}{bar}</div>'


def working(job, resting=None):
  """Shows what a job has drawn last, and how far it is.

  Args:
    job: `work.Job`.
    resting: picture for the time before.
  """
  if job.stage == work.WAITING:
    words = f'{job.stage}: {job.done} before yours' if job.done else job.stage
    value = ''
  elif job.total and job.done:
    words = f'{job.stage}: {job.done / FPS:.1f} of {job.total / FPS:.1f} s'
    value = f' value="{min(job.done, job.total)}" max="{job.total}"'
  else:
    words, value = f'{job.stage} …', ''
  bar = (
    f'<div class="bar"><progress aria-label="Progress"{value}></progress><span>{words}</span></div>'
  )
  frame = resting if job.frame is None else job.frame
  return stage(frame, 'The frame that was drawn last', bar)


def error(line):
  """Says that something could not be done."""
  return f'<p class="line error" role="alert">{html.escape(line)}</p>'


def lines(first, *more):
  """Says that something is done, and notes under it."""
  notes = ''.join(f'<p class="line note">{html.escape(each)}</p>' for each in more)
  return f'<div role="status"><p class="line">{html.escape(first)}</p>{notes}</div>'


def verify(name):
  """Says how anybody can check a video."""
  return (
    '<p class="verify">The file says that it is synthetic, in its pixels and in a signed manifest. '
    f'Anybody can check it: <code>python -m ifmdm_jax.verify {html.escape(name)}</code></p>'
  )


def parts(listed):
  """Lists what was done with each part of a film."""
  rows = ''.join(f'<li>{html.escape(" ".join(each.split()))}</li>' for each in listed)
  return f'<ul class="parts">{rows}</ul>' if rows else ''


def faces(pixels, boxes, chosen):
  """Draws numbered boxes over a picture; one can be clicked.

  Args:
    pixels: uint8 [H, W, 3].
    boxes: [N, 4], x, y, width and height.
    chosen: number of the one that is taken, from 1 on.
  """
  height, width = pixels.shape[:2]
  unit = max(height, width) / 100
  drawn = []
  for number, (x, y, w, h) in enumerate(np.asarray(boxes, float), 1):
    kind = 'face chosen' if number == chosen else 'face'
    drawn.append(
      f'<g class="{kind}" data-face="{number}"><rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" '
      f'height="{h:.1f}" rx="{unit:.1f}"/><circle cx="{x:.1f}" cy="{y:.1f}" r="{3.2 * unit:.1f}"/>'
      f'<text x="{x:.1f}" y="{y:.1f}" font-size="{4 * unit:.1f}">{number}</text></g>'
    )
  return (
    f'<svg class="faces" viewBox="{-4 * unit:.1f} {-4 * unit:.1f} {width + 8 * unit:.1f} '
    f'{height + 8 * unit:.1f}" role="img" aria-label="{len(drawn)} faces, numbered; '
    f'number {chosen} is chosen"><image href="{picture(pixels, 768)}" width="{width}" '
    f'height="{height}"/>{"".join(drawn)}</svg>'
  )
