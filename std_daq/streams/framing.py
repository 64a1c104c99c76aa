"""Framing: how messages lie in a TCP stream. Each side greets, then sends messages, each after its length."""

import struct

from std_daq.errors import PortError

GREETING = b"std-daq\x01"
LENGTH = struct.Struct("<I")
_SCHEME = "tcp://"
_ZMQ_GREETING = b"\xff\0\0\0\0\0\0\0"


def what_is_wrong_with(greeting: bytes) -> str:
    """Return what a greeting that is not ours tells of who sends it."""
    if greeting == _ZMQ_GREETING:
        return "it speaks ZMQ: it has keys and this side has none, or it is of an older version"
    if greeting[:-1] == GREETING[:-1]:
        return f"it speaks version {greeting[-1]} of this protocol, this side {GREETING[-1]}"
    return "it speaks another protocol"


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of ``tcp://HOST:PORT``; raises PortError where it is no such address.

    The host ``*`` is all of this machine's addresses, and returned as an empty one.
    """
    host, _, port = address.removeprefix(_SCHEME).rpartition(":")
    if not address.startswith(_SCHEME) or not host or not port.isdecimal():
        raise PortError(f"{address} is no tcp://HOST:PORT")
    return "" if host == "*" else host.removeprefix("[").removesuffix("]"), int(port)


def join_address(host: str, port: int) -> str:
    """Return the address of a host that is given by its number, and a port."""
    return f"{_SCHEME}[{host}]:{port}" if ":" in host else f"{_SCHEME}{host}:{port}"
