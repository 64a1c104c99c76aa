"""EIGER packets: 4096 bytes of pixels behind the slsDetector header, or 1024 over the 1 Gb interface."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.detectors import sls_packets as sls
from std_daq.imaging.detectors.eiger.geometry import QUARTER
from std_daq.imaging.detectors.packed_pixels import packed_12_bits
from std_daq.imaging.detectors.packet_layout import PacketLayout

DETECTOR_TYPE = 1
TEN_GIGABIT_PAYLOAD_BYTES = 4096
ONE_GIGABIT_PAYLOAD_BYTES = 1024


def payload_bytes(*, tengiga: bool) -> int:
    """Return the number of bytes of pixels in a packet over the 10 Gb or the 1 Gb interface."""
    return TEN_GIGABIT_PAYLOAD_BYTES if tengiga else ONE_GIGABIT_PAYLOAD_BYTES


def frame_bytes(bit_depth: int, n_rows: int) -> int:
    """Return the number of bytes of a frame with some rows of a quarter."""
    return n_rows * QUARTER.columns * bit_depth // 8


def eiger_layout(bit_depth: int, *, tengiga: bool, n_rows: int) -> PacketLayout:
    """Return the packet layout; a unit is a packet.

    Frames of all 256 rows with 4, 8, 12, 16 or 32 bits have 16, 32, 48, 64 or 128 packets over 10 Gb, and four times as
    many over 1 Gb. If fewer rows are read, only the first packets come. Row 0 is the row in the middle of the physical
    module.
    """
    unit_bytes = payload_bytes(tengiga=tengiga)
    return PacketLayout(
        header_bytes=sls.SLS_HEADER.itemsize,
        unit_bytes=unit_bytes,
        n_units=frame_bytes(bit_depth, n_rows) // unit_bytes,
        units_per_packet=1,
        max_units_per_packet=1,
        key=sls.FRAME_NUMBER,
        unit=sls.PACKET_NUMBER,
        timestamp=sls.TIMESTAMP,
        timestamp_units=sls.TIMESTAMP_UNITS,
        exposure_length=sls.EXPOSURE_LENGTH,
        module_id=sls.MODULE_ID,
        row=sls.ROW,
        column=sls.COLUMN,
        checks=sls.sls_checks(DETECTOR_TYPE),
        identity=sls.IDENTITY,
        length_hints={
            sls.SLS_HEADER.itemsize + payload_bytes(tengiga=not tengiga): (
                f"is the detector set to {1 if tengiga else 10} Gb?"
            )
        },
        count_hints={
            frame_bytes(bits, n_rows) // unit_bytes: f"is the detector set to {bits} bits?"
            for bits in (4, 8, 12, 16, 32)
            if bits != bit_depth
        },
        range_hints={
            (0, frame_bytes(bit_depth, rows) // unit_bytes - 1): (
                f"does the detector read {rows} rows? Set detector.readnrows to {rows}"
            )
            for rows in range(1, QUARTER.rows)
            if frame_bytes(bit_depth, rows) % unit_bytes == 0
        },
    )


def eiger_packets(
    module: int, frame_number: int, raw: NDArray[Any], bit_depth: int, timestamp: int, *, tengiga: bool
) -> NDArray[np.uint8]:
    """Return the datagrams of one quarter, (n_packets, length); one board sends two quarters, as in a real detector."""
    return sls.sls_packets(
        packed_pixels(raw, bit_depth),
        payload_bytes(tengiga=tengiga),
        frame_number=frame_number,
        timestamp=timestamp,
        module_id=module // 2,
        row=module // 2,
        column=module % 2,
        detector_type=DETECTOR_TYPE,
    )


def packed_pixels(raw: NDArray[Any], bit_depth: int) -> NDArray[np.uint8]:
    """Return pixels as they lie in the packets.

    Pixels of 4 bits are packed two per byte, low nibble first; pixels of 12 bits two per three bytes, low bits first.
    """
    if bit_depth == 4:
        return raw[:, 0::2] & np.uint8(15) | raw[:, 1::2] << np.uint8(4)
    if bit_depth == 12:
        return packed_12_bits(raw)
    return np.ascontiguousarray(raw, f"<u{bit_depth // 8}").view(np.uint8)
