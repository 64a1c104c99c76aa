"""IP headers: extracting from an IP packet the transport packet, or the fragment of one, that it carries."""

import struct
from dataclasses import dataclass

UDP = 17

_N_V4, _N_V6, _N_FRAGMENT = 20, 40, 8
_V6_FRAGMENT = 44
# hop-by-hop options, routing, destination options; each begins with the number of the next header and with its own
# length, counted in units of 8 bytes behind the first 8
_V6_EXTENSIONS = (0, 43, 60)


class MalformedError(Exception):
    """A packet contradicts its protocol."""


@dataclass(frozen=True, slots=True)
class IpPiece:
    """Payload of one IP packet: a whole transport packet or a fragment of one.

    Attributes
    ----------
    protocol
        Number of the transport protocol.
    key
        Addresses and identification, which are the same for all fragments of a transport packet.
    offset
        Offset of the payload in the transport packet, in bytes.
    n_bytes
        Length of the payload according to the header, in bytes.
    data
        The payload as it was captured; shorter than `n_bytes` if the capture cut the packet short.
    is_last
        Whether this is the last fragment of the transport packet.
    """

    protocol: int
    key: tuple[bytes, bytes, int]
    offset: int
    n_bytes: int
    data: bytes
    is_last: bool

    @property
    def is_whole(self) -> bool:
        """Whether the payload is a whole transport packet, not a fragment."""
        return self.is_last and self.offset == 0


def ip_piece(packet: bytes) -> IpPiece:
    """Return the payload of an IP packet: version 4, also with options, or version 6, also with extensions.

    Raises
    ------
    MalformedError
        The bytes are not an IP packet, or its headers are incomplete.
    """
    version = packet[0] >> 4 if packet else 0
    try:
        if version == 4:
            return _v4(packet)
        if version == 6:
            return _v6(packet)
    except (struct.error, IndexError):
        raise MalformedError("the IP header is incomplete") from None
    raise MalformedError(f"IP version {version}")


def _v4(packet: bytes) -> IpPiece:
    first, _, n_total, ident, flags, _, protocol, _, source, target = struct.unpack_from(">BBHHHBBH4s4s", packet)
    n_header = 4 * (first & 15)
    # the length is 0 if the network card was to cut the packet into segments (segmentation offload)
    n_total = n_total or len(packet)
    if n_header < _N_V4 or n_total < n_header:
        raise MalformedError(f"{n_header} bytes of header in {n_total} bytes of packet")
    return IpPiece(
        protocol=protocol,
        key=(source, target, ident << 8 | protocol),
        offset=8 * (flags & 0x1FFF),
        n_bytes=n_total - n_header,
        data=packet[n_header:n_total],
        is_last=not flags & 0x2000,
    )


def _v6(packet: bytes) -> IpPiece:
    _, n_payload, protocol, _, source, target = struct.unpack_from(">IHBB16s16s", packet)
    end = _N_V6 + (n_payload or len(packet) - _N_V6)
    at = _N_V6
    ident, offset, is_last = 0, 0, True
    while protocol in _V6_EXTENSIONS or protocol == _V6_FRAGMENT:
        if protocol == _V6_FRAGMENT:
            protocol, _, place, ident = struct.unpack_from(">BBHI", packet, at)
            offset, is_last = place & 0xFFF8, not place & 1
            at += _N_FRAGMENT
            if offset:
                # behind the header of a later fragment follows the middle of a packet, not another header
                break
        else:
            protocol, n_eights = packet[at], packet[at + 1]
            at += 8 * (n_eights + 1)
    if at > end:
        raise MalformedError("the extensions are longer than the packet")
    return IpPiece(protocol, (source, target, ident), offset, end - at, packet[at:end], is_last)
