"""From a link layer to the IP packet in it. Numbers: https://www.tcpdump.org/linktypes.html."""

import struct
from collections.abc import Callable

NULL, ETHERNET, RAW, LOOP, COOKED, IPV4, IPV6, COOKED_2 = 0, 1, 101, 108, 113, 228, 229, 276
# the raw link has other numbers in files of some systems
_RAW_ELSEWHERE = (12, 14)

_IP_TYPES = (0x0800, 0x86DD)
_VLAN_TYPES = (0x8100, 0x88A8, 0x9100)


def ip_packet(link_type: int, packet: bytes) -> bytes | None:
    """Return what a link layer's packet carries if that may be an IP packet."""
    strip = _LINKS.get(link_type)
    return None if strip is None else strip(packet)


def _typed(type_at: int, payload_at: int) -> Callable[[bytes], bytes | None]:
    """Make a reader of headers that hold an Ethernet type, after which VLAN tags may follow."""

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
    """Strip an address family: its numbers differ between systems, and the IP version says the same."""
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
