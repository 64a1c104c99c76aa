"""Packets of detectors that are run by the slsDetectorPackage: the 48-byte header, version 2."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.detectors.packet_layout import HeaderCheck, HeaderField

HEADER_VERSION = 2

SLS_HEADER = np.dtype(
    [
        ("frame_number", "<u8"),
        ("exposure_length", "<u4"),  # EIGER with 32 bits: running number of the sub-frame
        ("packet_number", "<u4"),
        ("bunch_id", "<u8"),  # JUNGFRAU: a double
        ("timestamp", "<u8"),
        ("module_id", "<u2"),  # EIGER: number of the board, which is the same on two ports
        ("row", "<u2"),
        ("column", "<u2"),
        ("det_spec_2", "<u2"),
        ("det_spec_3", "<u4"),  # JUNGFRAU: daq_rec
        ("round_robin", "<u2"),
        ("detector_type", "u1"),
        ("header_version", "u1"),
    ]
)
assert SLS_HEADER.itemsize == 48  # noqa: S101

FRAME_NUMBER = HeaderField(offset=0, width=8)
EXPOSURE_LENGTH = HeaderField(offset=8, width=4)
PACKET_NUMBER = HeaderField(offset=12, width=4)
BUNCH_ID_FLOAT = HeaderField(offset=16, width=8, kind="float64")
TIMESTAMP = HeaderField(offset=24, width=8)
TIMESTAMP_UNITS = "100 ns"  # the detectors' clock has 10 MHz
MODULE_ID = HeaderField(offset=32, width=2)
ROW = HeaderField(offset=34, width=2)
COLUMN = HeaderField(offset=36, width=2)
DET_SPEC_3 = HeaderField(offset=40, width=4)
# Module id, row and column as one number, because none of them alone distinguishes the two ports of an EIGER board.
IDENTITY = HeaderField(offset=32, width=8, mask=2**48 - 1)


def sls_checks(detector_type: int) -> tuple[HeaderCheck, ...]:
    """Return the checks of the headers of a detector type: its number and the header version."""
    return (
        HeaderCheck(HeaderField(offset=46, width=1), detector_type, "foreign_detector"),
        HeaderCheck(HeaderField(offset=47, width=1), HEADER_VERSION, "foreign_version"),
    )


def sls_packets(
    pixels: NDArray[np.uint8], payload_bytes: int, *, first_packet: int = 0, **header: Any
) -> NDArray[np.uint8]:
    """Return the datagrams that carry a frame.

    Parameters
    ----------
    pixels
        Bytes of the frame; their number is a multiple of ``payload_bytes``.
    payload_bytes
        Number of bytes of pixels in each packet.
    first_packet
        Number of the first packet.
    **header
        Fields of `SLS_HEADER`; a field that is not given is 0. Packet number and header version are set here.

    Returns
    -------
    :
        Datagrams, (n_packets, 48 + payload_bytes).
    """
    payloads = pixels.reshape(-1, payload_bytes)
    packets = np.empty((len(payloads), SLS_HEADER.itemsize + payload_bytes), np.uint8)
    packets[:, SLS_HEADER.itemsize :] = payloads
    headers = np.zeros(len(payloads), SLS_HEADER)
    for name, value in header.items():
        headers[name] = value
    headers["packet_number"] = first_packet + np.arange(len(payloads))
    headers["header_version"] = HEADER_VERSION
    packets[:, : SLS_HEADER.itemsize] = headers.view(np.uint8).reshape(len(payloads), SLS_HEADER.itemsize)
    return packets
