"""Photons and hits as numpy records, field by field as they travel."""

import numpy as np

_DIRECTION = [("dx", "<f4"), ("dy", "<f4"), ("dz", "<f4")]
_POLARISATION = [("polx", "<f4"), ("poly", "<f4"), ("polz", "<f4")]
_REST = [("wavelength", "<f4"), ("time", "<f4"), ("flags", "<u4")]

PHOTON = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), *_DIRECTION, *_POLARISATION, *_REST])
"""One photon of a request: place in mm, direction and polarisation as unit vectors, wavelength in nm, time in ns."""

HIT = np.dtype([("channel", "<u4"), *_DIRECTION, *_POLARISATION, *_REST])
"""One detected photon, as it was when it was detected; ``channel`` is the sensor's number."""

NO_HITS = np.empty(0, HIT)
"""The hits of an event of which nothing was detected."""
