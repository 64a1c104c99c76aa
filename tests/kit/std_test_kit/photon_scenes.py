"""Detectors and light in which, together, everything happens that may happen to a photon."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.detector import PhotonDetector
from std_daq.photons.flags import Flag
from std_daq.photons.records import PHOTON
from std_daq.photons.sources import isotropic
from std_daq.photons.tanks import small_tank
from std_test_kit.photons import detector

_SPECTRUM = {"wavelength": [400, 450, 470, 500], "value": [0, 2, 1, 0]}
_WALL: dict[str, Any] = {"shape": "sphere", "radius": 1000, "surface": "eye"}
_EYE = {"detect": 0.5, "absorb": 0.2, "reflect_diffuse": 0.2, "reflect_specular": 0.1}
_GLASS = {"refractive_index": {"wavelength": [300, 500, 700], "value": [1.53, 1.5, 1.48]}}


def _tank() -> PhotonDetector:
    return PhotonDetector.of(small_tank())


def _scintillator() -> PhotonDetector:
    component = {"spectrum": _SPECTRUM, "decay_times": [[5, 0.7], [40, 0.3]], "rise_time": 1.5}
    liquid = {
        "refractive_index": {"wavelength": [300, 400, 500], "value": [1.55, 1.51, 1.49]},
        "absorption_length": 2000,
        "scattering_length": 900,
        "reemission": [
            {"absorption_length": 300, "probability": 0.8, **component},
            {"absorption_length": 1500, "probability": 0.3, "spectrum": _SPECTRUM},
        ],
    }
    vessel = {"shape": "cylinder", "radius": 500, "height": 900, "inner": "liquid", "outer": "vacuum"}
    return detector([{**_WALL, "channel": 0}, vessel], materials={"liquid": liquid}, surfaces={"eye": _EYE})


def _films() -> PhotonDetector:
    film = {"model": "thin_film", "eta": 2.7, "k": 1.5, "thickness_nm": 20, "efficiency": 0.3}
    surfaces = {
        "eye": _EYE,
        "film": {**film, "reflect_diffuse": 0.2},
        "opaque": {**film, "transmissive": False},
        "clear": {**film, "eta": 1.2, "k": 0, "thickness_nm": 700},
        "shifting": {
            "model": "wls", "absorb": 0.6, "reemit": 0.7, "spectrum": _SPECTRUM, "decay_times": [[3, 1]],
            "reflect_diffuse": 0.1, "reflect_specular": 0.1,
        },
        "filter": {
            "model": "dichroic", "angles": [0, 30, 60],
            "reflect": [0.2, {"wavelength": [300, 500], "value": [0.1, 0.5]}, 0.7], "transmit": [0.7, 0.4, 0.1],
        },
    }  # fmt: skip
    solids = [{**_WALL, "channel": 0}]
    for x, surface in zip((-500, 0, 500), ("film", "opaque", "clear"), strict=True):
        ball = {"shape": "sphere", "radius": 200, "position": [x, 300, 0], "inner": "glass"}
        solids.append({**ball, "surface": surface, "channel": len(solids)})
    solids.append({"shape": "rectangle", "size": [600, 500], "position": [0, 0, 300], "surface": "shifting"})
    solids.append({"shape": "disc", "radius": 300, "position": [0, 0, -300], "surface": "filter"})
    return detector(solids, materials={"glass": _GLASS}, surfaces=surfaces)


def _instances() -> PhotonDetector:
    painted = {"inner": "vacuum", "outer": "vacuum", "surface": "eye"}
    tip = {"shape": "revolved", "profile": [[0, 60], [30, 80], [0, 120]], "segments": 9}
    sensor = [
        {"shape": "cylinder", "radius": 40, "height": 50, **painted},
        {"shape": "box", "size": [50, 60, 10], "position": [0, 0, 45], "direction": [1, 0, 3], **painted},
        {**tip, "inner": "glass", "outer": "vacuum"},
    ]
    directions = np.random.default_rng(3).normal(size=(40, 3))
    places = 600 * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    array = {"part": "sensor", "positions": places.tolist(), "directions": directions.tolist(), "first_channel": 0}
    return detector(
        [_WALL], materials={"glass": _GLASS}, surfaces={"eye": _EYE}, parts={"sensor": sensor}, arrays=[array]
    )


def _mirrors() -> PhotonDetector:
    mirror = {"reflect_specular": 0.9, "reflect_diffuse": 0.1}
    block: dict[str, Any] = {"shape": "box", "size": [300, 300, 300], "inner": "glass", "outer": "vacuum"}
    solids: list[dict[str, Any]] = [{"shape": "sphere", "radius": 1000, "surface": "mirror"}, block]
    return detector(solids, materials={"glass": _GLASS}, surfaces={"mirror": mirror}, physics={"max_steps": 40})


def _nothing() -> PhotonDetector:
    return detector([])


def _open() -> PhotonDetector:
    plate = {"shape": "rectangle", "size": [400, 400], "surface": "eye", "position": [0, 0, 100], "channel": 0}
    return detector([plate], surfaces={"eye": _EYE})


SCENES: dict[str, Callable[[], PhotonDetector]] = {
    "tank": _tank,
    "scintillator": _scintillator,
    "films": _films,
    "instances": _instances,
    "mirrors": _mirrors,
    "open": _open,
    "nothing": _nothing,
}


def light(n: int) -> NDArray[np.void]:
    """Return photons to all sides, of several wavelengths, and a few that no simulation should send."""
    photons = isotropic(n, wavelength=420, seed=5)
    photons["wavelength"] = np.random.default_rng(6).uniform(250, 750, n)
    photons["time"] = 3
    photons["flags"] = np.where(np.arange(n) % 2, int(Flag.CHERENKOV), 0)
    odd: Any = photons[: min(n, 9)]
    odd[0:1]["x"] = np.nan
    odd[1:2]["time"] = np.inf
    odd[2:3]["dx"], odd[2:3]["dy"], odd[2:3]["dz"] = 0, 0, 0
    odd[3:4]["flags"] = int(Flag.SURFACE_DETECT)
    for name in ("polx", "poly", "polz"):  # along the direction, or none
        odd[4:5][name], odd[5:6][name] = odd[4:5][f"d{name[-1]}"], 0
    odd[6:7]["z"] = 1e9
    odd[7:8]["dx"], odd[7:8]["dy"], odd[7:8]["dz"] = 0, 0, 2
    odd[8:9]["wavelength"] = -1
    return np.ascontiguousarray(photons, PHOTON)
