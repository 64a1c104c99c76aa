"""Records and limits of the compiled code; a Port and the state of its loop consist of these records."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from std_daq.imaging.protocols.module_frame import module_frame_dtype

BATCH_ROWS = 128
"""Rows of a batch, which is the largest number of datagrams received in one call."""
MIN_QUARANTINED = 16
"""Smallest size of the quarantine, in packets; it is larger if a frame has more packets."""
MAX_QUARANTINED = 1024
"""Largest size of the quarantine."""
MAX_PACKETS_TO_COMPARE = 2
MAX_COPY_DELAY_NS = 10**7
"""If a frame has no more packets, a second packet of the same number and time stamp that comes so soon is a copy."""
MAX_FRAMES_AHEAD = 1024
"""How far the frame number may jump ahead within an epoch; a longer jump begins another epoch."""
MAX_KEY = 2**62
"""Packets with a greater key are refused, so that calculations with keys do not overflow."""
NO_FRAME = 2**64 - 1
"""Frame index in the header of a slot that was opened in advance and got no packet."""
CLAIM_SLOTS = 64
"""Number of frames for which refused packets are remembered; those of a frame are at its key modulo this number."""
CLAIM_NS = 1_000_000_000
"""A refused packet marks the frame that it claims if it came within this time of a packet of the frame."""
LENGTHS = 8
"""Number of refused lengths that are counted; all others are only counted together."""
MAX_SENDERS = 4
"""Number of addresses from which a port may receive frames, if they are learned."""
MAX_STRANGERS = 8
"""Number of strangers that are counted one by one; all others are only counted together."""
NOBODY = -1
"""Value in place of a sender, if there is none."""
UNNAMED = -2
"""Value in place of a stranger whose packet the filter of the socket has cut, so that its address was not asked."""
SILENCE_NS = 2_000_000_000
"""A newcomer may replace senders that have been silent for this time."""
STRANGER_SILENCE_NS = 60_000_000_000
"""A stranger may replace senders that have been silent for this time."""
SILENT_PERIODS = 3
"""A sender is alive for this many times the time between its last two frames."""
NO_KEY = -1
"""Value in place of a key, if there is none."""
QUEUE_LENGTH = 4096
"""Number of ended frames that may wait for the main thread, for each port."""

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
    "other_exposure",
    "foreign_sender",
)
"""Reasons to refuse a packet; `ROW` stores the index of the reason."""
(
    WRONG_LENGTH, FOREIGN_DETECTOR, FOREIGN_VERSION, FOREIGN_MODULE, UNIT_OUT_OF_RANGE,
    DUPLICATE, LATE, IMPLAUSIBLE, SLOT_TAKEN, OTHER_EXPOSURE, FOREIGN_SENDER,
) = range(len(REASONS))  # fmt: skip
REFUSED = -1
"""Value in place of a key, if a packet in quarantine is refused."""
FITS = -1
"""Value in place of a reason, if the packet is not refused."""

ABSENT, INTEGER, DOUBLE = range(3)
"""Kinds of header fields."""


Record = Any
"""A `numpy.record`: its fields are attributes, which the type checker does not know."""
Records = np.recarray[Any, np.dtype[np.record]]
"""An array of records."""


def integers(*names: str) -> np.dtype[Any]:
    """Return the type of a record whose fields are signed 64-bit words."""
    return _record(*((name, "i8") for name in names))


def struct(n_bytes: int, /, **fields: tuple[int, str]) -> np.dtype[Any]:
    """Return the type of a C struct, given its size, and the offset and type of each field."""
    offsets, formats = zip(*fields.values(), strict=True)
    return np.dtype({"names": list(fields), "formats": formats, "offsets": offsets, "itemsize": n_bytes}, align=True)


def make_records(dtype: np.dtype[Any], n: int) -> Records:
    """Make an array of records of zeros."""
    return np.zeros(n, dtype).view(np.recarray)


def make_record(dtype: np.dtype[Any], **values: int) -> Record:
    """Make one record with the given values, and zeros for all other fields."""
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
    "first_unit",
    "max_units",
    "max_padding_bytes",
    "is_fixed_size",
    "window",
    "key_step",
    "module",
    "n_modules",
    "n_slots",
    "slot_step",
    "frame_stride",
    "max_quarantined",
    "key_mask",
    "key_span",
)
"""Numbers of the PacketLayout and of the ring. The window is in keys; the stride is the distance of frames in bytes;
the span is how many frame numbers there are before they begin again with 0, or 0 if that never happens."""

FIELD = _record(("word", "i8"), ("shift", "u8"), ("mask", "u8"), ("kind", "i8"))
"""Place of a number in a packet header: index of a 64-bit word, the shift and the mask of the number, and its kind."""

FIELDS = _record(
    ("key", FIELD),
    ("unit", FIELD),
    ("image_id", FIELD),
    ("pulse_id", FIELD),
    ("timestamp", FIELD),
    ("exposure_length", FIELD),
    ("daq_rec", FIELD),
    ("storage_cell", FIELD),
    ("module_id", FIELD),
    ("row", FIELD),
    ("column", FIELD),
    ("identity", FIELD),
)
"""Header fields of a PacketLayout, under the same names."""

CHECK = _record(("field", FIELD), ("expected", "u8"), ("reason", "i8"))
"""A header field with one valid value; a packet with another value is refused with this reason."""

STATE = integers(
    "has_newest",
    "newest",  # key of the newest frame
    "next_unit",  # the unit behind the last one received of the newest frame
    "last_passed",  # the highest key whose frame can no longer be open
    "first",  # the first key of the epoch
    "epoch",
    "slot_shift",  # slot of a frame = (key + this) modulo the number of slots
    "is_idle",
    "units_in_packet",
    "n_open",
    "n_quarantined",
    "n_fitting",  # packets that have fitted since the quarantine began
    "n_doubtful",  # all packets that were ever put into quarantine
    "has_identity",
    "identity",
    "n_mismatched",  # by how many more packets had another identity than had this one
    "sender",  # from which the last packet was placed
    "n_believed",
    "believed_ns",  # time of arrival of the last packet that was placed
    "newest_ns",  # when the newest frame began
    "period_ns",  # time between the beginnings of the last two frames
    "n_frames_before",  # frames that had ended before the present senders were believed
    "n_former_frames",  # frames of the former senders
    "on_trial",  # the stranger whose packets are in quarantine, or NOBODY
    "has_ended",  # whether frames have ended since the main thread was woken up
    "aimed_key",
    "batch_ns",  # time of arrival of the present batch
    "highest_unit",  # the highest unit that was refused, because frames do not have it
    "last_incomplete",  # number of packets that came of the last incomplete frame
    "surplus_key",  # the frame after the one of which packets came that no frame has, or NO_KEY
)
"""Values that change from packet to packet."""

COUNTERS = _record(
    ("received", "i8"),
    ("placed", "i8"),
    ("rejected", "i8", (len(REASONS),)),
    ("lost", "i8"),
    ("frames_complete", "i8"),
    ("frames_incomplete", "i8"),
    ("frames_refused", "i8"),
    ("frames_unannounced", "i8"),
    ("restarts", "i8"),
    ("displaced", "i8"),
    ("messages", "i8"),
)
"""Counters of a port: received = placed + all rejected + packets in quarantine."""

ROW = integers(
    "length",
    "sender",
    "target",
    "aimed_unit",
    "n_aimed",
    "key",
    "unit",
    "n_units",
    "reason",
    "arrival_ns",
    "is_claimed",
)
"""One datagram: its length in bytes; its sender's number, see `ADDRESS`; the offset in the ring at which its payload
was received, or -1 if that is in `Port.scratch`; the first unit and the number of units that were
expected there; its key, its first unit and its number of units; FITS or a reason for refusal; in quarantine, when it
arrived, and whether it has marked its frame already."""

CLAIM = integers("key", "epoch", "at_ns", "n")
"""Refused packets that claim to belong to a frame: its key, the epoch of the port at that time, the time of the last of
them, and their number."""

NETWORK = integers("address", "mask")
"""IPv4 addresses of configured senders: those that are equal to this one where the mask has ones. Addresses are numbers
as the processor reads them, with the first byte as the lowest."""

ADDRESS = integers("sender", "word_0", "word_1", "word_2", "word_3")
"""An IPv6 address, as four words of 32 bits, and the number that stands for it. The number of an IPv4 address is the
address itself; that of an IPv6 address is made of it, is `FIRST_IPV6` or more, and odd if the sender is configured."""
FIRST_IPV6 = 1 << 62
ADDRESSES = 61
"""Number of IPv6 addresses whose texts are known; a prime, because neighbouring addresses have similar numbers."""

STRANGER = integers("sender", "n", "tried_ns")
"""A stranger: its address, how many of its packets were refused, and when it was tried last, or heard first."""

LENGTH = integers("n_bytes", "n")
"""A length of packets that is refused, and the number of such packets."""

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
    "n_refused_packets",
)
"""Description of an ended frame for the main thread."""


def _without_bitmap(header: Any) -> np.dtype[Any]:
    names = [name for name in header.names if name not in ("received", "padding")]
    fields = {name: (header.fields[name][1], header.fields[name][0].str) for name in names}
    return struct(header.fields["received"][1], **fields)


SLOT_HEADER = _without_bitmap(module_frame_dtype(1))
"""A ModuleFrame up to its bitmap, whose length depends on the detector; so the compiled code fits all detectors."""
