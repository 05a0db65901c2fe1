"""Faces: landmarks, detection, mesh, matte, tracks, alignment, cutting, rasters."""
