"""Detectors that take images: their configuration, packets, buffers and files."""
