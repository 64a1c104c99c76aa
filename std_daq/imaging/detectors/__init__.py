"""Detectors: packet layouts, geometry, and conversion of frames to pixels."""
