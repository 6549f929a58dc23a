"""Stereo-Spot: 2D video in, stereoscopic 3D video out, as a Dagster asset graph."""
