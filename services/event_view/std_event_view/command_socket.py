"""CommandSocket: takes commands to the view from other processes of this machine."""

from collections.abc import Callable

import zmq

from std_daq.address_words import address_in_words
from std_daq.errors import PortError
from std_daq.streams.zmq_places import WatchedPlaces
from std_daq.tpc.view.commands import ViewCommand

_MAX_COMMANDS = 20  # in one look
_MAX_BYTES = 65_536


class CommandSocket:
    """Answers each command with ``done``, or with what is wrong.

    Parameters
    ----------
    address
        Where to listen.

    Raises
    ------
    PortError
        The address cannot be bound.
    """

    def __init__(self, address: str) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.MAXMSGSIZE, _MAX_BYTES)
        self._places = WatchedPlaces(self._socket)
        try:
            self._socket.bind(address)
        except zmq.ZMQError as error:
            self.close()
            raise PortError(f"{address} cannot be bound: {address_in_words(error)}") from None

    def serve(self, carry_out: Callable[[ViewCommand], None]) -> None:
        """Carry out what has come."""
        for _ in range(_MAX_COMMANDS):
            try:
                parts = self._socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return
            try:
                carry_out(ViewCommand.of_message(parts[-1]))
                answer = "done"
            except ValueError as error:
                answer = str(error)
            # Whoever asked may be gone.
            self._socket.send_multipart([*parts[:-1], answer.encode()], zmq.DONTWAIT)

    def close(self) -> None:
        """Release the address."""
        self._places.close()
        self._context.destroy(linger=0)
