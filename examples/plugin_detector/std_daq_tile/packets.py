"""TILE packets: a header of 16 bytes and 16 rows of pixels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.detectors.module_map import ChipGrid
from std_daq.imaging.detectors.packet_layout import HeaderCheck, HeaderField, PacketLayout

ROWS, COLUMNS = 128, 256
ROWS_PER_PACKET = 16
MODULE = ChipGrid(rows=ROWS, columns=COLUMNS, chip=128, gap=0)
MAGIC = 0x454C4954  # "TILE"

TILE_HEADER = np.dtype([("magic", "<u4"), ("tile", "<u2"), ("first_row", "<u2"), ("frame_number", "<u8")])
assert TILE_HEADER.itemsize == 16

TILE_NUMBER = HeaderField(offset=4, width=2)


def tile_layout() -> PacketLayout:
    """Return the layout: a unit is a row, because the header tells the first row of a packet."""
    return PacketLayout(
        header_bytes=TILE_HEADER.itemsize,
        unit_bytes=COLUMNS * 2,
        n_units=ROWS,
        units_per_packet=ROWS_PER_PACKET,
        max_units_per_packet=ROWS_PER_PACKET,
        key=HeaderField(offset=8, width=8),
        unit=HeaderField(offset=6, width=2),
        module_id=TILE_NUMBER,
        checks=(HeaderCheck(HeaderField(offset=0, width=4), MAGIC, "foreign_detector"),),
        identity=TILE_NUMBER,
    )


def tile_packets(module: int, frame_number: int, raw: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the datagrams that carry raw pixels (rows, columns)."""
    payloads = np.ascontiguousarray(raw, "<u2").view(np.uint8).reshape(ROWS // ROWS_PER_PACKET, -1)
    headers = np.zeros(len(payloads), TILE_HEADER)
    headers["magic"] = MAGIC
    headers["tile"] = module
    headers["first_row"] = np.arange(0, ROWS, ROWS_PER_PACKET)
    headers["frame_number"] = frame_number
    return np.hstack([headers.view(np.uint8).reshape(len(payloads), -1), payloads])
