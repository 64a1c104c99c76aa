"""The header of a frame: the JSON text that stands in front of the pixels, and the times in it. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from std_daq.telescope.pff.product import Product

HEADER_END = b"\n\n*"
"""What separates header and pixels."""
MAX_HEADER_BYTES = 4096
"""No header is longer; whatever is longer is no header."""
PACKET_FIELDS = ("pkt_num", "pkt_tai", "pkt_nsec", "tv_sec", "tv_usec")
"""The numbers of a header that tell of one packet."""

TAI_MODULUS = 1024
TAI_MINUS_UTC_S = 37
_NS_IN_S = 1_000_000_000
_WIDTHS = {"pkt_num": 10, "pkt_tai": 4, "pkt_nsec": 9, "tv_sec": 10, "tv_usec": 6}

Header = Mapping[str, Any]
"""A parsed header: of ph256 with `PACKET_FIELDS` and ``quabo_num``, of others with one object for each quabo."""


class HeaderForm(Enum):
    """Where a frame stands; the spaces of a 32 x 32 header differ."""

    FILE = ("   ", ", ")
    SOCKET = (" ", ",")


@dataclass(frozen=True, slots=True)
class PacketStamp:
    """What a header tells of one packet.

    Parameters
    ----------
    pkt_num
        Number of the packet, 16 bits, counted by the board.
    pkt_tai
        Lowest 10 bits of the TAI seconds at the board.
    pkt_nsec
        Nanoseconds at the board; 999999999 at most, which a board without a synchronised clock has often.
    tv_sec, tv_usec
        Time at which the acquiring computer received the packet, in seconds and microseconds since 1970.
    """

    pkt_num: int
    pkt_tai: int
    pkt_nsec: int
    tv_sec: int
    tv_usec: int

    @property
    def received_ns(self) -> int:
        """Time at which the acquiring computer received the packet, in nanoseconds since 1970."""
        return self.tv_sec * _NS_IN_S + self.tv_usec * 1000

    @property
    def white_rabbit_ns(self) -> int:
        """Time at the board in nanoseconds since 1970; 0 if the clocks of board and computer are not synchronous."""
        step_s = tai_step_s(self.tv_sec, self.pkt_tai)
        return 0 if step_s is None else (self.tv_sec + step_s) * _NS_IN_S + self.pkt_nsec


def tai_step_s(tv_sec: int, pkt_tai: int) -> int | None:
    """Return what to add to the computer's second to have that of the board; None if they are too far apart.

    The board sends only 10 bits of its second. Around the turn of a second the computer's may be one too high or low.
    """
    return {0: 0, 1: -1, TAI_MODULUS - 1: 1}.get((tv_sec - pkt_tai + TAI_MINUS_UTC_S) % TAI_MODULUS)


def parse_header(text: bytes) -> Header:
    """Return a parsed header; raises ValueError if the text is not that of a header."""
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the header is not JSON: {error}") from None
    if not isinstance(header, dict):
        raise ValueError("the header is JSON, but not an object")
    return header


def check_header(header: Header, product: Product) -> None:
    """Check that a header has the keys of a product's header; raises ValueError."""
    for stamp in stamps_of(header, product):
        for name, value in zip(PACKET_FIELDS, stamp, strict=True):
            if type(value) is not int or value < 0:
                raise ValueError(f"'{name}' of the header is {value!r}, not a whole number of at least 0")
    if not product.quabos and header.get("quabo_num") not in {0, 1, 2, 3}:
        raise ValueError(f"'quabo_num' of the header is {header.get('quabo_num')!r}, not 0 to 3")


def stamps_of(header: Header, product: Product) -> list[tuple[Any, ...]]:
    """Return `PACKET_FIELDS` of each packet of a frame; raises ValueError if a key is missing."""
    try:
        packets = [header[f"quabo_{quabo}"] for quabo in product.quabos] or [header]
        return [tuple(packet[name] for name in PACKET_FIELDS) for packet in packets]
    except (KeyError, TypeError):
        raise ValueError(f"the header is not that of a {product.name} frame: keys are missing") from None


def first_stamp(header: Header) -> PacketStamp:
    """Return the stamp by which a frame is dated: that of quabo 0, or of the only packet; raises ValueError."""
    packet = header.get("quabo_0", header)
    try:
        return PacketStamp(*(int(packet[name]) for name in PACKET_FIELDS))
    except (KeyError, TypeError, ValueError, OverflowError):
        raise ValueError("the header has no time") from None


def format_header(header: Header, product: Product, form: HeaderForm = HeaderForm.FILE) -> bytes:
    """Return the text of a header as the acquisition writes it, with `HEADER_END`; its length is always the same.

    Raises
    ------
    ValueError
        A key is missing, or a number has more digits than its place.
    """
    check_header(header, product)
    if not product.quabos:
        text = f'{{ "quabo_num": {header["quabo_num"]}, {_format_packet(header)}}}'
        return text.encode() + HEADER_END
    before, between = form.value
    lines = [f'{before}"quabo_{quabo}": {{ {_format_packet(header[f"quabo_{quabo}"])}}}' for quabo in product.quabos]
    return ("{\n" + f"{between}\n".join(lines) + "\n}").encode() + HEADER_END


def _format_packet(packet: Header) -> str:
    parts = []
    for name, width in _WIDTHS.items():
        number = f"{packet[name]:{width}d}"
        if len(number) > width:
            raise ValueError(f"'{name}' of the header is {packet[name]}, which has more than {width} digits")
        parts.append(f'"{name}": {number}')
    return ", ".join(parts)
