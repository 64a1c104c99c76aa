"""Framing: messages in a stream of bytes. Each side sends a greeting, then messages, each preceded by its length."""

import struct

from std_daq.errors import PortError

GREETING = b"std-daq\x01"
LENGTH = struct.Struct("<I")
_SCHEME = "tcp://"
# First bytes of a TLS record with which a peer may begin: the type of the record, then the major version.
_TLS_HELLO, _TLS_ALERT = b"\x16\x03", b"\x15\x03"


def what_is_wrong_with(greeting: bytes) -> str:
    """Return an explanation of a wrong greeting, or of the beginning of one."""
    if greeting.startswith((_TLS_HELLO, _TLS_ALERT)):
        return "the peer speaks TLS, and this side has no certificates: use TLS (tls) on both sides or on neither"
    if greeting[:-1] == GREETING[:-1]:
        return f"the peer speaks version {greeting[-1]} of this protocol, this side {GREETING[-1]}"
    return "the peer speaks another protocol"


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of ``tcp://HOST:PORT``; raises PortError if the text has another form.

    The host ``*`` stands for all addresses of this machine, and is returned as an empty text.
    """
    host, _, port = address.removeprefix(_SCHEME).rpartition(":")
    if not address.startswith(_SCHEME) or not host or not port.isdecimal():
        raise PortError(f"{address} does not have the form tcp://HOST:PORT")
    return "" if host == "*" else host.removeprefix("[").removesuffix("]"), int(port)


def join_address(host: str, port: int) -> str:
    """Return the address ``tcp://HOST:PORT`` of a numeric host and a port."""
    return f"{_SCHEME}[{host}]:{port}" if ":" in host else f"{_SCHEME}{host}:{port}"
