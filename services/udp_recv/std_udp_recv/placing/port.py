"""Port: everything that one port's compiled loop works on, as arrays, and how it is made from a PacketLayout."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.buffers.frame_buffer import FrameBuffer
from std_daq.imaging.detectors.packet_layout import HeaderField, PacketLayout
from std_daq.imaging.protocols.module_frame import module_frame_dtype
from std_udp_recv.placing import indices as k

_WORD = 8

RECORD_FIELDS = (
    "key", "epoch", "id", "pulse_id", "daq_rec", "timestamp", "first_arrival_ns", "last_arrival_ns",
    "n_missing_packets",
)  # fmt: skip
"""Columns of `Port.records`, in the order in which the kernel writes them."""

QUEUE_LENGTH = 4096
"""Ended frames that may wait for the main thread, for each port."""


class Port(NamedTuple):
    """State of one port.

    A *row* is the place of one datagram in `headers`, `scratch`, `lengths`, `targets`, `aims` and `parsed`: first
    those of a batch, behind them those of the quarantine.

    Attributes
    ----------
    layout
        Scalars of the PacketLayout and of the ring, see `indices.HEADER_BYTES` and following.
    fields
        Header fields: 64-bit word, shift, mask, kind (0 absent, 1 integer, 2 double).
    checks
        As `fields`, then the expected value and the counter of the reason.
    state
        What changes, see `indices.NEWEST` and following.
    counters
        See `indices.RECEIVED` and following; read by other threads.
    headers, doubles
        Headers as 64-bit words, and the same memory as doubles.
    scratch
        Payloads that are not received in their place, and what is longer than expected.
    lengths
        Bytes of each datagram.
    targets
        Where in `data` the payload of a row is received; -1 for `scratch`.
    aims
        First unit and number of units that a row is expected to bring.
    parsed
        Key, first unit, number of units, and reason of refusal or -1.
    open_keys
        Keys of the open frames.
    frames, frames_32, frames_16
        Slot headers (ModuleFrame) of the FrameBuffer as words of 64, 32 and 16 bits.
    data
        Pixels of the FrameBuffer.
    records, cursors
        Queue of ended frames: rows as `RECORD_FIELDS`; next to write and next to read, on cache lines of their own.
    """

    layout: NDArray[np.int64]
    fields: NDArray[np.uint64]
    checks: NDArray[np.uint64]
    state: NDArray[np.int64]
    counters: NDArray[np.int64]
    headers: NDArray[np.uint64]
    doubles: NDArray[np.float64]
    scratch: NDArray[np.uint8]
    lengths: NDArray[np.int64]
    targets: NDArray[np.int64]
    aims: NDArray[np.int64]
    parsed: NDArray[np.int64]
    open_keys: NDArray[np.int64]
    frames: NDArray[np.uint64]
    frames_32: NDArray[np.uint32]
    frames_16: NDArray[np.uint16]
    data: NDArray[np.uint8]
    records: NDArray[np.int64]
    cursors: NDArray[np.uint64]


def make_port(
    layout: PacketLayout, ring: FrameBuffer, module: int, *, window_frames: int, key_step: int, epoch: int
) -> Port:
    """Make the state of a port.

    Parameters
    ----------
    layout
        How its packets look.
    ring, module
        Where its frames go.
    window_frames
        How many frames may be open at once.
    key_step
        Difference of the keys of consecutive frames on this port.
    epoch
        Of the first frames; greater than that of all frames of this module that lie in the ring.
    """
    n_rows = k.BATCH + k.QUARANTINE
    header_words = -(-layout.header_bytes // _WORD)
    headers = np.zeros((n_rows, header_words), np.uint64)
    capacity = layout.max_packet_bytes - layout.header_bytes + 1  # the one more tells that a datagram is too long
    state = np.zeros(k.N_STATE, np.int64)
    state[k.EPOCH] = epoch
    state[k.UNITS_IN_PACKET] = layout.units_per_packet or layout.max_units_per_packet
    slot_headers = ring.headers.view(np.uint64)
    data_start = ring.geometry.offsets()["data"]
    return Port(
        layout=_scalars(layout, ring, module, window_frames, key_step),
        fields=np.array([_compile(field) for field in _fields(layout)], np.uint64),
        checks=_checks(layout),
        state=state,
        counters=np.zeros(k.N_COUNTERS, np.int64),
        headers=headers,
        doubles=headers.view(np.float64),
        scratch=np.zeros((n_rows, capacity), np.uint8),
        lengths=np.zeros(n_rows, np.int64),
        targets=np.full(n_rows, -1, np.int64),
        aims=np.zeros((n_rows, 2), np.int64),
        parsed=np.zeros((n_rows, 4), np.int64),
        open_keys=np.zeros(window_frames + 2, np.int64),
        frames=slot_headers,
        frames_32=slot_headers.view(np.uint32),
        frames_16=slot_headers.view(np.uint16),
        data=ring.segment.bytes[data_start:],
        records=np.zeros((QUEUE_LENGTH, len(RECORD_FIELDS)), np.int64),
        cursors=np.zeros(16, np.uint64),
    )


def _scalars(
    layout: PacketLayout, ring: FrameBuffer, module: int, window_frames: int, key_step: int
) -> NDArray[np.int64]:
    scalars = np.zeros(k.N_LAYOUT, np.int64)
    scalars[k.HEADER_BYTES] = layout.header_bytes
    scalars[k.UNIT_BYTES] = layout.unit_bytes
    scalars[k.N_UNITS] = layout.n_units
    scalars[k.MAX_UNITS] = layout.max_units_per_packet
    scalars[k.MAX_PADDING] = layout.max_padding_bytes
    scalars[k.IS_FIXED_SIZE] = layout.units_per_packet > 0
    scalars[k.WINDOW] = window_frames * key_step
    scalars[k.KEY_STEP] = key_step
    scalars[k.MODULE] = module
    scalars[k.N_MODULES] = ring.n_modules
    scalars[k.N_SLOTS] = ring.n_slots
    scalars[k.SLOT_WORDS] = module_frame_dtype(layout.n_units).itemsize // _WORD
    scalars[k.DATA_STRIDE] = ring.geometry.data_stride
    return scalars


def _fields(layout: PacketLayout) -> list[HeaderField | None]:
    """Return the fields in the order of `indices.KEY` and following."""
    return [
        layout.key,
        layout.unit,
        layout.image_id or layout.key,
        layout.pulse_id,
        layout.timestamp,
        layout.daq_rec,
        layout.module_id,
        layout.row,
        layout.column,
        layout.identity,
    ]


def _compile(field: HeaderField | None) -> tuple[int, int, int, int]:
    if field is None:
        return 0, 0, 0, 0
    word, byte = divmod(field.offset, _WORD)
    if byte + field.width > _WORD:
        raise ValueError(f"{field} crosses the border of two 64-bit words of the header")
    mask = (2 ** (8 * field.width) - 1) >> field.shift & field.mask
    return word, 8 * byte + field.shift, mask, 2 if field.kind == "float64" else 1


def _checks(layout: PacketLayout) -> NDArray[np.uint64]:
    checks = [(*_compile(check.field), check.expected, k.REASONS[check.reason]) for check in layout.checks]
    return np.array(checks, np.uint64).reshape(len(checks), 6)


def _assert_slot_header() -> None:
    """Check that the offsets which the kernel uses are those of the ModuleFrame."""
    dtype: Any = module_frame_dtype(1)
    for name, word, size in k.SLOT_FIELDS:
        if dtype.fields[name][1] != word * size:
            raise AssertionError(f"ModuleFrame.{name} is not where the kernel writes it")


_assert_slot_header()
