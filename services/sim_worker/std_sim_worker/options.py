"""WorkerOptions: the options of the command line."""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from std_daq.errors import ArgumentError
from std_daq.photons.keys import ClientKeys, ServerKeys


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """What a worker simulates, and for whom.

    Parameters
    ----------
    geometry
        The geometry file.
    seed
        Selects the random numbers, together with each request.
    backend
        Name of the engine.
    n_threads
        Threads of the engine; None for all cores.
    device
        The GPU of the engine.
    max_photons
        A request with more photons fails.
    ping_reply
        The answer to PING.
    router
        Where the router is; None for a worker that clients connect to.
    frontend
        Where clients connect.
    output_directory
        Where files go; None where hits are sent back.
    file_format
        ``root`` or ``hdf5``.
    client_keys, server_keys
        For encryption: with a router, and with clients.
    """

    geometry: Path
    seed: int
    backend: str
    n_threads: int | None
    device: int
    max_photons: int
    ping_reply: str
    router: str | None
    frontend: str
    output_directory: Path | None
    file_format: str
    client_keys: ClientKeys | None = None
    server_keys: ServerKeys | None = None

    @classmethod
    def from_arguments(cls, arguments: argparse.Namespace) -> Self:
        """Return the options of a parsed command line.

        Raises
        ------
        ArgumentError
            Two options exclude each other, or the output directory cannot be made or written.
        """
        if arguments.is_async and not arguments.standalone:
            raise ArgumentError("--async", "a worker behind a router sends hits back", remedy="add --standalone")
        if arguments.is_async:
            _make_directory(arguments.output_directory)
        keys, is_server = arguments.keys, arguments.standalone
        return cls(
            geometry=arguments.geometry,
            seed=arguments.seed,
            backend=arguments.backend,
            n_threads=arguments.threads,
            device=arguments.device,
            max_photons=arguments.max_photons,
            ping_reply=arguments.ping_reply,
            router=None if arguments.standalone else arguments.router,
            frontend=arguments.frontend,
            output_directory=arguments.output_directory if arguments.is_async else None,
            file_format=arguments.file_format,
            client_keys=ClientKeys.load("--keys", keys) if keys and not is_server else None,
            server_keys=ServerKeys.load("--keys", keys) if keys and is_server else None,
        )


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArgumentError("--output-directory", f"cannot be made: {error.strerror}", value=path) from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise ArgumentError("--output-directory", "this user may not write here", value=path)
