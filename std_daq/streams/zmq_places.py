"""ZmqPlaces: limits the peers of a ZMQ socket that listens; ZMQ itself has no such limit.

ZMQ accepts every connection. When the process can open no more files, it accepts none, and with ``ipc://`` it ends the
process. So the peers have to stay far below that number.
"""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import zmq
from zmq.utils.monitor import parse_monitor_message

from std_daq.streams.descriptors import most_peers
from std_daq.streams.places import first_to_go
from std_daq.telemetry.logs import ConditionLog

MAX_PEERS = 256
HANDSHAKE_MS = 5000
_EVENTS = zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED | zmq.EVENT_MONITOR_STOPPED
_CREDENTIALS = struct.Struct("3i")


@dataclass(slots=True, eq=False)
class _Peer:
    """A connection; ``name`` is the address by which it is known again."""

    name: object
    host: str
    connected_at: float
    is_served: bool = False


class ZmqPlaces:
    """Counts the connections of a ZMQ socket, and ends some when there are more than there are places.

    Create it before the socket is bound. `look` must be called again and again, by the thread of the socket.

    Parameters
    ----------
    zmq_socket
        The socket that listens.
    wanted
        Number of places; there are fewer if this process can open few files.
    clock
        Returns monotonic seconds.

    Attributes
    ----------
    n_places
        Number of places.
    n_ended
        Number of connections that were ended because there was no place.
    """

    def __init__(
        self, zmq_socket: "zmq.Socket[bytes]", wanted: int = MAX_PEERS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.n_places = most_peers(wanted)
        self.n_ended = 0
        self._clock = clock
        self._peers: dict[int, _Peer] = {}
        self._conditions = ConditionLog()
        if int(zmq_socket.getsockopt(zmq.HANDSHAKE_IVL)) > HANDSHAKE_MS:
            zmq_socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
        self._socket = zmq_socket
        self._monitor = _monitor_of(zmq_socket)
        self._is_over = False

    @property
    def n_peers(self) -> int:
        """Number of connections."""
        return len(self._peers)

    def look(self) -> None:
        """Take note of who has come and gone, and end connections if there are too many."""
        with suppress(zmq.Again):
            while True:
                self._note(parse_monitor_message(self._monitor.recv_multipart(zmq.DONTWAIT)))

    def note_served(self, message: zmq.Frame) -> None:
        """Note that the peer that sent a message is one for whom the service is there."""
        with suppress(zmq.ZMQError):  # the connection has ended, and ZMQ itself made the message
            peer = self._peers.get(int(message.get(zmq.SRCFD)))
            if peer is not None:
                peer.is_served = True

    def watch(self) -> None:
        """Look whenever somebody comes or goes, until another thread ends the monitor of the socket."""
        while not self._is_over:
            self._monitor.poll()
            self.look()
        self._monitor.close(linger=0)

    def close(self) -> None:
        """End the monitor of the socket; before the socket is closed."""
        self.look()  # a thread of ZMQ may wait until events are taken
        self._socket.disable_monitor()
        self._monitor.close(linger=0)

    def _note(self, event: Mapping[str, Any]) -> None:
        descriptor = event["value"]
        if event["event"] == zmq.EVENT_MONITOR_STOPPED:
            self._is_over = True
            return
        if event["event"] == zmq.EVENT_DISCONNECTED:
            self._peers.pop(descriptor, None)
            return
        known = _who_is_at(descriptor)
        newcomer = _Peer(*(known or (None, "")), self._clock())
        others = [(at, peer) for at, peer in self._peers.items() if at != descriptor]
        self._peers[descriptor] = newcomer
        if len(self._peers) > self.n_places:
            going = first_to_go((peer for _, peer in others), newcomer)
            self._end(next((at for at, peer in others if peer is going), descriptor), going)

    def _end(self, descriptor: int, peer: _Peer) -> None:
        """End a connection; ZMQ then finds it ended by its peer, and says so.

        The connection may have ended already, and its descriptor may be that of another. Only what has the same
        addresses as the peer is ended.
        """
        del self._peers[descriptor]
        self.n_ended += 1
        self._conditions.warning(
            "connection_ended", peer=peer.host, why=f"there are {self.n_places} connections already"
        )
        with suppress(OSError), _borrowed(descriptor) as connection:
            if _name_of(connection) == peer.name:
                connection.shutdown(socket.SHUT_RDWR)


class WatchedPlaces:
    """The places of a socket whose owner does not look again and again: a thread does.

    For sockets of this machine. None of their peers is known to be served.

    Parameters
    ----------
    zmq_socket, wanted
        As of `ZmqPlaces`.
    """

    def __init__(self, zmq_socket: "zmq.Socket[bytes]", wanted: int = MAX_PEERS) -> None:
        self._socket = zmq_socket
        self._thread = threading.Thread(target=ZmqPlaces(zmq_socket, wanted).watch, name="places", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread; before the socket is closed."""
        self._socket.disable_monitor()
        self._thread.join()


def _monitor_of(zmq_socket: "zmq.Socket[bytes]") -> "zmq.Socket[bytes]":
    """Return a socket that receives what happens at another one.

    With a queue of 1 at this end, ZMQ waits when a thousand events have not been taken, and accepts nobody meanwhile.
    So it never gets further ahead than this, however many connect and however late this process looks.
    """
    address = f"inproc://places-{id(zmq_socket)}"
    zmq_socket.monitor(address, _EVENTS)
    monitor: zmq.Socket[bytes] = zmq_socket.context.socket(zmq.PAIR)
    monitor.setsockopt(zmq.LINGER, 0)
    monitor.setsockopt(zmq.RCVHWM, 1)
    monitor.connect(address)
    return monitor


@contextmanager
def _borrowed(descriptor: int) -> Iterator[socket.socket]:
    """Use a connection of ZMQ; needs no descriptor of its own, because there may be none left."""
    connection = socket.socket(fileno=descriptor)
    try:
        yield connection
    finally:
        connection.detach()


def _who_is_at(descriptor: int) -> tuple[object, str] | None:
    """Return the addresses of a connection and the host of its peer; None if it has ended."""
    try:
        with _borrowed(descriptor) as connection:
            if connection.family == socket.AF_UNIX:
                process, user, _ = _CREDENTIALS.unpack(_credentials(connection))
                return _name_of(connection), f"process {process} of user {user}"
            return _name_of(connection), str(connection.getpeername()[0])
    except OSError:
        return None


def _name_of(connection: socket.socket) -> object:
    of_peer = _credentials(connection) if connection.family == socket.AF_UNIX else connection.getpeername()
    return connection.getsockname(), of_peer


def _credentials(connection: socket.socket) -> bytes:
    return connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
