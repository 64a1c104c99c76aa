"""RouterOptions: the options of the command line."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from std_daq.errors import ArgumentError
from std_daq.photons.keys import ServerKeys


@dataclass(frozen=True, slots=True)
class RouterOptions:
    """Addresses and limits of a router.

    Parameters
    ----------
    frontend, backend
        Where clients and workers connect.
    max_queued
        One more request that waits gets NO_WORKERS.
    ping_reply
        The answer to PING.
    max_attempts
        An event with which so many workers have died gets SIM_FAILED.
    request_timeout_s
        A worker that finishes nothing for so long is stuck.
    keys
        Those of this router, of workers and of clients, for encryption.
    has_plain_frontend
        Whether clients connect without encryption all the same.
    """

    frontend: str
    backend: str
    max_queued: int = 10_000
    ping_reply: str = "ACK"
    max_attempts: int = 5
    request_timeout_s: float = 600.0
    keys: ServerKeys | None = None
    has_plain_frontend: bool = False

    @classmethod
    def from_arguments(cls, arguments: argparse.Namespace) -> Self:
        """Return the options of a parsed command line.

        Raises
        ------
        ArgumentError
            The file of keys is none, or two options exclude each other.
        """
        if arguments.plain_frontend:
            check_plain_frontend(arguments.keys)
        return cls(
            frontend=arguments.frontend,
            backend=arguments.backend,
            max_queued=arguments.max_queued,
            ping_reply=arguments.ping_reply,
            max_attempts=arguments.max_attempts,
            request_timeout_s=arguments.request_timeout_s,
            keys=None if arguments.keys is None else ServerKeys.load("--keys", arguments.keys),
            has_plain_frontend=arguments.plain_frontend,
        )


def check_plain_frontend(keys: Path | None) -> None:
    """Check that something is encrypted if clients are not to be; raises ArgumentError."""
    if keys is None:
        raise ArgumentError("--plain-frontend", "nothing is encrypted", remedy="give --keys, or leave it out")
