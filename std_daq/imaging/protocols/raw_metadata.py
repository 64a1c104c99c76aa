"""RawMetadata: the metadata of one exposure at one receiver, in a struct of 80 bytes, little-endian.

A receiver sends this struct once per exposure, when it has received the frames of all its modules or has given up the
missing ones. Pixels, bitmaps and details of each module are in the FrameBuffer, see `FrameBuffer.find`.
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
        ("timestamp", "<u8"),  # clock of the detector
        ("first_arrival_ns", "<u8"),
        ("last_arrival_ns", "<u8"),
        ("epoch", "<u4"),  # number of restarts of the detector
        ("n_missing_modules", "<u4"),  # in submodules; modules that are switched off are not counted
    ]
)
assert RAW_METADATA.itemsize == 80  # noqa: S101


class RawMetadata(NamedTuple):
    """The fields of a RAW_METADATA struct as Python numbers, in their order.

    Reading all of them this way takes as long as reading one field of a struct.
    """

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
