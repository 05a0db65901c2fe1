"""Everything about faces, for all systems and all metrics.

points.py      every list of landmarks, by name
detect.py      boxes of faces in a picture
mesh.py        the 468 points of a face; engines OpenCV and JAX
landmarker.py  the 478 points, irises included, by the successor of that network; in JAX
units.py       the same in OpenCV, and 52 named face units
matte.py       which pixels are a person; engines OpenCV and JAX
track.py       faces of a film, followed from frame to frame
pose.py        where a head is and how it is turned, off its points
align.py       the similarity that brings points onto others
lag.py         by how many frames a voice is late for the lips
steady.py      squares that hold a face still through a shot
crop.py        every square, box and warp that cuts a face out of a picture, and back into it
raster.py      draws lines, and triangles with depth; in JAX
tflite.py      reads networks and parameters of *.tflite files
"""
