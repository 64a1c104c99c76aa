"""The ZMQ sockets of the photon simulation: addresses, heartbeats of the transport, limits."""

import re
from collections.abc import Sequence
from enum import Enum, auto
from typing import Any

import zmq

from std_daq.address_words import address_error
from std_daq.errors import ArgumentError
from std_daq.photons.gate import Gate
from std_daq.photons.keys import ClientKeys
from std_daq.streams.zmq_places import ZmqPlaces

HEARTBEAT_INTERVAL_MS = 400
HEARTBEAT_TIMEOUT_MS = 1500
"""A connection whose other side is silent for so long is closed. libzmq answers also while Python computes."""
RECONNECT_MS = 100
LINGER_MS = 500
MAX_PEERS = 1024
CONNECTION_EVENTS = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
"""A server may be spoken to, and is gone."""
_GONE_MS = 2000
_HANDSHAKE_MS = 2000
_MAX_FRAME_BYTES = 2 << 30
_MAX_PORT = 65535
_TCP = re.compile(r"tcp://(?P<host>\[[^\]]+\]|[^\s:/\[\]]+):(?P<port>\d+|\*)")


class Posted(Enum):
    """What became of a message to one peer."""

    DONE = auto()
    GONE = auto()
    FULL = auto()


def check_address(option: str, address: str) -> str:
    """Return an address as ZMQ takes it.

    Raises
    ------
    ArgumentError
        It is no address.
    """
    found = _TCP.fullmatch(address)
    is_tcp = found is not None and (found["port"] == "*" or int(found["port"]) <= _MAX_PORT)
    if not is_tcp and not re.fullmatch(r"ipc://\S+", address):
        raise ArgumentError(
            option, "this is no address", value=address, remedy="for example tcp://127.0.0.1:5555 or tcp://*:5555"
        )
    return address


def bind_router(
    context: "zmq.Context[zmq.Socket[bytes]]",
    option: str,
    address: str,
    *,
    pings: bool = False,
    gate: Gate | None = None,
) -> "tuple[zmq.Socket[bytes], ZmqPlaces]":
    """Return a ROUTER socket at an address, and its places.

    A send to a peer that is gone raises `zmq.ZMQError` (EHOSTUNREACH). The places are to be looked at again and again,
    and closed before the socket.

    Parameters
    ----------
    context
        Where the socket belongs.
    option
        Name of the option that gives the address, for errors.
    address
        Where it listens.
    pings
        Whether peers are pinged, and dropped if they are silent, as a process that is stopped. Only for peers that are
        trusted: then there is no limit to their unread messages.
    gate
        Encrypts, and says who may connect; None: everybody may, in plain.

    Raises
    ------
    ArgumentError
        It is no address.
    PortError
        The address is in use, or not of this machine.
    """
    check_address(option, address)
    router = _socket(context, zmq.ROUTER, address)
    router.setsockopt(zmq.ROUTER_MANDATORY, 1)
    router.setsockopt(zmq.MAXMSGSIZE, _MAX_FRAME_BYTES)
    if gate is not None:
        gate.guard(router)
    if pings:
        _add_pings(router)
        # libzmq aborts when a ping is due to a peer that has gone while its queue was full ("!_io_error"): none is.
        router.setsockopt(zmq.RCVHWM, 0)
    else:
        router.setsockopt(zmq.TCP_MAXRT, _GONE_MS)
        router.setsockopt(zmq.TCP_KEEPALIVE, 1)
        router.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 1)
        router.setsockopt(zmq.TCP_KEEPALIVE_INTVL, 1)
    places = ZmqPlaces(router, MAX_PEERS)
    try:
        # ZMQ takes the name of an interface, or a numeric address.
        router.bind(address.replace("//localhost:", "//127.0.0.1:"))
    except zmq.ZMQError as error:
        places.close()
        router.close(linger=0)
        raise address_error(f"{option} {address} cannot be opened", error, option) from None
    return router, places


def connect_dealer(
    context: "zmq.Context[zmq.Socket[bytes]]",
    address: str,
    identity: bytes | None = None,
    *,
    keys: ClientKeys | None = None,
) -> "zmq.Socket[bytes]":
    """Return a DEALER socket that connects to an address, and again whenever the connection is lost.

    Parameters
    ----------
    context
        Where the socket belongs.
    address
        The server or router.
    identity
        That of this side; None: the other side chooses one.
    keys
        Those of this side, if the other side encrypts; None: everything is plain.
    """
    dealer = _dealer(context, address, identity, keys)
    dealer.connect(address)
    return dealer


def connect_watched_dealer(
    context: "zmq.Context[zmq.Socket[bytes]]",
    address: str,
    identity: bytes | None = None,
    *,
    keys: ClientKeys | None = None,
) -> "tuple[zmq.Socket[bytes], zmq.Socket[bytes]]":
    """Return a socket as `connect_dealer` does, and the one that tells of `CONNECTION_EVENTS`, the first included.

    The socket queues without a limit, because its users limit what is under way, and must not wait for a server that
    is gone. Both are set before it connects: ZMQ takes them for new connections only, and on one machine a connection
    may stand before the next line runs.

    Parameters
    ----------
    context, address, identity, keys
        As of `connect_dealer`.
    """
    dealer = _dealer(context, address, identity, keys)
    dealer.setsockopt(zmq.SNDHWM, 0)
    monitor = dealer.get_monitor_socket(CONNECTION_EVENTS)
    dealer.connect(address)
    return dealer, monitor


def deliver(router: "zmq.Socket[bytes]", identity: bytes, frames: Sequence[Any]) -> Posted:
    """Send frames to one peer of a ROUTER socket, without waiting for it."""
    try:
        router.send_multipart([identity, *frames], zmq.NOBLOCK, copy=False)
    except zmq.ZMQError as error:
        if error.errno == zmq.EHOSTUNREACH:
            return Posted.GONE
        if error.errno == zmq.EAGAIN:
            return Posted.FULL
        raise
    return Posted.DONE


def receive_all(socket: "zmq.Socket[bytes]", limit: int = 200) -> list[list[zmq.Frame]]:
    """Return the messages that have come, at most ``limit``."""
    messages: list[list[zmq.Frame]] = []
    while len(messages) < limit:
        try:
            messages.append(socket.recv_multipart(zmq.NOBLOCK, copy=False))
        except zmq.Again:
            break
    return messages


def bound_address(socket: "zmq.Socket[bytes]") -> str:
    """Return the address at which a socket listens, also where the system chose the port."""
    address = socket.getsockopt(zmq.LAST_ENDPOINT)
    return address.rstrip(b"\0").decode() if isinstance(address, bytes) else str(address)


def _socket(context: "zmq.Context[zmq.Socket[bytes]]", kind: int, address: str) -> "zmq.Socket[bytes]":
    socket = context.socket(kind)
    socket.setsockopt(zmq.LINGER, LINGER_MS)
    socket.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
    socket.setsockopt(zmq.IPV6, int("[" in address))
    return socket


def _dealer(
    context: "zmq.Context[zmq.Socket[bytes]]", address: str, identity: bytes | None, keys: ClientKeys | None
) -> "zmq.Socket[bytes]":
    dealer = _socket(context, zmq.DEALER, address)
    _add_pings(dealer)
    if keys is not None:
        dealer.setsockopt(zmq.CURVE_SERVERKEY, keys.server.encode())
        dealer.setsockopt(zmq.CURVE_PUBLICKEY, keys.public.encode())
        dealer.setsockopt(zmq.CURVE_SECRETKEY, keys.secret.encode())
    if identity is not None:
        dealer.setsockopt(zmq.ROUTING_ID, identity)
    dealer.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
    return dealer


def _add_pings(socket: "zmq.Socket[bytes]") -> None:
    socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_INTERVAL_MS)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
