"""RouterOptions: the options of the command line."""

import argparse
from dataclasses import dataclass
from typing import Self


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
    """

    frontend: str
    backend: str
    max_queued: int = 10_000
    ping_reply: str = "ACK"
    max_attempts: int = 5
    request_timeout_s: float = 600.0

    @classmethod
    def from_arguments(cls, arguments: argparse.Namespace) -> Self:
        """Return the options of a parsed command line."""
        return cls(
            frontend=arguments.frontend,
            backend=arguments.backend,
            max_queued=arguments.max_queued,
            ping_reply=arguments.ping_reply,
            max_attempts=arguments.max_attempts,
            request_timeout_s=arguments.request_timeout_s,
        )
