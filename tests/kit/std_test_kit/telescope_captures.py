"""Captures of a telescope's network: packets of boards, and answers of a computer on which nobody listened."""

import struct
from collections.abc import Sequence
from pathlib import Path

from std_test_kit.ip_packets import over_ethernet, pcapng_file, udp_over_ipv4

_ETHERNET = 1
_FIRST_NS, _PERIOD_NS = 1_754_043_733_000_000_000, 1_000_000
_ICMP, _UNREACHABLE, _PORT = 1, 3, 3


def write_capture(path: Path, packets: Sequence[bytes], port: int) -> None:
    """Write a pcapng file in which each packet is followed by an ICMP answer that quotes it as a whole."""
    records = []
    for i, packet in enumerate(packets):
        (ip,) = udp_over_ipv4(port, packet)
        records += [(_FIRST_NS + i * _PERIOD_NS, over_ethernet(one)) for one in (ip, _answer(ip))]
    path.write_bytes(pcapng_file(records, _ETHERNET))


def _answer(quoted: bytes) -> bytes:
    """Return the answer that the port of a packet cannot be reached."""
    body = struct.pack(">BBHI", _UNREACHABLE, _PORT, 0, 0) + quoted
    header = bytearray(quoted[:20])
    header[2:4] = struct.pack(">H", 20 + len(body))
    header[9] = _ICMP
    return bytes(header) + body
