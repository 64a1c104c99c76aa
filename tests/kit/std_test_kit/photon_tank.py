"""A small tank of water with light sensors, and events for it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.records import PHOTON

N_CHANNELS = 6
_PLACES = [(1700, 0, 0), (-1700, 0, 0), (0, 1700, 0), (0, -1700, 0), (0, 0, 1700), (0, 0, -1700)]

TANK: dict[str, Any] = {
    "format": "std-sim-geometry",
    "version": 1,
    "materials": {
        "water": {
            "refractive_index": {"wavelength": [300, 400, 500, 600], "value": [1.359, 1.344, 1.337, 1.333]},
            "absorption_length": 100000,
            "scattering_length": 80000,
        },
        "vacuum": {},
    },
    "surfaces": {"grey": {"absorb": 0.5, "reflect_diffuse": 0.5}, "photocathode": {"detect": 0.2, "absorb": 0.8}},
    "solids": [
        {
            "shape": "cylinder",
            "radius": 2000,
            "height": 4000,
            "inner": "water",
            "outer": "vacuum",
            "surface": "grey",
        }
    ],
    "parts": {
        "pmt": [{"shape": "sphere", "radius": 250, "inner": "vacuum", "outer": "water", "surface": "photocathode"}]
    },
    "arrays": [{"part": "pmt", "positions": _PLACES, "first_channel": 0}],
}


def write_tank(folder: Path, **changes: Any) -> Path:
    """Write the geometry file, with other values for some keys."""
    path = folder / "tank.json"
    path.write_text(json.dumps(TANK | changes))
    return path


def event_photons(n_photons: int, number: int = 0) -> NDArray[np.void]:
    """Return photons from the middle of the tank into all directions; each number gives others."""
    generator = np.random.default_rng(number)
    directions = generator.normal(size=(n_photons, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    polarisations = np.cross(directions, generator.normal(size=(n_photons, 3)))
    polarisations /= np.linalg.norm(polarisations, axis=1, keepdims=True)
    photons = np.zeros(n_photons, PHOTON)
    for index, axis in enumerate("xyz"):
        photons[f"d{axis}"] = directions[:, index]
        photons[f"pol{axis}"] = polarisations[:, index]
    photons["wavelength"] = generator.uniform(350, 550, n_photons)
    photons["flags"] = 1024
    return photons
