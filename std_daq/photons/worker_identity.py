"""WorkerIdentity: what a worker's ZMQ identity tells a router.

READY is one byte that says nothing about the worker. To routers of others an identity is any bytes; ours learns from
it whose hits fit together, and how many photons the worker likes to have at hand.
"""

import os
import socket
from dataclasses import dataclass
from typing import Self

_PREFIX = "std-sim-worker/1"
_N_PARTS = 5
_MAX_NAME = 80


@dataclass(frozen=True, slots=True)
class WorkerIdentity:
    """A worker of std-daq.

    Parameters
    ----------
    fingerprint
        Hexadecimal hash of all that hits depend on besides the request: geometry and seed.
    batch_photons
        Number of photons that the worker likes to have at hand.
    name
        Name of the process, without blanks.
    """

    fingerprint: str
    batch_photons: int
    name: str

    def to_bytes(self) -> bytes:
        """Return an identity for one connection; no other connection has the same."""
        return f"{_PREFIX} {self.fingerprint} {self.batch_photons} {self.name} {os.urandom(8).hex()}".encode()

    @classmethod
    def from_bytes(cls, identity: bytes) -> Self | None:
        """Return what an identity tells, or None if it is that of another kind of worker."""
        try:
            parts = identity.decode("ascii").split(" ")
            if len(parts) != _N_PARTS or parts[0] != _PREFIX:
                return None
            return cls(fingerprint=parts[1], batch_photons=int(parts[2]), name=parts[3])
        except ValueError:
            return None


def process_name() -> str:
    """Return a name for this process: host and process id."""
    host = socket.gethostname().encode("ascii", "replace").decode().replace(" ", "-")[:_MAX_NAME]
    return f"{host}-{os.getpid()}"
