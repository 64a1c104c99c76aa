"""EIGER packets: 4096 bytes of pixels behind the slsDetector header."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.detectors import sls_packets as sls
from std_daq.imaging.detectors.packet_layout import PacketLayout

DETECTOR_TYPE = 1
PAYLOAD_BYTES = 4096
QUARTER_PIXELS = 512 * 256


def eiger_layout(bit_depth: int) -> PacketLayout:
    """Return the packet layout; a unit is a packet, and frames of 4, 8, 16 or 32 bits have 16, 32, 64 or 128 units."""
    return PacketLayout(
        header_bytes=sls.SLS_HEADER.itemsize,
        unit_bytes=PAYLOAD_BYTES,
        n_units=QUARTER_PIXELS * bit_depth // 8 // PAYLOAD_BYTES,
        units_per_packet=1,
        max_units_per_packet=1,
        key=sls.FRAME_NUMBER,
        unit=sls.PACKET_NUMBER,
        timestamp=sls.TIMESTAMP,
        exposure_length=sls.EXPOSURE_LENGTH,
        module_id=sls.MODULE_ID,
        row=sls.ROW,
        column=sls.COLUMN,
        checks=sls.sls_checks(DETECTOR_TYPE),
        identity=sls.IDENTITY,
    )


def eiger_packets(
    module: int, frame_number: int, raw: NDArray[Any], bit_depth: int, timestamp: int
) -> NDArray[np.uint8]:
    """Return the datagrams of one quarter, (n_packets, 4144); one board sends two quarters, as in a real detector."""
    return sls.sls_packets(
        packed_pixels(raw, bit_depth),
        PAYLOAD_BYTES,
        frame_number=frame_number,
        timestamp=timestamp,
        module_id=module // 2,
        row=module // 2,
        column=module % 2,
        detector_type=DETECTOR_TYPE,
    )


def packed_pixels(raw: NDArray[Any], bit_depth: int) -> NDArray[np.uint8]:
    """Return pixels as they lie in the packets; 4-bit pixels are packed two per byte, low nibble first."""
    if bit_depth == 4:
        return raw[:, 0::2] & np.uint8(15) | raw[:, 1::2] << np.uint8(4)
    return np.ascontiguousarray(raw, f"<u{bit_depth // 8}").view(np.uint8)
