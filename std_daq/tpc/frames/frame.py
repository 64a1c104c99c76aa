"""Frame: the bytes of one frame with its header."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True, slots=True)
class Frame:
    """One whole frame whose header has no fault.

    Attributes
    ----------
    header
        Record of the type `HEADER`.
    data
        All bytes of the frame, uint8.
    """

    header: Any
    data: NDArray[np.uint8]

    @property
    def frame_type(self) -> int:
        """Type of the frame: `PARTIAL`, `FULL`, `TOPOLOGY`, `MUTANT`, `MERGED_BY_ID` or `MERGED_BY_TIME`."""
        return int(self.header["frame_type"])

    @property
    def has_samples(self) -> bool:
        """Whether the frame is one of a board with samples, so a part of an event."""
        return self.frame_type in EVENT_TYPES

    @property
    def event_id(self) -> int:
        """Number of the event."""
        return int(self.header["event_id"])

    @property
    def event_time(self) -> int:
        """Time of the event, in ticks of 10 ns."""
        return int(self.header["event_time"])

    @property
    def board(self) -> Board:
        """The board that sent the frame."""
        return int(self.header["cobo"]), int(self.header["asad"])

    @property
    def is_little_endian(self) -> bool:
        """Byte order of header and items."""
        return bool(self.header["meta_type"] & LITTLE_ENDIAN)

    @property
    def items(self) -> NDArray[Any]:
        """The items in the byte order of the frame, as numbers of the machine; aligned, copied only if need be."""
        begin, size = int(self.header["header_bytes"]), int(self.header["item_bytes"])
        end = begin + size * int(self.header["n_items"])
        items = self.data[begin:end].view(np.uint32 if size == 4 else np.uint16)
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
    return fault or Frame(headers[0], memory[: headers[0]["n_bytes"]])


def frames_at(headers: NDArray[Any], places: NDArray[np.int64], memory: NDArray[np.uint8]) -> Iterator[Frame]:
    """Yield the frames that a kernel found; their data are views of ``memory``."""
    for header, (begin, end) in zip(headers.copy(), places.tolist(), strict=True):
        yield Frame(header, memory[begin:end])
