"""Encodes frames as boards send them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from std_daq.tpc.electronics import (
    BOARDS_PER_COBO,
    CHANNELS_PER_BOARD,
    N_AGETS,
    N_CHANNELS,
    N_TIME_BUCKETS,
    Board,
)
from std_daq.tpc.frames.records import (
    BASE_HEADER_BYTES,
    BLOB,
    EVENT_HEADER_BYTES,
    FULL,
    ITEM_BYTES,
    LITTLE_ENDIAN,
    MERGED_BY_ID,
    MERGED_BY_ID_HEADER_BYTES,
    MERGED_BY_TIME,
    MERGED_BY_TIME_HEADER_BYTES,
    MUTANT,
    MUTANT_BYTES,
    PARTIAL,
    TOPOLOGY,
    TOPOLOGY_BYTES,
)

_MAX_BLOCKS = 2**24 - 1


@dataclass(frozen=True, slots=True)
class FrameFormat:
    """How frames are written: block size and byte order.

    Parameters
    ----------
    block_bytes
        Frame and header are whole blocks: 256 bytes, or 64 before 2015. A power of two.
    is_little_endian
        Byte order.
    """

    block_bytes: int = 256
    is_little_endian: bool = False
    data_source: int = 0
    revision: int = 5

    @property
    def order(self) -> Literal["<", ">"]:
        """Byte order, as in types of numpy."""
        return "<" if self.is_little_endian else ">"

    def number(self, value: int, n_bytes: int) -> bytes:
        """Return the bytes of a number."""
        return int(value).to_bytes(n_bytes, "little" if self.is_little_endian else "big")

    def base(self, frame_type: int, n_bytes: int, *, is_blob: bool = False) -> bytes:
        """Return a base header, 8 bytes."""
        n_blocks = math.ceil(n_bytes / self.block_bytes)
        if n_blocks > _MAX_BLOCKS:
            raise ValueError(f"{n_bytes} bytes are more than a frame with blocks of {self.block_bytes} bytes can have")
        meta = self.block_bytes.bit_length() - 1 | (LITTLE_ENDIAN if self.is_little_endian else 0)
        parts = (
            bytes([meta | (BLOB if is_blob else 0)]),
            self.number(n_blocks, 3),
            bytes([self.data_source]),
            self.number(frame_type, 2),
            bytes([self.revision]),
        )
        return b"".join(parts)

    def padded(self, content: bytes) -> bytes:
        """Return content, filled up with 0 to whole blocks."""
        return content.ljust(math.ceil(len(content) / self.block_bytes) * self.block_bytes, b"\0")


DEFAULT_FORMAT = FrameFormat()
_BYTES = FrameFormat(block_bytes=1, revision=0)


@dataclass(frozen=True, slots=True)
class EventHeader:
    """What the header of a frame with samples says of its event."""

    event_id: int
    event_time: int
    board: Board
    read_offset: int = 0
    status: int = 0
    hit_channels: tuple[tuple[int, ...], ...] = ((),) * N_AGETS
    multiplicities: tuple[int, ...] = (0,) * N_AGETS
    window_out: int = 0
    last_cells: tuple[int, ...] = (0,) * N_AGETS


def partial_items(
    agets: NDArray[np.integer],
    channels: NDArray[np.integer],
    time_buckets: NDArray[np.integer],
    samples: NDArray[np.integer],
) -> NDArray[np.uint32]:
    """Return items of 4 bytes in the order given."""
    words = np.asarray(agets, np.uint32) << 30 | np.asarray(channels, np.uint32) << 23
    words |= np.asarray(time_buckets, np.uint32) << 14 | np.asarray(samples, np.uint32)
    return words.astype(np.uint32, copy=False)


def items_in_time(samples: NDArray[np.int16], first_aget: int = 0) -> NDArray[np.uint32]:
    """Return the items of all samples that are there, as boards send them: by time bucket, AGETs in turn.

    Parameters
    ----------
    samples
        Shape (4, 68, 512), -1 where no sample is sent.
    first_aget
        The AGET that comes first in each time bucket; boards begin with another one in each frame.
    """
    by_time = np.roll(samples, -first_aget, axis=0).transpose(2, 0, 1)
    time_buckets, turned, channels = np.nonzero(by_time >= 0)
    values = by_time[time_buckets, turned, channels]
    return partial_items((turned + first_aget) % N_AGETS, channels, time_buckets, values)


def full_items(samples: NDArray[np.int16], first_aget: int = 0, channels_at_once: int = 2) -> NDArray[np.uint16]:
    """Return the items of a full readout.

    Parameters
    ----------
    samples
        Shape (4, 68, 512).
    first_aget
        The AGET that comes first; it differs from board to board.
    channels_at_once
        How many channels of an AGET come before the next AGET: 2, or 1.
    """
    words = np.asarray(samples, np.uint16) & 0xFFF | (np.arange(N_AGETS, dtype=np.uint16) << 14)[:, None, None]
    turned = np.roll(words, -first_aget, axis=0).transpose(2, 1, 0)  # time bucket, channel, AGET
    n_groups = N_CHANNELS // channels_at_once
    grouped = turned.reshape(N_TIME_BUCKETS, n_groups, channels_at_once, N_AGETS).transpose(0, 1, 3, 2)
    return np.ascontiguousarray(grouped).reshape(CHANNELS_PER_BOARD * N_TIME_BUCKETS)


def encode_items(
    header: EventHeader,
    items: NDArray[np.uint32] | NDArray[np.uint16],
    frame_format: FrameFormat = DEFAULT_FORMAT,
) -> bytes:
    """Return a frame with items: a partial readout if they have 4 bytes, a full readout if they have 2."""
    frame_type = PARTIAL if items.dtype.itemsize == ITEM_BYTES[PARTIAL] else FULL
    header_blocks = math.ceil(EVENT_HEADER_BYTES / frame_format.block_bytes)
    n_bytes = header_blocks * frame_format.block_bytes + items.nbytes
    number = frame_format.number
    parts = [
        frame_format.base(frame_type, n_bytes),
        number(header_blocks, 2),
        number(items.dtype.itemsize, 2),
        number(len(items), 4),
        number(header.event_time, 6),
        number(header.event_id, 4),
        bytes(header.board),
        number(header.read_offset, 2),
        bytes([header.status]),
        *(_hit_pattern(channels, frame_format) for channels in header.hit_channels),
        *(number(value, 2) for value in header.multiplicities),
        number(header.window_out, 4),
        *(number(value, 2) for value in header.last_cells),
    ]
    head = frame_format.padded(b"".join(parts))
    return frame_format.padded(head + items.astype(items.dtype.newbyteorder(frame_format.order)).tobytes())


def encode_partial(
    header: EventHeader,
    samples: NDArray[np.int16],
    frame_format: FrameFormat = DEFAULT_FORMAT,
    *,
    first_aget: int = 0,
) -> bytes:
    """Return a frame of a partial readout; parameters as those of `items_in_time`."""
    return encode_items(header, items_in_time(samples, first_aget), frame_format)


def encode_full(
    header: EventHeader,
    samples: NDArray[np.int16],
    frame_format: FrameFormat = DEFAULT_FORMAT,
    *,
    first_aget: int = 0,
    channels_at_once: int = 2,
) -> bytes:
    """Return a frame of a full readout; parameters as those of `full_items`."""
    return encode_items(header, full_items(samples, first_aget, channels_at_once), frame_format)


def encode_topology(
    cobo: int, asads: Sequence[int] = range(BOARDS_PER_COBO), frame_format: FrameFormat = _BYTES, *, two_proton: int = 0
) -> bytes:
    """Return a frame that announces the boards of a CoBo."""
    mask = sum(1 << asad for asad in asads)
    base = frame_format.base(TOPOLOGY, TOPOLOGY_BYTES, is_blob=True)
    return frame_format.padded(base + bytes([cobo, mask, two_proton, 0]))


def encode_mutant(event_id: int, event_time: int, frame_format: FrameFormat = DEFAULT_FORMAT) -> bytes:
    """Return a frame of MuTAnT, the module that distributes triggers; its counters are 0."""
    times = frame_format.number(event_time, 6) + frame_format.number(event_id, 4)
    content = frame_format.base(MUTANT, MUTANT_BYTES) + times
    return frame_format.padded(content.ljust(MUTANT_BYTES, b"\0"))


def encode_merged(
    frames: Sequence[bytes],
    *,
    event_id: int | None = None,
    event_time: int = 0,
    delta_t: int = 0,
    frame_format: FrameFormat = DEFAULT_FORMAT,
) -> bytes:
    """Return frames merged by event id, or by time if no id is given."""
    is_by_id = event_id is not None
    least = MERGED_BY_ID_HEADER_BYTES if is_by_id else MERGED_BY_TIME_HEADER_BYTES
    header_blocks = math.ceil(least / frame_format.block_bytes)
    number = frame_format.number
    key = number(event_id, 4) if event_id is not None else number(event_time, 6) + number(delta_t, 2)
    n_bytes = header_blocks * frame_format.block_bytes + sum(map(len, frames))
    base = frame_format.base(MERGED_BY_ID if is_by_id else MERGED_BY_TIME, n_bytes)
    head = frame_format.padded(base + number(header_blocks, 2) + number(0, 2) + number(len(frames), 4) + key)
    return frame_format.padded(head + b"".join(frames))


def encode_message(frame: bytes, size: int | None = None) -> bytes:
    """Return a message of an exporter: a size word, by default the right one, and the frame."""
    return (len(frame) if size is None else size).to_bytes(8, "little") + frame


def _hit_pattern(channels: Sequence[int], frame_format: FrameFormat) -> bytes:
    bits = sum(1 << channel for channel in channels)
    return frame_format.number(bits, BASE_HEADER_BYTES + 1)
