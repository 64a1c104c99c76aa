"""Frame: the bytes of one frame with its header."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from std_daq.tpc.electronics import BOARDS_PER_COBO, Board
from std_daq.tpc.frames.header_kernels import parse_header
from std_daq.tpc.frames.records import (
    FULL,
    HEADER,
    LITTLE_ENDIAN,
    MERGED_BY_ID,
    MERGED_BY_TIME,
    PARTIAL,
    TOPOLOGY,
    Fault,
)

MERGED_TYPES = (MERGED_BY_ID, MERGED_BY_TIME)
EVENT_TYPES = (PARTIAL, FULL)


class Frame(NamedTuple):
    """One whole frame whose header has no fault.

    Attributes
    ----------
    header
        Record of the type `HEADER`.
    data
        All bytes of the frame, uint8.
    frame_type
        `PARTIAL`, `FULL`, `TOPOLOGY`, `MUTANT`, `MERGED_BY_ID` or `MERGED_BY_TIME`.
    event_id
        Number of the event.
    event_time
        Time of the event, in ticks of 10 ns.
    board
        The board that sent the frame.
    meta_type
        Byte order and size of the blocks.
    n_items, items_at
        Number of items, and the place of the first one in ``data``.
    """

    # What is asked of each frame is taken from the headers of many frames at once: a field of one record takes longer.
    header: Any
    data: NDArray[np.uint8]
    frame_type: int
    event_id: int
    event_time: int
    board: Board
    meta_type: int
    n_items: int
    items_at: int

    @property
    def has_samples(self) -> bool:
        """Whether the frame is one of a board with samples, so a part of an event."""
        return self.frame_type in EVENT_TYPES

    @property
    def is_little_endian(self) -> bool:
        """Byte order of header and items."""
        return self.meta_type & LITTLE_ENDIAN != 0

    @property
    def items(self) -> NDArray[Any]:
        """The items in the byte order of the frame, as numbers of the machine; aligned, copied only if need be."""
        of_type = np.uint16 if self.frame_type == FULL else np.uint32
        items = np.frombuffer(self.data, of_type, self.n_items, self.items_at)
        return items if items.flags.aligned else items.copy()

    def hit_channels(self, aget: int) -> list[int]:
        """Return the channels whose bit in the hit pattern of an AGET is set; they say nothing certain about items."""
        bits = np.unpackbits(self.header["hit_patterns"][aget], bitorder="little")
        return [int(channel) for channel in np.flatnonzero(bits)]

    @property
    def announced_boards(self) -> tuple[Board, ...]:
        """The boards that a topology frame announces."""
        if self.frame_type != TOPOLOGY:
            return ()
        cobo, mask = int(self.header["cobo"]), int(self.header["board_mask"])
        return tuple((cobo, asad) for asad in range(BOARDS_PER_COBO) if mask >> asad & 1)


def parse_frame(data: NDArray[np.uint8] | bytes) -> Frame | Fault:
    """Return the frame that some bytes begin with, or what is wrong with it."""
    memory = np.frombuffer(data, np.uint8)
    headers = np.zeros(1, HEADER)
    fault = Fault(parse_header(memory, 0, len(memory), headers, 0))
    places = np.array([[0, int(headers[0]["n_bytes"])]])
    return fault or next(frames_at(headers, places, memory))


def frames_at(headers: NDArray[Any], places: NDArray[np.int64], memory: NDArray[np.uint8]) -> Iterator[Frame]:
    """Yield the frames that a kernel found; their data are views of ``memory``."""
    if not len(headers):
        return  # much of what comes ends within a frame
    boards = zip(headers["cobo"].tolist(), headers["asad"].tolist(), strict=True)
    names = ("frame_type", "event_id", "event_time", "meta_type", "n_items", "header_bytes")
    numbers = zip(*(headers[name].tolist() for name in names), strict=True)
    found = zip(headers.copy(), places.tolist(), boards, numbers, strict=True)
    for header, (begin, end), board, (frame_type, event_id, event_time, meta_type, n_items, items_at) in found:
        data = memory[begin:end]
        yield Frame(header, data, frame_type, event_id, event_time, board, meta_type, n_items, items_at)
