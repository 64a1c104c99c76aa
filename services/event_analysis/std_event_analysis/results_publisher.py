"""ResultsPublisher: sends results to whoever wants them, and waits for nobody."""

from contextlib import suppress

import zmq

from std_daq.errors import PortError
from std_daq.streams.zmq_places import ZmqPlaces
from std_daq.tpc.reconstruction.results import EventResult, encode_result

_MAX_WAITING = 500
_MAX_SUBSCRIPTION_BYTES = 1024


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
        # For subscribers an XPUB socket is like a PUB socket. In addition it tells who has subscribed.
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.setsockopt(zmq.XPUB_VERBOSE, 1)
        self._socket.setsockopt(zmq.MAXMSGSIZE, _MAX_SUBSCRIPTION_BYTES)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._places = ZmqPlaces(self._socket)
        self._socket.setsockopt(zmq.SNDHWM, _MAX_WAITING)
        try:
            self._socket.bind(address)
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise PortError(f"{address} cannot be bound: {error.strerror}") from None

    @property
    def n_refused(self) -> int:
        """Number of connections that were ended because there were too many."""
        return self._places.n_ended

    def look(self) -> None:
        """Take note of who has come and gone; there are places for a limited number of subscribers."""
        subscriptions = []
        with suppress(zmq.Again):
            while True:
                subscriptions.append(self._socket.recv(zmq.DONTWAIT, copy=False))
        self._places.look()
        for subscription in subscriptions:
            self._places.note_served(subscription)

    def publish(self, result: EventResult) -> None:
        """Send a result to the subscribers."""
        with suppress(zmq.Again):
            self._socket.send_multipart(encode_result(result), zmq.DONTWAIT)

    def close(self) -> None:
        """Release the address."""
        self._context.destroy(linger=0)
