"""RawMetadata: one exposure as one receiver has it, 80 bytes little-endian.

Sent once for each image when the receiver has its modules or has given them up. Pixels, bitmaps and
per-module details lie in the FrameBuffer at slot ``frame_index % n_slots``.
"""

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
