"""Layout of MFM frames, and the records that kernels fill.

Source: GET electronics, "MFM Data Format"; checked against frames of two chambers. Numbers are big endian unless bit 7
of ``metaType`` is set.
"""

from enum import IntEnum
from typing import Final

import numpy as np

PARTIAL: Final = 1
FULL: Final = 2
TOPOLOGY: Final = 7
MUTANT: Final = 8
MERGED_BY_ID: Final = 0xFF01
MERGED_BY_TIME: Final = 0xFF02

LITTLE_ENDIAN: Final = 0x80
BLOB: Final = 0x40
BLOCK_MASK: Final = 0x0F

BASE_HEADER_BYTES: Final = 8
SHORT_HEADER_BYTES: Final = 16  # up to nItems
EVENT_HEADER_BYTES: Final = 87  # without the padding
TOPOLOGY_BYTES: Final = 12
MUTANT_BYTES: Final = 64
MAX_MUTANT_BYTES: Final = 4096
MERGED_BY_ID_HEADER_BYTES: Final = 20
MERGED_BY_TIME_HEADER_BYTES: Final = 24
ITEM_BYTES: Final = {PARTIAL: 4, FULL: 2}

SIZE_WORD_BYTES: Final = 8

FULL_FRAME_BYTES: Final = 278_784
"""Size of the frame of a full readout: 4 AGETs of 68 channels and 512 time buckets, in blocks of 256 bytes."""

# Header of a frame, in the byte order of the machine. Fields that a frame type does not have are 0.
HEADER: Final = np.dtype(
    [
        ("n_bytes", "u8"),
        ("event_time", "u8"),
        ("header_bytes", "u4"),
        ("n_items", "u4"),
        ("event_id", "u4"),
        ("window_out", "u4"),
        ("frame_type", "u2"),
        ("item_bytes", "u2"),
        ("read_offset", "u2"),
        ("multiplicities", "u2", (4,)),
        ("last_cells", "u2", (4,)),
        ("meta_type", "u1"),
        ("data_source", "u1"),
        ("revision", "u1"),
        ("cobo", "u1"),
        ("asad", "u1"),
        ("status", "u1"),
        ("board_mask", "u1"),  # topology: bit a is set if AsAd a is there
        ("two_proton_mode", "u1"),
        ("hit_patterns", "u1", (4, 9)),  # channel c of an AGET is bit c % 8 of byte c // 8
    ],
    align=True,
)


class Fault(IntEnum):
    """What is wrong with a frame; its items are not used.

    Attributes
    ----------
    CUT_OFF
        There are fewer bytes than the header claims, or fewer than a header has.
    FRAME_TYPE
        There is no such frame type.
    FRAME_SIZE
        The size that the header claims does not fit the frame type.
    HEADER_SIZE
        The header does not fit into the frame, or is shorter than its fields.
    ITEM_SIZE
        The size of an item is not that of the frame type.
    ITEMS_BEYOND
        The items do not fit into the frame.
    TOO_LONG
        The frame claims more bytes than are allowed.
    """

    NONE = 0
    CUT_OFF = 1
    FRAME_TYPE = 2
    FRAME_SIZE = 3
    HEADER_SIZE = 4
    ITEM_SIZE = 5
    ITEMS_BEYOND = 6
    TOO_LONG = 7


N_FAULTS: Final = len(Fault)


class ItemCount(IntEnum):
    """Places in the array of counts that decoding fills.

    Attributes
    ----------
    SAMPLE
        Items that gave a sample.
    UNMAPPED
        Items of FPN channels, and of channels that the map does not name.
    BAD_CHANNEL
        Items of a channel that does not exist, 68 and above; they are dropped.
    DOUBLED
        Items for a sample that was there already; the later one counts.
    SURPLUS
        Items of a full readout beyond the last time bucket; they are dropped.
    UNUSED_BITS
        Items whose unused bits are set; they are used.
    """

    SAMPLE = 0
    UNMAPPED = 1
    BAD_CHANNEL = 2
    DOUBLED = 3
    SURPLUS = 4
    UNUSED_BITS = 5


N_ITEM_COUNTS: Final = len(ItemCount)

# An entry for each pair of AGET and channel as they stand in an item of 4 bytes: 2 and 7 bits.
N_KEYS: Final = 512
CHANNEL_BITS: Final = 7

# Columns of a row of an event before its samples: cobo, asad, aget, channel, pad.
N_HEAD_COLUMNS: Final = 5
