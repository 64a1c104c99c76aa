"""RouterLink: the connection of a worker to its router, with the rules that routers of others need as well.

Such a router takes any frame of a worker for "it has no work". So a worker sends no HEARTBEAT while it simulates, and
none right behind a reply; that it lives, ZMQ's own heartbeats tell.
"""

from collections.abc import Callable, Sequence

import zmq
from zmq.utils.monitor import parse_monitor_message

from std_daq.photons.endpoints import connect_watched_dealer, receive_all
from std_daq.photons.keys import ClientKeys
from std_daq.photons.protocol import HEARTBEAT, READY, Frame
from std_daq.telemetry.logs import get_logger

_HEARTBEAT_S = 1.0


class RouterLink:
    """A connection that comes back whenever the router does.

    Parameters
    ----------
    address
        Where the router takes workers.
    make_identity
        Returns the identity of a new connection.
    clock
        Returns monotonic time in seconds.
    keys
        Those of this worker, if the router encrypts.
    """

    def __init__(
        self,
        address: str,
        make_identity: Callable[[], bytes],
        clock: Callable[[], float],
        keys: ClientKeys | None = None,
    ) -> None:
        self._address = address
        self._make_identity = make_identity
        self._clock = clock
        self._keys = keys
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._log = get_logger()
        self._sent_s = clock()
        self.is_connected = False
        self._open()

    def poll(self, timeout_ms: int, other: int) -> None:
        """Wait until there is something to do here, or at another descriptor."""
        poller = zmq.Poller()
        poller.register(self._dealer, zmq.POLLIN)
        poller.register(self._monitor, zmq.POLLIN)
        poller.register(other, zmq.POLLIN)
        poller.poll(timeout_ms)

    def receive(self, *, is_busy: bool) -> list[list[zmq.Frame]]:
        """Return the requests that have come; keeps the connection.

        Parameters
        ----------
        is_busy
            Whether this worker has requests, and so must not say that it has none.
        """
        self._watch(is_busy=is_busy)
        requests = [message for message in receive_all(self._dealer) if len(message) > 1]
        is_idle = not (is_busy or requests)
        if is_idle and self.is_connected and self._clock() - self._sent_s >= _HEARTBEAT_S:
            self._send([HEARTBEAT])
        return requests

    def reply(self, envelope: Sequence[bytes], reply: Sequence[Frame]) -> None:
        """Send the reply to a request."""
        self._send([*envelope, *reply])

    def close(self) -> None:
        """Close the connection, once what was sent has left, or after a while."""
        self._dealer.disable_monitor()
        self._monitor.close(linger=0)
        self._dealer.close()
        self._context.term()

    def _send(self, frames: Sequence[Frame]) -> None:
        self._sent_s = self._clock()
        self._dealer.send_multipart(frames, copy=False)

    def _open(self) -> None:
        self._dealer, self._monitor = connect_watched_dealer(
            self._context, self._address, self._make_identity(), keys=self._keys
        )

    def _watch(self, *, is_busy: bool) -> None:
        while self._monitor.poll(0):
            event = parse_monitor_message(self._monitor.recv_multipart())["event"]
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self.is_connected = True
                self._log.info("router_connected", router=self._address)
                if not is_busy:
                    self._send([READY])
            elif event == zmq.EVENT_DISCONNECTED and self.is_connected:
                self.is_connected = False
                self._log.warning("router_lost", router=self._address)
                self._open_anew()
                return

    def _open_anew(self) -> None:
        """Replace the socket: a router that has not noticed the loss would not take the same identity twice."""
        self._dealer.disable_monitor()
        self._monitor.close(linger=0)
        self._dealer.close(linger=0)
        self._open()
