"""LiveView: receives a live stream (array-1.0), and returns its newest image."""

import math
import time
from contextlib import suppress

import zmq

from std_daq.address_words import address_in_words
from std_daq.errors import PortError
from std_daq.imaging.protocols.array_stream import ArrayImage, decode

_QUEUE = 2
_MAX_PROBLEM = 200


class LiveView:
    """Receives one stream from std-daq, or from another sender of array-1.0.

    Parameters
    ----------
    address
        ZMQ endpoint of the stream; the sender may start later.

    Attributes
    ----------
    n_received
        Number of images received, with those that were skipped because a newer one had arrived.
    n_refused
        Number of messages that were not valid array-1.0.
    last_problem
        What was wrong with the last invalid message; empty if there was none.

    Raises
    ------
    PortError
        ``address`` is not a valid endpoint.
    """

    def __init__(self, address: str) -> None:
        self.n_received = 0
        self.n_refused = 0
        self.last_problem = ""
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.IPV6, int("[" in address))
        self._socket.setsockopt(zmq.RCVHWM, _QUEUE)
        self._socket.subscribe(b"")
        try:
            self._socket.connect(address)
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise PortError(f"cannot connect to {address}: {address_in_words(error)}") from None

    def newest(self, timeout_s: float) -> ArrayImage | None:
        """Return the newest image; waits at most ``timeout_s`` for one, and returns None if none arrives.

        Messages that are not valid are counted, and the wait goes on.
        """
        deadline = time.monotonic() + timeout_s
        image = None
        while image is None and self._socket.poll(max(0, math.ceil((deadline - time.monotonic()) * 1000))):
            image = self._newest_waiting(deadline)
        return image

    def close(self) -> None:
        """Disconnect from the stream."""
        self._context.destroy(linger=0)

    def _newest_waiting(self, deadline: float) -> ArrayImage | None:
        """Return the newest of the images that have come; a sender without a pause does not hold it up for ever."""
        image = None
        with suppress(zmq.Again):
            while True:
                image = self._receive() or image
                if time.monotonic() > deadline:
                    break
        return image

    def _receive(self) -> ArrayImage | None:
        parts = self._socket.recv_multipart(zmq.DONTWAIT, copy=False)
        try:
            image = decode([part.buffer for part in parts])
        except ValueError as error:
            self.n_refused += 1
            self.last_problem = str(error)[:_MAX_PROBLEM]
            return None
        self.n_received += 1
        return image
