"""Photons in a tank of balls by Geant4: the independent reference for hits, times and speed.

Geant4 lives in a process of its own, because it can begin only once in a process, prints, and asks whether to download
data sets, which optical photons do not need.

Known differences. Geant4 interpolates over the energy: it gets tables of half a nm. After a border, its photon flies a
step with the velocity of the other material: the world outside the water is made of water, and where times are compared
across a border, both sides have the same group index.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.sources import isotropic
from std_daq.photons.tanks import small_tank

_N_TIMED = 20_000
_SCRIPT = Path(__file__).with_name("geant4_tank.py")


@dataclass(frozen=True, slots=True)
class Geant4Hits:
    """What the sensors detected, and the CPU time of the events."""

    channel: NDArray[np.int64]
    time: NDArray[np.float64]
    cpu_s: float


def run_geant4(document: dict[str, Any], photons: NDArray[np.void], seed: int = 1) -> Geant4Hits:
    """Propagate photons by Geant4.

    Parameters
    ----------
    document
        Of the module `std_daq.photons.tanks`, and at most one ball of another liquid in the water.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, photon_file, result = (Path(folder, name) for name in ("tank.json", "photons.npy", "hits.npz"))
        given.write_text(json.dumps(document))
        np.save(photon_file, photons)
        command = [sys.executable, str(_SCRIPT), str(given), str(photon_file), str(result), str(seed)]
        Path(folder, "ENSDFSTATE.dat").touch()  # states of nuclei: Geant4 wants the file, photons need none
        ended = subprocess.run(
            command,
            input="n\n" * 9,
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            # Where CI is "true", geant4-pybind downloads its data sets and does not ask.
            env={**os.environ, "G4ENSDFSTATEDATA": folder, "CI": ""},
        )
        if ended.returncode != 0 or not result.exists():
            raise RuntimeError(f"Geant4 ended with {ended.returncode}: {(ended.stdout + ended.stderr)[-2000:]}")
        with np.load(result) as found:
            return Geant4Hits(found["channel"], found["time"], float(found["cpu_s"]))


def rate_of_geant4() -> float:
    """Return the photons a second of Geant4 on one core, in the tank with 168 sensors."""
    photons = isotropic(_N_TIMED, wavelength=420)
    return len(photons) / run_geant4(small_tank(), photons).cpu_s
