"""Opening of an asynchronous connection, with a loop that can also end it if the broker does not answer."""

import contextlib
import os
import socket
from collections.abc import Callable

import pika
import pika.exceptions
from pika.adapters.select_connection import IOLoop
from pika.adapters.utils.connection_workflow import (
    AMQPConnectionWorkflowFailed,
    AMQPConnectorPhaseErrorBase,
    AMQPConnectorSocketConnectError,
)


class CuttingLoop(IOLoop):  # type: ignore[misc] # pika has no types
    """pika's loop, which can also cut its connections.

    pika closes a connection only when the broker answers, and a broker that blocks publishers reads nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self._descriptors: set[int] = set()
        self._is_cut = False

    def add_handler(self, fd: int, handler: Callable[[int, int], None], events: int) -> None:
        """Watch a socket."""
        self._descriptors.add(fd)
        super().add_handler(fd, handler, events)
        if self._is_cut:
            _shut_down(fd)

    def remove_handler(self, fd: int) -> None:
        """Watch a socket no longer."""
        self._descriptors.discard(fd)
        super().remove_handler(fd)

    def cut(self) -> None:
        """Shut all sockets down, also those that are still to come; pika notices, and ends their connections."""
        self._is_cut = True
        for descriptor in self._descriptors:
            _shut_down(descriptor)


def _shut_down(descriptor: int) -> None:
    # The other side may have ended the connection before.
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as connection:
        connection.shutdown(socket.SHUT_RDWR)


def connect(
    parameters: pika.URLParameters,
    loop: IOLoop,
    on_done: Callable[[pika.SelectConnection | BaseException], None],
) -> None:
    """Begin to connect; `on_done` is called from the loop with the connection, or with the error."""
    pika.SelectConnection.create_connection([parameters], on_done=on_done, custom_ioloop=loop)


def root_of(error: BaseException) -> Exception:
    """Return the error that ended the last attempt to connect, as `pika.BlockingConnection` raises it."""
    last: object = error
    if isinstance(error, AMQPConnectionWorkflowFailed):
        last = error.exceptions[-1]
        if isinstance(last, AMQPConnectorSocketConnectError):
            last = pika.exceptions.AMQPConnectionError(last)
        elif isinstance(last, AMQPConnectorPhaseErrorBase):
            last = last.exception
    return last if isinstance(last, Exception) else pika.exceptions.AMQPConnectionError(repr(last))
