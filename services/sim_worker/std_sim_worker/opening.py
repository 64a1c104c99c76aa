"""Opening the engine in a thread of its own: compiling takes longer than a process may take to end."""

import hashlib
import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from std_daq.photons.backend import Backend
from std_sim_worker.options import WorkerOptions

THREAD_NAME = "opening"
_LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class Opened:
    """An engine that is ready.

    Parameters
    ----------
    backend
        The engine.
    fingerprint
        Hexadecimal hash of all that hits depend on besides the request.
    """

    backend: Backend
    fingerprint: str


class Opening:
    """Opens the engine that the options ask for.

    Parameters
    ----------
    options
        The options.
    """

    def __init__(self, options: WorkerOptions) -> None:
        self._options = options
        self._opened: Opened | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._open, name=THREAD_NAME, daemon=True)

    def wait(self, stop: threading.Event) -> Opened | None:
        """Return the engine, or None if the process was told to end before.

        Raises
        ------
        ConfigError
            The geometry is wrong.
        MissingExtraError, ArgumentError, DeviceError
            The engine is not installed, or the GPU is not there, or fails.
        """
        self._thread.start()
        while self._thread.is_alive() and not stop.is_set():
            self._thread.join(_LOOK_S)
        if self._error is not None:
            raise self._error
        return self._opened

    def _open(self) -> None:
        from std_daq.photons.engine import open_backend

        options = self._options
        try:
            backend = open_backend(
                options.geometry,
                seed=options.seed,
                name=options.backend,
                n_threads=options.n_threads,
                device=options.device,
            )
            self._opened = Opened(backend, fingerprint_of(options.geometry, options.seed))
        except BaseException as error:  # noqa: BLE001 - raised again by `wait`
            self._error = error


class EndedBeforeReady:
    """The service of a process that was told to end while its engine was being compiled.

    Parameters
    ----------
    stop
        Set when the process is to end.
    """

    is_ready = False

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def step(self) -> None:
        """Wait for the end."""
        self._stop.wait(_LOOK_S)

    def close(self) -> None:
        """Release nothing."""


def fingerprint_of(geometry: Path, seed: int) -> str:
    """Return a hash of all that hits depend on besides the request: geometry and seed."""
    from std_daq.photons.geometry.load import read_geometry

    document = read_geometry(geometry).model_dump()
    digest = hashlib.blake2b(json.dumps(document, default=_as_list).encode(), digest_size=12)
    for file in sorted(_values_of("file", document)):
        digest.update((geometry.parent / file).read_bytes())
    digest.update(f"seed {seed} std-daq".encode())
    return digest.hexdigest()


def _as_list(value: Any) -> Any:
    """Return what JSON knows instead of an array or a path."""
    return value.tolist() if isinstance(value, np.ndarray) else str(value)


def _values_of(key: str, part: object) -> set[str]:
    if isinstance(part, dict):
        own = {str(part[key])} if part.get(key) else set()
        return own.union(*(_values_of(key, value) for value in part.values()))
    if isinstance(part, list | tuple):
        return set().union(*(_values_of(key, value) for value in part))
    return set()
