"""Ports for the programs of a test, which open them a while after they were chosen.

Meanwhile, two others could take such a port. Linux gives ports from 32768 on to whoever opens a connection or asks for
any port, so these ports are below. And another test that looks finds the port free as well, so they are given one after
the other to all processes of a user: a port comes again when thousands of others were given.
"""

import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOST = "127.0.0.1"
# Below those that `std_daq.rabbitmq.ports` reserves.
PORTS = range(10_000, 23_000)
_COUNTER = Path(tempfile.gettempdir()) / f"std-daq-test-ports-{os.getuid()}"


def free_tcp_port(host: str = HOST) -> int:
    """Return a TCP port that is free at an address of this machine; raises RuntimeError if none is."""
    return _next_free(1, socket.SOCK_STREAM, host)


def free_udp_ports(n: int, host: str = HOST) -> int:
    """Return the first of n UDP ports in a row that are free at an address; raises RuntimeError if none are."""
    return _next_free(n, socket.SOCK_DGRAM, host)


def _next_free(n: int, kind: socket.SocketKind, host: str) -> int:
    with _counter() as counter:
        for _ in range(len(PORTS) // n):
            first = int(counter.read_text() or PORTS.start)
            if first + n > PORTS.stop:
                first = PORTS.start
            counter.write_text(str(first + n))
            if all(_is_free(port, kind, host) for port in range(first, first + n)):
                return first
    raise RuntimeError(f"no {n} ports in a row are free from {PORTS.start} to {PORTS.stop - 1}")


@contextmanager
def _counter() -> Iterator[Path]:
    with _COUNTER.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield _COUNTER


def _is_free(port: int, kind: socket.SocketKind, host: str) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, kind) as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
