"""Opens the engine that a service asks for."""

from pathlib import Path
from typing import TYPE_CHECKING

from std_daq.errors import ArgumentError, DeviceError, MissingExtraError
from std_daq.photons.backend import Backend
from std_daq.telemetry.logs import get_logger

if TYPE_CHECKING:
    from std_daq.photons.detector import PhotonDetector

NAMES = ("auto", "cpu", "cuda")


def open_backend(geometry: Path, *, seed: int, name: str, n_threads: int | None, device: int = 0) -> Backend:
    """Read a geometry, compile the engine for it, and return it ready to simulate.

    Parameters
    ----------
    geometry
        The geometry file.
    seed
        0 to 2**63 - 1.
    name
        One of `NAMES`; ``auto`` is ``cuda`` where there is a GPU that works, else ``cpu``, and the log says why.
    n_threads
        Of ``cpu``; None: as many as this process may use cores.
    device
        Of ``cuda``: which GPU, from 0.

    Raises
    ------
    ConfigError
        The geometry file is wrong.
    MissingExtraError, ArgumentError
        There is no engine of this name, or it is not installed, or there is no such GPU.
    DeviceError
        The GPU fails.
    """
    _check_name(name)
    from std_daq.photons.detector import PhotonDetector

    detector = PhotonDetector.load(geometry)

    if name == "cuda" or (name == "auto" and _is_usable(device)):
        try:
            return _on_device(detector, seed, device)
        except DeviceError as error:
            if name == "cuda":
                raise
            get_logger().warning("engine_chosen", engine="cpu", why=str(error))
    return _on_cores(detector, seed, n_threads)


def check_engine(name: str, device: int) -> None:
    """Check, without opening it, that this machine has an engine; raises what `open_backend` raises."""
    _check_name(name)
    if name == "cuda":
        from std_daq.photons.cuda.device import check_device

        check_device(device)


def _check_name(name: str) -> None:
    if name not in NAMES:
        raise ArgumentError("--backend", "there is no such engine", value=name, remedy=f"one of: {', '.join(NAMES)}")


def _is_usable(device: int) -> bool:
    """Return whether there is a GPU; tells in the log why not."""
    from std_daq.photons.cuda.device import obstacle_to

    try:
        obstacle = obstacle_to(device)
    except MissingExtraError as error:
        get_logger().info("engine_chosen", engine="cpu", why=str(error))
        return False
    if obstacle is not None:
        get_logger().info("engine_chosen", engine="cpu", why=obstacle.problem)
    return obstacle is None


def _on_cores(detector: "PhotonDetector", seed: int, n_threads: int | None) -> Backend:
    from std_daq.photons.propagation.kernels import propagate

    propagate.compile()
    return detector.backend(seed=seed, n_threads=n_threads)


def _on_device(detector: "PhotonDetector", seed: int, device: int) -> Backend:
    backend = detector.cuda_backend(seed=seed, device=device)
    get_logger().info("engine_chosen", engine="cuda", device=device, gpu=backend.gpu)
    return backend
