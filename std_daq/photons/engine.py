"""Opens the engine that a service asks for."""

from pathlib import Path

from std_daq.errors import ArgumentError
from std_daq.photons.backend import Backend

NAMES = ("auto", "cpu")


def open_backend(geometry: Path, *, seed: int, name: str, n_threads: int | None) -> Backend:
    """Read a geometry, compile the engine for it, and return it ready to simulate.

    Parameters
    ----------
    geometry
        The geometry file.
    seed
        0 to 2**63 - 1.
    name
        One of `NAMES`.
    n_threads
        Of ``cpu``; None: as many as this process may use cores.

    Raises
    ------
    ConfigError
        The geometry file is wrong.
    ArgumentError
        There is no engine of this name.
    """
    if name not in NAMES:
        raise ArgumentError("--backend", "there is no such engine", value=name, remedy=f"one of: {', '.join(NAMES)}")
    from std_daq.photons.detector import PhotonDetector
    from std_daq.photons.propagation.kernels import propagate

    detector = PhotonDetector.load(geometry)
    propagate.compile()
    return detector.backend(seed=seed, n_threads=n_threads)
