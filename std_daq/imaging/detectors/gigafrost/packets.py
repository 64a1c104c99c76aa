"""GIGAFROST packets: a 32-byte header, then rows of packed 12-bit pixels, whose number the camera chooses."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.detectors.gigafrost.geometry import quadrant_and_link
from std_daq.imaging.detectors.packed_pixels import packed_12_bits
from std_daq.imaging.detectors.packet_layout import HeaderCheck, HeaderField, PacketLayout

PROTOCOL_ID = 0xCB
MAX_PAYLOAD_BYTES = 7400
PADDING_BYTES = 36

GF_HEADER = np.dtype(
    [
        ("protocol_id", "u1"),
        ("row_length_blocks", "u1"),  # of a quadrant, in blocks of 12 pixels
        ("rows_low", "u1"),  # rows of a quadrant, bits 7-1; bit 0: swap
        ("status_flags", "u1"),  # bits 7-6 quadrant, 5 link, 4-2 correction mode, 1-0 rows of a quadrant, bits 9-8
        ("scan_id", "<u4"),
        ("frame_index", "<u4"),  # 24 bits are used
        ("image_flags", "<u2"),  # bit 15: do not store; becomes daq_rec
        ("starting_row", "<u2"),
        ("timing", "<u8"),  # bits 39-0 time stamp, 63-40 exposure time
        ("sync_time", "<u4"),
        ("scan_time", "<u4"),
    ]
)
assert GF_HEADER.itemsize == 32  # noqa: S101

FRAME_INDEX = HeaderField(offset=8, width=4, mask=2**24 - 1)
QUADRANT_AND_LINK = HeaderField(offset=3, width=1, shift=5)
CORRECTION_MODE = 5


def row_bytes(module_width: int) -> int:
    """Return the length of a row of 12-bit pixels, in bytes."""
    return module_width * 3 // 2


def gigafrost_layout(module: int, module_shape: tuple[int, int]) -> PacketLayout:
    """Return the layout of one module's packets.

    A unit is a row. The number of rows in a packet is computed from the packet's length, because the published formulas
    for it disagree.

    Parameters
    ----------
    module_shape
        Number of rows and columns of a module.
    """
    height, width = module_shape
    return PacketLayout(
        header_bytes=GF_HEADER.itemsize,
        unit_bytes=row_bytes(width),
        n_units=height,
        units_per_packet=0,
        max_units_per_packet=min(MAX_PAYLOAD_BYTES // row_bytes(width), height),
        max_padding_bytes=PADDING_BYTES,
        key=FRAME_INDEX,
        unit=HeaderField(offset=14, width=2),
        timestamp=HeaderField(offset=16, width=8, mask=2**40 - 1),
        exposure_length=HeaderField(offset=16, width=8, shift=40),
        daq_rec=HeaderField(offset=12, width=2),
        checks=(
            HeaderCheck(HeaderField(offset=0, width=1), PROTOCOL_ID, "foreign_detector"),
            HeaderCheck(QUADRANT_AND_LINK, module, "foreign_module"),
        ),
    )


def rows_per_packet(module_shape: tuple[int, int]) -> int:
    """Return the number of rows that the camera puts into a packet, as far as it is known; for simulation only.

    The result agrees with the camera's packets for images of 2016 x 2016, 528 x 280 and 480 x 128 pixels.
    """
    height, width = module_shape
    n_blocks = width // 12
    n_cache_line_blocks = MAX_PAYLOAD_BYTES // (36 * n_blocks) * n_blocks // 2
    return min(max(n_cache_line_blocks * 48 // width, 1), height)


def gigafrost_packets(
    module: int, frame_number: int, raw: NDArray[Any], *, timestamp: int, daq_rec: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the datagrams of one module, (n_packets, longest), and their lengths."""
    height, width = raw.shape
    n_rows = rows_per_packet((height, width))
    first_rows = np.arange(0, height, n_rows)
    rows = np.minimum(n_rows, height - first_rows)
    has_padding = (rows % 2 == 1) & (width % 48 != 0)
    lengths = GF_HEADER.itemsize + rows * row_bytes(width) + has_padding * PADDING_BYTES

    quadrant, link = quadrant_and_link(module)
    quadrant_rows = 2 * height
    headers = np.zeros(len(first_rows), GF_HEADER)
    headers["protocol_id"] = PROTOCOL_ID
    headers["row_length_blocks"] = width // 12
    headers["rows_low"] = quadrant_rows & 0xFE | (1 if quadrant % 2 == 0 else 0)
    headers["status_flags"] = quadrant << 6 | link << 5 | CORRECTION_MODE << 2 | quadrant_rows >> 8
    headers["frame_index"] = frame_number & FRAME_INDEX.mask
    headers["image_flags"] = daq_rec
    headers["starting_row"] = first_rows
    headers["timing"] = timestamp & (2**40 - 1)

    packets = np.zeros((len(first_rows), int(lengths.max())), np.uint8)
    packets[:, : GF_HEADER.itemsize] = headers.view(np.uint8).reshape(len(headers), -1)
    packed = packed_12_bits(raw)
    for packet, first, n in zip(packets, first_rows, rows, strict=True):
        pixels = packed[first : first + n].reshape(-1)
        packet[GF_HEADER.itemsize : GF_HEADER.itemsize + len(pixels)] = pixels
    return packets, lengths.astype(np.int64)
