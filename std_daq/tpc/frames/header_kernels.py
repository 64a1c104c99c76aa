"""Headers of frames, compiled."""

from typing import Any

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

from std_daq.native.jit import kernel, njit
from std_daq.tpc.frames.records import (
    BASE_HEADER_BYTES,
    BLOCK_MASK,
    EVENT_HEADER_BYTES,
    FULL,
    HEADER,
    LITTLE_ENDIAN,
    MAX_MUTANT_BYTES,
    MERGED_BY_ID,
    MERGED_BY_ID_HEADER_BYTES,
    MERGED_BY_TIME,
    MERGED_BY_TIME_HEADER_BYTES,
    MUTANT,
    MUTANT_BYTES,
    PARTIAL,
    SHORT_HEADER_BYTES,
    TOPOLOGY,
    TOPOLOGY_BYTES,
    Fault,
)

MEMORY = types.Array(types.uint8, 1, "C", readonly=True)
HEADERS = types.Array(numba.from_dtype(HEADER), 1, "C")

_NONE, _CUT_OFF, _FRAME_TYPE, _FRAME_SIZE = map(int, (Fault.NONE, Fault.CUT_OFF, Fault.FRAME_TYPE, Fault.FRAME_SIZE))
_HEADER_SIZE, _ITEM_SIZE, _ITEMS_BEYOND = map(int, (Fault.HEADER_SIZE, Fault.ITEM_SIZE, Fault.ITEMS_BEYOND))

Memory = NDArray[np.uint8]


@njit
def read_number(memory: Memory, at: int, n_bytes: int, is_little: bool) -> int:
    """Return an unsigned number of up to 7 bytes."""
    value: Any = 0
    for i in range(n_bytes):
        value = value << 8 | np.int64(memory[at + (n_bytes - 1 - i if is_little else i)])
    return value


@njit
def claimed_bytes(memory: Memory, at: int) -> int:
    """Return the size that a base header of 8 bytes claims for its frame."""
    meta = np.int64(memory[at])
    return read_number(memory, at + 1, 3, meta & LITTLE_ENDIAN != 0) << (meta & BLOCK_MASK)


@njit
def base_type(memory: Memory, at: int) -> int:
    """Return the frame type in a base header of 8 bytes."""
    return read_number(memory, at + 5, 2, memory[at] & LITTLE_ENDIAN != 0)


@njit
def judging_bytes(frame_type: int) -> int:
    """Return how many bytes of a frame show whether its header is plausible."""
    if frame_type in (TOPOLOGY, MUTANT):
        return BASE_HEADER_BYTES
    return SHORT_HEADER_BYTES


@njit
def judge(memory: Memory, at: int) -> int:
    """Return the fault of a header, of which `judging_bytes` are there."""
    n_bytes = claimed_bytes(memory, at)
    frame_type = base_type(memory, at)
    if frame_type == TOPOLOGY:
        return _NONE if n_bytes == _whole_blocks(TOPOLOGY_BYTES, memory[at]) else _FRAME_SIZE
    if frame_type == MUTANT:
        return _NONE if MUTANT_BYTES <= n_bytes <= MAX_MUTANT_BYTES else _FRAME_SIZE
    is_event = frame_type in (PARTIAL, FULL)
    if not is_event and frame_type not in (MERGED_BY_ID, MERGED_BY_TIME):
        return _FRAME_TYPE
    is_little = memory[at] & LITTLE_ENDIAN != 0
    header_bytes = read_number(memory, at + 8, 2, is_little) << np.int64(memory[at] & BLOCK_MASK)
    least = EVENT_HEADER_BYTES if is_event else MERGED_BY_ID_HEADER_BYTES
    if frame_type == MERGED_BY_TIME:
        least = MERGED_BY_TIME_HEADER_BYTES
    if n_bytes < least:
        return _FRAME_SIZE
    if header_bytes < least or header_bytes > n_bytes:
        return _HEADER_SIZE
    if not is_event:
        return _NONE
    item_bytes = read_number(memory, at + 10, 2, is_little)
    if item_bytes != (4 if frame_type == PARTIAL else 2):
        return _ITEM_SIZE
    if header_bytes + item_bytes * read_number(memory, at + 12, 4, is_little) > n_bytes:
        return _ITEMS_BEYOND
    return _NONE


@njit
def needed_bytes(memory: Memory, at: int) -> int:
    """Return the size that an event frame has by its number of items; 0 for other frames."""
    frame_type = base_type(memory, at)
    if frame_type != PARTIAL and frame_type != FULL:
        return 0
    is_little = memory[at] & LITTLE_ENDIAN != 0
    header_bytes = read_number(memory, at + 8, 2, is_little) << np.int64(memory[at] & BLOCK_MASK)
    items = read_number(memory, at + 10, 2, is_little) * read_number(memory, at + 12, 4, is_little)
    return _whole_blocks(header_bytes + items, memory[at])


@njit
def _whole_blocks(n_bytes: int, meta: int) -> Any:
    shift = np.int64(meta & BLOCK_MASK)
    block = np.int64(1) << shift
    return (n_bytes + block - 1) >> shift << shift


@njit
def fill_header(memory: Memory, at: int, header: Any) -> None:
    """Fill the record of a frame that is whole and whose header has no fault."""
    is_little = memory[at] & LITTLE_ENDIAN != 0
    frame_type = base_type(memory, at)
    header["n_bytes"] = claimed_bytes(memory, at)
    header["frame_type"] = frame_type
    header["meta_type"] = memory[at]
    header["data_source"] = memory[at + 4]
    header["revision"] = memory[at + 7]
    header["header_bytes"], header["item_bytes"], header["n_items"] = BASE_HEADER_BYTES, 0, 0
    header["event_time"], header["event_id"], header["cobo"], header["asad"] = 0, 0, 0, 0
    header["read_offset"], header["status"], header["window_out"] = 0, 0, 0
    header["board_mask"], header["two_proton_mode"] = 0, 0
    for aget in range(4):
        header["multiplicities"][aget], header["last_cells"][aget] = 0, 0
        for i in range(9):
            header["hit_patterns"][aget, i] = 0
    if frame_type == TOPOLOGY:
        header["cobo"], header["board_mask"], header["two_proton_mode"] = (
            memory[at + 8],
            memory[at + 9],
            memory[at + 10],
        )
    elif frame_type == MUTANT:
        header["event_time"] = read_number(memory, at + 8, 6, is_little)
        header["event_id"] = read_number(memory, at + 14, 4, is_little)
    else:
        header["header_bytes"] = read_number(memory, at + 8, 2, is_little) << np.int64(memory[at] & BLOCK_MASK)
        header["item_bytes"] = read_number(memory, at + 10, 2, is_little)
        header["n_items"] = read_number(memory, at + 12, 4, is_little)
        if frame_type == MERGED_BY_ID:
            header["event_id"] = read_number(memory, at + 16, 4, is_little)
        else:
            header["event_time"] = read_number(memory, at + 16, 6, is_little)
        if frame_type in (PARTIAL, FULL):
            _fill_event(memory, at, is_little, header)


@njit
def _fill_event(memory: Memory, at: int, is_little: bool, header: Any) -> None:
    header["event_id"] = read_number(memory, at + 22, 4, is_little)
    header["cobo"], header["asad"] = memory[at + 26], memory[at + 27]
    header["read_offset"] = read_number(memory, at + 28, 2, is_little)
    header["status"] = memory[at + 30]
    for aget in range(4):
        for i in range(9):
            header["hit_patterns"][aget, i] = memory[at + 31 + 9 * aget + (i if is_little else 8 - i)]
        header["multiplicities"][aget] = read_number(memory, at + 67 + 2 * aget, 2, is_little)
        header["last_cells"][aget] = read_number(memory, at + 79 + 2 * aget, 2, is_little)
    header["window_out"] = read_number(memory, at + 75, 4, is_little)


@kernel(types.int64(MEMORY, types.int64, types.int64, HEADERS, types.int64))
def parse_header(memory: Memory, at: int, end: int, headers: NDArray[Any], index: int) -> int:
    """Parse the header of the frame at ``at`` into a record; returns its fault, and fills nothing if there is one.

    Parameters
    ----------
    end
        Where the bytes end, not included.
    """
    if end - at < BASE_HEADER_BYTES or end - at < judging_bytes(base_type(memory, at)):
        return _CUT_OFF
    fault = judge(memory, at)
    if fault == _NONE and claimed_bytes(memory, at) > end - at:
        fault = _CUT_OFF
    if fault == _NONE:
        fill_header(memory, at, headers[index])
    return fault
