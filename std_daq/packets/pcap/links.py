"""Extraction of IP packets from link layers. Numbers of link layers: https://www.tcpdump.org/linktypes.html."""

import struct
from collections.abc import Callable

NULL, ETHERNET, RAW, LOOP, COOKED, IPV4, IPV6, COOKED_2 = 0, 1, 101, 108, 113, 228, 229, 276
# numbers of the raw link in files from some other systems
_RAW_ELSEWHERE = (12, 14)

_IP_TYPES = (0x0800, 0x86DD)
_VLAN_TYPES = (0x8100, 0x88A8, 0x9100)


def ip_packet(link_type: int, packet: bytes) -> bytes | None:
    """Return the payload of a link layer's packet if it may be an IP packet, None otherwise."""
    strip = _LINKS.get(link_type)
    return None if strip is None else strip(packet)


def _typed(type_at: int, payload_at: int) -> Callable[[bytes], bytes | None]:
    """Return a function that strips a header with an Ethernet type, and the VLAN tags that may follow it."""

    def strip(packet: bytes) -> bytes | None:
        if len(packet) < payload_at:
            return None
        (kind,) = struct.unpack_from(">H", packet, type_at)
        at = payload_at
        while kind in _VLAN_TYPES and len(packet) >= at + 4:
            (kind,) = struct.unpack_from(">H", packet, at + 2)
            at += 4
        return packet[at:] if kind in _IP_TYPES else None

    return strip


def _after_family(packet: bytes) -> bytes | None:
    """Strip an address family; its numbers differ between systems, so the IP version in the packet is used instead."""
    return packet[4:] or None


def _bare(packet: bytes) -> bytes | None:
    return packet or None


_LINKS: dict[int, Callable[[bytes], bytes | None]] = {
    NULL: _after_family,
    LOOP: _after_family,
    ETHERNET: _typed(type_at=12, payload_at=14),
    COOKED: _typed(type_at=14, payload_at=16),
    COOKED_2: _typed(type_at=0, payload_at=20),
    **dict.fromkeys((RAW, IPV4, IPV6, *_RAW_ELSEWHERE), _bare),
}
