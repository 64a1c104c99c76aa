"""LiveView: the images of a live stream (array-1.0), always the newest."""

from contextlib import suppress

import zmq

from std_daq.errors import PortError
from std_daq.imaging.protocols.array_stream import ArrayImage, decode

_QUEUE = 2


class LiveView:
    """Follows one stream, of std-daq or of whoever speaks array-1.0.

    Parameters
    ----------
    address
        ZMQ endpoint of the stream; it need not be there yet.

    Attributes
    ----------
    n_received
        Images that have come, also those that were left out because a newer one had.
    n_refused
        Messages that were none of array-1.0.
    last_problem
        What was wrong with the last of these; empty where there was none.

    Raises
    ------
    PortError
        When that is no address.
    """

    def __init__(self, address: str) -> None:
        self.n_received = 0
        self.n_refused = 0
        self.last_problem = ""
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RCVHWM, _QUEUE)
        self._socket.subscribe(b"")
        try:
            self._socket.connect(address)
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise PortError(f"{address} cannot be connected to: {error.strerror}") from None

    def newest(self, timeout_s: float) -> ArrayImage | None:
        """Wait for an image for at most ``timeout_s``; where several wait, return the newest."""
        image = None
        if self._socket.poll(int(timeout_s * 1000)):
            with suppress(zmq.Again):
                while True:
                    image = self._receive() or image
        return image

    def close(self) -> None:
        """Let go of the stream."""
        self._context.destroy(linger=0)

    def _receive(self) -> ArrayImage | None:
        parts = self._socket.recv_multipart(zmq.DONTWAIT, copy=False)
        try:
            image = decode([part.buffer for part in parts])
        except ValueError as error:
            self.n_refused += 1
            self.last_problem = str(error)
            return None
        self.n_received += 1
        return image
