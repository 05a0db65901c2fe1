"""What every clip of this package has a second of."""

FPS = 25  # frames
SAMPLE_RATE = 16_000  # samples of a voice, Hz
