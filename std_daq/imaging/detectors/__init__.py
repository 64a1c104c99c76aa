"""Detectors: packet layouts, geometry, conversion of frames to pixels."""
