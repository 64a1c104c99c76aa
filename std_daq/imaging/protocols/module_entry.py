"""ModuleEntry: what is known of one module of an image, in a struct of 64 bytes, little-endian.

The header of each slot of the ImageBuffer has one entry for each module, and so has the first message of an image that
is sent to another server. The fields of the packets are those of the module's own packets, because modules may differ.
They are 0 for a module of which nothing came and for a module that is switched off.
"""

import numpy as np

MODULE_ENTRY = np.dtype(
    [
        ("pulse_id", "<u8"),
        ("frame_index", "<u8"),
        ("timestamp", "<u8"),  # clock of the detector
        ("exposure_length", "<u8"),  # in units of the detector
        ("daq_rec", "<u4"),
        ("missing_packets", "<u4"),
        ("status", "<u2"),  # those flags of ImageStatus that are due to this module
        ("storage_cell", "<u2"),
        ("module_id", "<u2"),  # as in the packets
        ("reserved", "<u2"),
        ("first_arrival_ns", "<u8"),  # clock of the receiving machine, since 1970
        ("padding", "V8"),
    ]
)
assert MODULE_ENTRY.itemsize == 64  # noqa: S101
