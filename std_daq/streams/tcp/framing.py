"""Framing: how messages lie in a stream of bytes. Each side greets, then sends messages, each after its length."""

import struct

from std_daq.errors import PortError

GREETING = b"std-daq\x01"
LENGTH = struct.Struct("<I")
_SCHEME = "tcp://"
# How a TLS record begins that a peer sends before anything else: its type, then the major version.
_TLS_HELLO, _TLS_ALERT = b"\x16\x03", b"\x15\x03"


def what_is_wrong_with(greeting: bytes) -> str:
    """Return what a greeting that is not ours, or the beginning of it, tells about who sends it."""
    if greeting.startswith((_TLS_HELLO, _TLS_ALERT)):
        return "it speaks TLS, and this side has no certificates: give it some (tls), or take away those of the other"
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
