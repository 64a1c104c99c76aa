"""Framing: how messages lie in a TCP stream. Each side greets, then sends messages, each after its length."""

import struct

from std_daq.errors import PortError

GREETING = b"std-daq\x01"
LENGTH = struct.Struct("<I")
_SCHEME = "tcp://"


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of ``tcp://HOST:PORT``; raises PortError where it is no such address.

    The host ``*`` is all of this machine's addresses, and returned as an empty one.
    """
    host, _, port = address.removeprefix(_SCHEME).rpartition(":")
    if not address.startswith(_SCHEME) or not host or not port.isdecimal():
        raise PortError(f"{address} is no tcp://HOST:PORT")
    return "" if host == "*" else host.removeprefix("[").removesuffix("]"), int(port)
