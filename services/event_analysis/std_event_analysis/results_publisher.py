"""ResultsPublisher: sends results to whoever wants them, and waits for nobody."""

from contextlib import suppress

import zmq

from std_daq.errors import PortError
from std_daq.streams.zmq_places import WatchedPlaces
from std_daq.tpc.reconstruction.results import EventResult, encode_result

_MAX_WAITING = 500


class ResultsPublisher:
    """Publishes results at an address; a subscriber that is too slow loses some.

    Parameters
    ----------
    address
        ZMQ endpoint to bind.

    Raises
    ------
    PortError
        The address cannot be bound.
    """

    def __init__(self, address: str) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.SNDHWM, _MAX_WAITING)
        self._places = WatchedPlaces(self._socket)
        try:
            self._socket.bind(address)
        except zmq.ZMQError as error:
            self.close()
            raise PortError(f"{address} cannot be bound: {error.strerror}") from None

    def publish(self, result: EventResult) -> None:
        """Send a result to the subscribers."""
        with suppress(zmq.Again):
            self._socket.send_multipart(encode_result(result), zmq.DONTWAIT)

    def close(self) -> None:
        """Release the address."""
        self._places.close()
        self._context.destroy(linger=0)
