"""A peer of a ZMQ socket (ZMTP 3.0, mechanism NULL) that says only what a test says."""

import socket


def connect_zmtp(address: str, socket_type: bytes, timeout_s: float = 10.0) -> socket.socket:
    """Connect to a ZMQ endpoint ``tcp://HOST:PORT``, and exchange greetings.

    Parameters
    ----------
    address
        The endpoint.
    socket_type
        What the peer claims to be, for example ``b"SUB"``.
    timeout_s
        Longest wait for each answer, in seconds.
    """
    host, port = address.removeprefix("tcp://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=timeout_s)
    try:
        connection.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00NULL".ljust(55, b"\0"))
        read_exactly(connection, 64)
        ready = b"\x05READY" + b"\x0bSocket-Type" + len(socket_type).to_bytes(4, "big") + socket_type
        connection.sendall(b"\x04" + bytes([len(ready)]) + ready)
        read_exactly(connection, read_exactly(connection, 2)[1])
    except BaseException:
        connection.close()
        raise
    return connection


def read_exactly(connection: socket.socket, n_bytes: int) -> bytes:
    """Read a number of bytes; raises ConnectionError if the other side ends the connection before."""
    received = b""
    while len(received) < n_bytes:
        part = connection.recv(n_bytes - len(received))
        if not part:
            raise ConnectionError("the other side has ended the connection")
        received += part
    return received
