"""The geometry file: read, checked, and compiled for the engine."""
