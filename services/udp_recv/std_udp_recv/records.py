"""Records that the compiled code works on, and its limits: a Port and what receives for it consist of these."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from std_daq.imaging.protocols.module_frame import module_frame_dtype

BATCH_ROWS = 128
"""Rows of a batch: as many datagrams are received at once."""
MAX_QUARANTINED = 16
"""Packets in quarantine; when there are as many, the detector is taken to have restarted or to have lost frames."""
MAX_FRAMES_AHEAD = 1024
"""How far the frame number may jump ahead within an epoch; a longer jump begins another epoch."""
MAX_KEY = 2**62
"""Packets with a greater key are refused, so that sums of keys do not overflow."""
NO_FRAME = 2**64 - 1
"""Frame index in the header of a slot that was opened in advance and then not needed."""
QUEUE_LENGTH = 4096
"""Ended frames that may wait for the main thread, for each port."""

REASONS = (
    "wrong_length",
    "foreign_detector",
    "foreign_version",
    "foreign_module",
    "unit_out_of_range",
    "duplicate",
    "late",
    "implausible",
    "slot_taken",
)
"""Why a packet is refused: its reason is the index of one of these."""
(
    WRONG_LENGTH, FOREIGN_DETECTOR, FOREIGN_VERSION, FOREIGN_MODULE, UNIT_OUT_OF_RANGE,
    DUPLICATE, LATE, IMPLAUSIBLE, SLOT_TAKEN,
) = range(len(REASONS))  # fmt: skip
FITS = -1
"""Instead of a reason: the packet is not refused."""

ABSENT, INTEGER, DOUBLE = range(3)
"""Kinds of header fields."""


Record = Any
"""A `numpy.record`: its fields are attributes, of which the type checker knows nothing."""
Records = np.recarray[Any, np.dtype[np.record]]
"""An array of them."""


def integers(*names: str) -> np.dtype[Any]:
    """Return the type of a record of signed words."""
    return _record(*((name, "i8") for name in names))


def struct(n_bytes: int, /, **fields: tuple[int, str]) -> np.dtype[Any]:
    """Return the type of a struct of C, given the offset and type of each field."""
    offsets, formats = zip(*fields.values(), strict=True)
    return np.dtype({"names": list(fields), "formats": formats, "offsets": offsets, "itemsize": n_bytes}, align=True)


def make_records(dtype: np.dtype[Any], n: int) -> Records:
    """Make an array of records, all zero."""
    return np.zeros(n, dtype).view(np.recarray)


def make_record(dtype: np.dtype[Any], **values: int) -> Record:
    """Make one record, all zero but for the values that are given."""
    record = make_records(dtype, 1)[0]
    for name, value in values.items():
        record[name] = value
    return record


def _record(*fields: tuple[str, DTypeLike] | tuple[str, DTypeLike, tuple[int, ...]]) -> np.dtype[Any]:
    return np.dtype(list(fields), align=True)


LAYOUT = integers(
    "header_bytes",
    "unit_bytes",
    "n_units",
    "max_units",
    "max_padding_bytes",
    "is_fixed_size",
    "window",
    "key_step",
    "module",
    "n_modules",
    "n_slots",
    "frame_stride",
)
"""Numbers of the PacketLayout and of the ring; the window in keys, the stride in bytes from one frame to the next."""

FIELD = _record(("word", "i8"), ("shift", "u8"), ("mask", "u8"), ("kind", "i8"))
"""Where a number stands in a packet header: a 64-bit word of it, shifted and masked."""

FIELDS = _record(
    ("key", FIELD),
    ("unit", FIELD),
    ("image_id", FIELD),
    ("pulse_id", FIELD),
    ("timestamp", FIELD),
    ("daq_rec", FIELD),
    ("module_id", FIELD),
    ("row", FIELD),
    ("column", FIELD),
    ("identity", FIELD),
)
"""The header fields of a PacketLayout, by the names that they have there."""

CHECK = _record(("field", FIELD), ("expected", "u8"), ("reason", "i8"))
"""A header field with one right value; a packet with another value is refused for the reason."""

STATE = integers(
    "has_newest",
    "newest",  # key of the newest frame
    "next_unit",  # the unit behind the last one received of the newest frame
    "last_passed",  # the highest key whose frame can no longer be open
    "first",  # the first key of the epoch
    "epoch",
    "is_idle",
    "units_in_packet",
    "n_open",
    "n_quarantined",
    "has_identity",
    "identity",
    "n_mismatched",  # packets of other senders in a row
    "has_ended",  # whether frames have ended since the main thread was woken up
    "aimed_key",
)
"""What changes from packet to packet."""

COUNTERS = _record(
    ("received", "i8"),
    ("placed", "i8"),
    ("rejected", "i8", (len(REASONS),)),
    ("lost", "i8"),
    ("frames_complete", "i8"),
    ("frames_incomplete", "i8"),
    ("frames_unannounced", "i8"),
    ("restarts", "i8"),
    ("displaced", "i8"),
    ("messages", "i8"),
)
"""What is counted: received = placed + all rejected + what is in quarantine."""

ROW = integers("length", "target", "aimed_unit", "n_aimed", "key", "unit", "n_units", "reason")
"""One datagram: its bytes; where in the ring its payload was received, -1 for `Port.scratch`; the first unit and the
number of units that were expected there; key, first unit and number of units that it brought; FITS or a reason."""

ENDED_FRAME = integers(
    "key",
    "epoch",
    "id",
    "pulse_id",
    "daq_rec",
    "timestamp",
    "first_arrival_ns",
    "last_arrival_ns",
    "n_missing_packets",
)
"""What the main thread is told of a frame."""


def _without_bitmap(header: Any) -> np.dtype[Any]:
    names = [name for name in header.names if name not in ("received", "padding")]
    fields = {name: (header.fields[name][1], header.fields[name][0].str) for name in names}
    return struct(header.fields["received"][1], **fields)


SLOT_HEADER = _without_bitmap(module_frame_dtype(1))
"""A ModuleFrame up to its bitmap. The bitmap's length depends on the detector; code for this type serves all."""
