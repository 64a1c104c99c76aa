"""TCP ports for RabbitMQ nodes: picked, and kept until the node has opened them."""

import os
import secrets
import socket
import weakref

from std_daq.errors import BrokerError

HOST = "127.0.0.1"
# Below Linux's ephemeral ports (from 32768 on): Linux gives these to any program that opens a connection.
PORTS = range(23_000, 32_000)


class ReservedPort:
    """A TCP port that nobody else picks while this object lives, and that a program of ours can open.

    A node opens its port seconds after it was picked, and again after each restart. Meanwhile, other programs pick
    ports, nodes of other tests for example. So a socket stays bound to the port. It does not listen and has
    SO_REUSEADDR set; whoever wants to listen there with SO_REUSEADDR, as RabbitMQ does, can. Whoever looks for a free
    port without that option, as this class does, finds this one taken.

    Parameters
    ----------
    host
        Address to which the port belongs.

    Raises
    ------
    BrokerError
        All ports of `PORTS` are in use.
    """

    def __init__(self, host: str = HOST) -> None:
        for number in secrets.SystemRandom().sample(PORTS, len(PORTS)):
            with socket.socket() as candidate:
                try:
                    candidate.bind((host, number))
                except OSError:
                    continue
                # Only now: the bind above must fail at a port that another program has, even if it has this option.
                candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                self.number = number
                self._release = weakref.finalize(self, os.close, candidate.detach())
                return
        raise BrokerError(f"no free port from {PORTS.start} to {PORTS.stop - 1} for a RabbitMQ node")

    def release(self) -> None:
        """Let others have the port."""
        self._release()
