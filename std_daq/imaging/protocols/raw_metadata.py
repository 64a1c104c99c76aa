"""RawMetadata: one exposure as one receiver has it, 80 bytes little-endian.

Sent once for each image when the receiver has its modules or has given them up. Pixels, bitmaps and
per-module details lie in the FrameBuffer at slot ``frame_index % n_slots``.
"""

from typing import NamedTuple

import numpy as np

RAW_METADATA = np.dtype(
    [
        ("id", "<u8"),
        ("pulse_id", "<u8"),
        ("frame_index", "<u8"),
        ("daq_rec", "<u8"),
        ("status", "<u8"),  # flags of ImageStatus
        ("sequence", "<u8"),  # link sequence number
        ("timestamp", "<u8"),  # the detector's own clock
        ("first_arrival_ns", "<u8"),
        ("last_arrival_ns", "<u8"),
        ("epoch", "<u4"),  # counts restarts of the detector
        ("n_missing_modules", "<u4"),  # without those that are switched off
    ]
)
assert RAW_METADATA.itemsize == 80  # noqa: S101


class RawMetadata(NamedTuple):
    """The fields of a RAW_METADATA struct as Python numbers, in their order: to read one of a struct takes as long."""

    id: int
    pulse_id: int
    frame_index: int
    daq_rec: int
    status: int
    sequence: int
    timestamp: int
    first_arrival_ns: int
    last_arrival_ns: int
    epoch: int
    n_missing_modules: int


assert RawMetadata._fields == RAW_METADATA.names  # noqa: S101
