"""EventMetadata: the metadata of one event in a struct of 192 bytes, little-endian.

The first 56 bytes are the std-daq protocol, in which an event is an image of int16 with a row for each trace. The
sequence number and the epoch lie where those of an ImageMetadata lie. The same struct is sent over ZMQ, and is in the
journal of the EventBuffer and in the header of each slot.
"""

import struct
from enum import IntFlag
from typing import NamedTuple

import numpy as np

PROTOCOL_VERSION = 1
N_COLUMNS = 517
"""Columns of an event: cobo, asad, aget, channel, pad, and 512 samples."""
INT16_CODE = 22
"""Code of int16 in the std-daq protocol."""

EVENT_METADATA = np.dtype(
    [
        ("version", "<u8"),
        ("id", "<u8"),
        ("n_traces", "<u8"),
        ("n_columns", "<u8"),
        ("dtype", "<u2"),
        ("encoding", "<u2"),
        ("source_id", "<u2"),
        ("status", "<u2"),
        ("timestamp", "<u8"),  # ticks of 10 ns of the boards
        ("timestamp_other", "<u8"),  # that of the CoBo in step with another acquisition; 0 if it has no frame
        # the extension
        ("sequence", "<u8"),  # link sequence number; slot = sequence % n_slots
        ("first_arrival_ns", "<u8"),  # clock of this machine, since 1970
        ("built_ns", "<u8"),
        ("epoch", "<u4"),  # number of runs before this one since the builder started
        ("n_boards", "<u2"),  # boards that make the event complete
        ("n_missing_boards", "<u2"),
        ("frame_bytes", "<u8"),  # size of the frames that are kept with the event
        ("n_frames", "<u2"),
        ("padding", "V94"),
    ]
)
assert EVENT_METADATA.itemsize == 192  # noqa: S101
assert EVENT_METADATA.fields is not None and EVENT_METADATA.fields["sequence"][1] == 56  # noqa: S101, PT018
assert EVENT_METADATA.fields["epoch"][1] == 80  # noqa: S101


class EventStatus(IntFlag):
    """Faults of an event, as flags; 0 is a complete event."""

    COMPLETE = 0
    MISSING_BOARDS = 4


class EventMetadata(NamedTuple):
    """The fields of an EVENT_METADATA struct as Python numbers, in their order, but for the padding."""

    version: int
    id: int
    n_traces: int
    n_columns: int
    dtype: int
    encoding: int
    source_id: int
    status: int
    timestamp: int
    timestamp_other: int
    sequence: int
    first_arrival_ns: int
    built_ns: int
    epoch: int
    n_boards: int
    n_missing_boards: int
    frame_bytes: int
    n_frames: int


assert (*EventMetadata._fields, "padding") == EVENT_METADATA.names  # noqa: S101

_STRUCT = struct.Struct("<4Q4H2Q3QI2HQH94x")
assert _STRUCT.size == EVENT_METADATA.itemsize  # noqa: S101


def decode_event_metadata(metadata: bytes) -> EventMetadata:
    """Return the fields of 192 bytes."""
    return EventMetadata(*_STRUCT.unpack(metadata))


def encode_event_metadata(metadata: EventMetadata) -> bytes:
    """Return the 192 bytes of an EVENT_METADATA struct; the padding is 0."""
    return _STRUCT.pack(*metadata)
