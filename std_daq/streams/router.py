"""Router: one address to which many peers connect, each of which is answered on its own."""

import re
from contextlib import suppress
from typing import Any

import zmq

from std_daq.errors import PortError
from std_daq.streams.curve_keys import ServerKeys
from std_daq.streams.gatekeeper import Gatekeeper
from std_daq.telemetry.logs import get_logger

_LARGEST_REQUEST_BYTES = 65536
_DOMAIN = b"std-daq"
_N_PARTS = 2
_LOOPBACK = re.compile(r"(ipc|inproc)://|tcp://(127\.|localhost:|\[::1\])")


class Router:
    """The side that is connected to.

    Parameters
    ----------
    address
        ZMQ endpoint to bind.
    queue_messages
        How many messages may wait for a peer.
    timeout_s
        A connection over which nothing gets through for this time is ended.
    keys
        For CURVE; without them everybody who can reach the address is served, and nothing is encrypted.

    Raises
    ------
    PortError
        When the address cannot be bound.
    """

    def __init__(self, address: str, *, queue_messages: int, timeout_s: float, keys: ServerKeys | None = None) -> None:
        self._context = zmq.Context()
        self.gatekeeper = None if keys is None else Gatekeeper(self._context, keys.clients)
        self._socket = self._context.socket(zmq.ROUTER)
        socket = self._socket
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.SNDHWM, queue_messages)
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        socket.setsockopt(zmq.MAXMSGSIZE, _LARGEST_REQUEST_BYTES)
        end_stuck_connections(socket, timeout_s)
        socket.setsockopt(zmq.HEARTBEAT_IVL, int(timeout_s * 1000) // 3)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, int(timeout_s * 1000))
        # Memory that is sent in place is never copied, however little it is: its tracker would be done too early.
        socket.copy_threshold = 0
        if keys is not None:
            socket.setsockopt(zmq.CURVE_SERVER, 1)
            socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
            socket.setsockopt(zmq.ZAP_DOMAIN, _DOMAIN)
        else:
            warn_if_open(address)
        try:
            socket.bind(address)
        except zmq.ZMQError as error:
            self.close()
            raise PortError(f"{address} cannot be bound: {error.strerror}") from None

    @property
    def address(self) -> str:
        """Where it can be reached; with the port that the system has chosen if the address had none."""
        endpoint = self._socket.getsockopt(zmq.LAST_ENDPOINT)
        return endpoint.rstrip(b"\0").decode() if isinstance(endpoint, bytes) else ""

    @property
    def sockets(self) -> "list[zmq.Socket[bytes]]":
        """For the poller of whoever calls `receive`."""
        return [self._socket] if self.gatekeeper is None else [self._socket, self.gatekeeper.socket]

    def receive(self) -> tuple[bytes, bytes] | None:
        """Return a peer's identity and its message, None where there is none; also lets in new peers."""
        if self.gatekeeper is not None:
            self.gatekeeper.step()
        while True:
            try:
                parts = self._socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return None
            if len(parts) == _N_PARTS:
                return parts[0], parts[1]

    def peer(self, identity: bytes) -> "RouterPeer":
        """Return the way to a peer."""
        return RouterPeer(self._socket, identity)

    def close(self) -> None:
        """Let go of the address; what waits is not sent."""
        if self.gatekeeper is not None:
            self.gatekeeper.close()
        self._context.destroy(linger=0)


class RouterPeer:
    """The way to one peer.

    Attributes
    ----------
    is_gone
        Whether its connection has ended; known only after the next attempt to send.
    """

    def __init__(self, socket: "zmq.Socket[bytes]", identity: bytes) -> None:
        self._socket = socket
        self._identity = identity
        self.is_gone = False

    def send(self, message: bytes) -> bool:
        """Queue a message; returns False, and queues nothing, where the queue is full or the peer is gone."""
        if not self._address():
            return False
        self._socket.send(message, zmq.DONTWAIT)
        return True

    def send_in_place(self, memory: memoryview) -> "zmq.MessageTracker | None":
        """Queue memory that is read only when the network takes it; None as `send` returns False.

        Returns
        -------
        Its ``done`` tells when the memory has been read.
        """
        if not self._address():
            return None
        tracker: Any = self._socket.send(memory, zmq.DONTWAIT, copy=False, track=True)
        return tracker  # type: ignore[no-any-return]

    def transmit(self) -> None:
        """Do nothing: what is queued is sent by ZMQ's own thread."""

    def _address(self) -> bool:
        try:
            self._socket.send(self._identity, zmq.DONTWAIT | zmq.SNDMORE)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            self.is_gone = True
            return False
        return True


def end_stuck_connections(socket: "zmq.Socket[bytes]", timeout_s: float) -> None:
    """Have a socket end connections over which nothing that it sends gets through for a time."""
    # Also where the peer's kernel answers, while the peer itself takes nothing.
    with suppress(zmq.ZMQError):
        socket.setsockopt(zmq.TCP_MAXRT, int(timeout_s * 1000))


def warn_if_open(address: str) -> None:
    """Say in the log that everybody is served who can reach an address from other machines."""
    if not _LOOPBACK.match(address):
        get_logger().warning("open_to_everybody", address=address, remedy="use CURVE keys, or a firewall")
