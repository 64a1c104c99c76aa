"""Makes the packets and files that a capturing program would have made: IP, link layers, pcapng blocks."""

import ipaddress
import itertools
import struct
from collections.abc import Sequence

_IDENTIFICATIONS = itertools.count(1)
_DONT_CARE_PORT = 40000


def _udp(port: int, payload: bytes) -> bytes:
    return struct.pack(">HHHH", _DONT_CARE_PORT, port, 8 + len(payload), 0) + payload


def udp_over_ipv4(port: int, payload: bytes, *, mtu: int = 65535, options: bytes = b"") -> list[bytes]:
    """Return the IPv4 packets that carry a datagram, several if it is longer than the `mtu` allows."""
    udp = _udp(port, payload)
    ident = next(_IDENTIFICATIONS) % 65536
    step = (mtu - 20 - len(options)) // 8 * 8
    packets = []
    for at in range(0, len(udp), step):
        piece = udp[at : at + step]
        more = 0x2000 if at + step < len(udp) else 0
        first = 0x45 + len(options) // 4
        n_total = 20 + len(options) + len(piece)
        addresses = ipaddress.IPv4Address("192.0.2.1").packed + ipaddress.IPv4Address("192.0.2.2").packed
        header = struct.pack(">BBHHHBBH8s", first, 0, n_total, ident, more | at // 8, 64, 17, 0, addresses)
        packets.append(header + options + piece)
    return packets


def udp_over_ipv6(port: int, payload: bytes, *, mtu: int = 65535, has_options: bool = False) -> list[bytes]:
    """Return the IPv6 packets that carry a datagram, several if it is longer than the `mtu` allows."""
    udp = _udp(port, payload)
    ident = next(_IDENTIFICATIONS)
    addresses = ipaddress.IPv6Address("2001:db8::1").packed + ipaddress.IPv6Address("2001:db8::2").packed
    options = b"\0\0\1\4\0\0\0\0" if has_options else b""
    step = (mtu - 40 - len(options) - 8) // 8 * 8
    packets = []
    for at in range(0, len(udp), step):
        piece = udp[at : at + step]
        is_fragment = len(udp) > step
        fragment = struct.pack(">BBHI", 17, 0, at | (at + step < len(udp)), ident) if is_fragment else b""
        after_options = 44 if is_fragment else 17
        extensions = bytes([after_options]) + options[1:] + fragment if options else fragment
        protocol = 0 if options else after_options
        n_payload = len(extensions) + len(piece)
        packets.append(struct.pack(">IHBB32s", 6 << 28, n_payload, protocol, 64, addresses) + extensions + piece)
    return packets


def _ethernet_type(ip: bytes) -> bytes:
    return b"\x08\x00" if ip[0] >> 4 == 4 else b"\x86\xdd"


def over_ethernet(ip: bytes, *, vlans: Sequence[int] = ()) -> bytes:
    """Return an Ethernet packet, with VLAN tags."""
    tags = b"".join(struct.pack(">HH", 0x8100, vlan) for vlan in vlans)
    return bytes(12) + tags + _ethernet_type(ip) + ip


def over_cooked(ip: bytes) -> bytes:
    """Return a packet of Linux's cooked capture, version 1."""
    return bytes(14) + _ethernet_type(ip) + ip


def over_cooked_2(ip: bytes) -> bytes:
    """Return a packet of Linux's cooked capture, version 2."""
    return _ethernet_type(ip) + bytes(18) + ip


def over_family(ip: bytes) -> bytes:
    """Return a packet of a BSD loopback."""
    return struct.pack("<I", 2 if ip[0] >> 4 == 4 else 30) + ip


def pcap_file(
    packets: Sequence[tuple[int, bytes]], link_type: int, *, order: str = "<", is_nano: bool = False, snap: int = 65535
) -> bytes:
    """Return a pcap file of (time in ns, packet), each cut to `snap` bytes."""
    fraction_ns = 1 if is_nano else 1000
    magic = 0xA1B23C4D if is_nano else 0xA1B2C3D4
    parts = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snap, link_type)]
    for time_ns, packet in packets:
        seconds, rest_ns = divmod(time_ns, 10**9)
        kept = packet[:snap]
        parts.append(struct.pack(order + "IIII", seconds, rest_ns // fraction_ns, len(kept), len(packet)) + kept)
    return b"".join(parts)


def pcapng_block(kind: int, body: bytes, order: str = "<") -> bytes:
    """Return a pcapng block."""
    body += bytes(-len(body) % 4)
    n_bytes = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + n_bytes + body + n_bytes


def pcapng_file(
    packets: Sequence[tuple[int, bytes]], link_type: int, *, order: str = "<", resolution: int = 9, offset_s: int = 0
) -> bytes:
    """Return a pcapng file of (time in ns, packet): a section, an interface, enhanced packet blocks."""
    section = struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1)
    options = struct.pack(order + "HHB3x", 9, 1, resolution) + struct.pack(order + "HHq", 14, 8, offset_s) + bytes(4)
    parts = [
        pcapng_block(0x0A0D0D0A, section, order),
        pcapng_block(1, struct.pack(order + "HHI", link_type, 0, 0) + options, order),
        # a block that readers skip
        pcapng_block(4, bytes(8), order),
    ]
    for time_ns, packet in packets:
        stamp = (time_ns - offset_s * 10**9) * 10**resolution // 10**9
        head = struct.pack(order + "IIIII", 0, stamp >> 32, stamp & 0xFFFFFFFF, len(packet), len(packet))
        parts.append(pcapng_block(6, head + packet, order))
    return b"".join(parts)
