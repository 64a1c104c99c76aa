"""Photons to begin with: light sources of calibrations and tests."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.records import PHOTON


def isotropic(
    n: int,
    *,
    wavelength: float,
    position: Sequence[float] = (0, 0, 0),
    time: float = 0.0,
    seed: int | Sequence[int] = 0,
) -> NDArray[np.void]:
    """Return photons of a point that shines evenly to all sides, unpolarised."""
    generator = np.random.default_rng(seed)
    directions = generator.normal(size=(n, 3))
    return _photons(directions, generator, wavelength, position, time)


def beam(
    n: int,
    *,
    wavelength: float,
    direction: Sequence[float],
    polarisation: Sequence[float] | None = None,
    position: Sequence[float] = (0, 0, 0),
    time: float = 0.0,
    seed: int = 0,
) -> NDArray[np.void]:
    """Return photons of a beam without width; unpolarised where no polarisation is given."""
    generator = np.random.default_rng(seed)
    directions = np.broadcast_to(np.array(direction, np.float64), (n, 3))
    photons = _photons(directions, generator, wavelength, position, time)
    if polarisation is not None:
        for name, value in zip(("polx", "poly", "polz"), _unit(np.array([polarisation], np.float64))[0], strict=True):
            photons[name] = value
    return photons


def _photons(
    directions: NDArray[np.float64],
    generator: np.random.Generator,
    wavelength: float,
    position: Sequence[float],
    time: float,
) -> NDArray[np.void]:
    photons = np.zeros(len(directions), PHOTON)
    directions = _unit(directions)
    polarisations = _unit(np.cross(directions, generator.normal(size=directions.shape)))
    for i, axis in enumerate("xyz"):
        photons[axis] = position[i]
        photons[f"d{axis}"] = directions[:, i]
        photons[f"pol{axis}"] = polarisations[:, i]
    photons["wavelength"], photons["time"] = wavelength, time
    return photons


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    unit: NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit
