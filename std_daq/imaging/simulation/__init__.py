"""Simulated and recorded packets of image detectors."""
