"""Waveform -> two feature vectors per video frame; `features.load` is the way in."""
