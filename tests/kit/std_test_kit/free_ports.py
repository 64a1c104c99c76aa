"""Ports that nobody uses at the moment."""

import os
import socket
from contextlib import ExitStack

from std_daq.rabbitmq.ports import HOST, ReservedPort


def free_tcp_port(host: str = HOST) -> int:
    """Return a TCP port of this machine that is free now; raises BrokerError if there is none."""
    port = ReservedPort(host)
    port.release()
    return port.number


def free_udp_ports(n: int) -> int:
    """Return the first of n UDP ports in a row that nobody uses on 127.0.0.1."""
    for first in range(30_000 + os.getpid() % 97 * 100, 60_000, n):
        with ExitStack() as stack:
            try:
                for port in range(first, first + n):
                    stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).bind((HOST, port))
            except OSError:
                continue
            return first
    raise RuntimeError(f"no {n} UDP ports in a row are free")
