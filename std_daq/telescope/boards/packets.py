"""Packets of a telescope's quarter boards: a 16-byte header, then the 256 pixels of one board."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.detectors.board_layout import BoardLayout
from std_daq.imaging.detectors.packet_layout import HeaderCheck, HeaderField, PacketLayout
from std_daq.telescope.pff.product import Product

UDP_PORT = 60001
EDGE = 16
"""Rows and columns of a board."""
N_QUARTERS = 4
MAX_MODULE = 2**14 - 1
VERSION = 1

BOARD_HEADER = np.dtype(
    [
        ("mode", "u1"),
        ("version", "u1"),
        ("number", "<u2"),
        ("address", "<u2"),  # bits 0-1 the quarter, 2-15 the module
        ("tai", "<u4"),
        ("nsec", "<u4"),  # above 999999999 where the clock is not synchronised
        ("unused", "V2"),
    ]
)
assert BOARD_HEADER.itemsize == 16  # noqa: S101

NUMBER = HeaderField(offset=2, width=2)
ADDRESS = HeaderField(offset=4, width=2)
PULSE_HEIGHT_MODES = frozenset({1})
MODES = {
    "ph256": PULSE_HEIGHT_MODES,
    "ph1024": PULSE_HEIGHT_MODES,
    "img16": frozenset({2, 3}),
    "img8": frozenset({6, 7}),
}
"""The acquisition modes in the packets of each product."""
_ALL_MODES = frozenset[int]().union(*MODES.values())


def board_layout(product: Product, *, coincidence_ns: int, modules: frozenset[int] = frozenset()) -> BoardLayout:
    """Return the layout of the packets of a product."""
    modes = MODES[product.name]
    return BoardLayout(
        header_bytes=BOARD_HEADER.itemsize,
        payload_bytes=payload_bytes(product),
        n_boards=product.n_packets,
        source=HeaderField(offset=4, width=2, shift=2),
        board=HeaderField(offset=4, width=2, mask=N_QUARTERS - 1),
        number=HeaderField(offset=2, width=2, mask=2**16 - 1),
        seconds=HeaderField(offset=6, width=4, mask=2**10 - 1),
        nanoseconds=HeaderField(offset=10, width=4, mask=2**32 - 1),
        coincidence_ns=coincidence_ns,
        module_id=ADDRESS,
        daq_rec=HeaderField(offset=0, width=8),
        kind=HeaderField(offset=0, width=1),
        kinds=modes,
        other_kinds=_ALL_MODES - modes,
        checks=(HeaderCheck(HeaderField(offset=1, width=1), VERSION, "foreign_version"),),
        sources=modules,
    )


def packet_layout(product: Product) -> PacketLayout:
    """Return the layout of a board's frame, which is one packet."""
    n_bytes = payload_bytes(product)
    return PacketLayout(
        header_bytes=BOARD_HEADER.itemsize,
        unit_bytes=n_bytes,
        n_units=1,
        units_per_packet=1,
        max_units_per_packet=1,
        key=NUMBER,
        unit=HeaderField(offset=0, width=1, mask=0),
        module_id=ADDRESS,
        length_hints={64: "is this housekeeping, which belongs on UDP port 60002?"}
        | {
            BOARD_HEADER.itemsize + EDGE * EDGE * size: f"do the boards send pixels of {8 * size} bits?"
            for size in (1, 2)
            if EDGE * EDGE * size != n_bytes
        },
    )


def payload_bytes(product: Product) -> int:
    """Return the bytes of the pixels of one board."""
    return EDGE * EDGE * product.dtype.itemsize


def encode_packet(
    product: Product, *, module: int, quarter: int, number: int, tai: int, nsec: int, pixels: NDArray[Any]
) -> NDArray[np.uint8]:
    """Return the datagram of a board with these raw pixels, (16, 16)."""
    header = np.zeros(1, BOARD_HEADER)
    header["mode"] = min(MODES[product.name])
    header["version"] = VERSION
    header["number"] = number % 2**16
    header["address"] = module << 2 | quarter
    header["tai"] = tai
    header["nsec"] = nsec
    return np.concatenate((header.view(np.uint8), np.ascontiguousarray(pixels, product.dtype).view(np.uint8).ravel()))
