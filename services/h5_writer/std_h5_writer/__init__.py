"""Writes images from the ImageBuffer to HDF5."""
