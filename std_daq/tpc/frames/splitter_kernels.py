"""Cuts streams and files of frames, compiled.

A message of an exporter is a size word, 8 bytes in little endian, and a frame. The size word may be garbage, because
the exporter sends it from a variable that may be gone. The header of the frame is therefore the second source.
"""

from enum import IntEnum
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from std_daq.native.jit import kernel, njit
from std_daq.tpc.frames.header_kernels import (
    HEADERS,
    MEMORY,
    Memory,
    base_type,
    claimed_bytes,
    fill_header,
    judge,
    judging_bytes,
    needed_bytes,
)
from std_daq.tpc.frames.records import BASE_HEADER_BYTES, SIZE_WORD_BYTES, Fault

_PLACES = types.Array(types.int64, 2, "C")
_NUMBERS = types.Array(types.int64, 1, "C")

_NONE, _CUT_OFF = int(Fault.NONE), int(Fault.CUT_OFF)
_FRAME_SIZE, _TOO_LONG = int(Fault.FRAME_SIZE), int(Fault.TOO_LONG)
_LAST_JUDGED = 2**62  # a larger size word is as wrong as this one


class StreamState(IntEnum):
    """Places in the state of a stream: the next byte, bytes of a damaged frame to leave out, whether it is lost."""

    POSITION = 0
    TO_SKIP = 1
    IS_LOST = 2


class StreamCount(IntEnum):
    """Places in the counts of a stream: size words of 0, and size words that were wrong."""

    ZERO_SIZE = 0
    WRONG_SIZE = 1


_POSITION, _TO_SKIP, _IS_LOST = map(int, StreamState)
_ZERO_SIZE, _WRONG_SIZE = map(int, StreamCount)

# What a message turns out to be.
_WAIT, _FRAME, _BARE_FRAME, _DAMAGED, _LOST = range(5)


@njit
def _size_word(memory: Memory, at: int) -> Any:
    value = np.uint64(0)
    for i in range(SIZE_WORD_BYTES - 1, -1, -1):
        value = value << np.uint64(8) | np.uint64(memory[at + i])
    return np.int64(min(value, np.uint64(_LAST_JUDGED)))


@njit
def _judge_at(memory: Memory, at: int, end: int) -> int:
    """Return the fault of the header at a place, or -1 if too few bytes are there."""
    if end - at < BASE_HEADER_BYTES or end - at < judging_bytes(base_type(memory, at)):
        return -1
    return judge(memory, at)


@njit
def _judge_message(memory: Memory, at: int, end: int, max_bytes: int) -> tuple[int, int, int]:
    """Return what a message is, its size without the size word, and the fault of its frame."""
    size = _size_word(memory, at)
    begin = at + SIZE_WORD_BYTES
    fault = _judge_at(memory, begin, end)
    if fault < 0:
        return _WAIT, 0, 0
    claimed = claimed_bytes(memory, begin)
    if fault == _NONE and claimed == size:
        return (_FRAME, size, fault) if size <= max_bytes else (_DAMAGED, size, _TOO_LONG)
    is_size_possible = BASE_HEADER_BYTES <= size <= max_bytes
    if not is_size_possible and _judge_at(memory, at, end) == _NONE and claimed_bytes(memory, at) <= max_bytes:
        return _BARE_FRAME, claimed_bytes(memory, at), _NONE  # a frame without a size word
    if fault == _NONE and claimed <= max_bytes:
        if is_size_possible and size == needed_bytes(memory, begin):
            return _DAMAGED, size, _FRAME_SIZE  # the size of the frame, not that of the message is wrong
        return _FRAME, claimed, _NONE
    if is_size_possible:
        return _DAMAGED, size, _TOO_LONG if fault == _NONE else fault
    return _LOST, 0, _TOO_LONG if fault == _NONE else fault


@kernel(types.int64(MEMORY, types.int64, types.int64, HEADERS, _PLACES, _NUMBERS, _NUMBERS, _NUMBERS))
def split_stream(
    memory: Memory,
    end: int,
    max_bytes: int,
    headers: NDArray[Any],
    places: NDArray[np.int64],
    state: NDArray[np.int64],
    counts: NDArray[np.int64],
    faults: NDArray[np.int64],
) -> int:
    """Find the whole frames in the bytes of a stream from its position to ``end``; returns how many.

    It stops when `headers` is full. ``state``, ``counts`` and ``faults`` have the places of `StreamState`,
    `StreamCount` and `Fault`.

    Parameters
    ----------
    max_bytes
        A frame that claims more is damaged.
    places
        First byte of each frame, and the first byte behind it.
    """
    n = 0
    at = state[_POSITION]
    while n < len(headers) and not state[_IS_LOST]:
        skipped = min(state[_TO_SKIP], end - at)
        at += skipped
        state[_TO_SKIP] -= skipped
        if end - at < SIZE_WORD_BYTES or state[_TO_SKIP] > 0:
            break
        if _size_word(memory, at) == 0:
            counts[_ZERO_SIZE] += 1
            at += SIZE_WORD_BYTES
            continue
        kind, size, fault = _judge_message(memory, at, end, max_bytes)
        if kind == _WAIT:
            break
        begin = at if kind == _BARE_FRAME else at + SIZE_WORD_BYTES
        if kind == _LOST:
            state[_IS_LOST] = 1
            faults[fault] += 1
        elif kind == _DAMAGED:
            faults[fault] += 1
            state[_TO_SKIP] = SIZE_WORD_BYTES + size
        elif end - begin < size:
            break
        else:
            counts[_WRONG_SIZE] += kind == _BARE_FRAME or _size_word(memory, at) != size
            fill_header(memory, begin, headers[n])
            places[n, 0], places[n, 1] = begin, begin + size
            at = begin + size
            n += 1
    state[_POSITION] = at
    return n


@kernel(types.int64(MEMORY, types.int64, types.int64, types.int64, HEADERS, _PLACES, _NUMBERS, _PLACES))
def split_file(
    memory: Memory,
    begin: int,
    end: int,
    max_bytes: int,
    headers: NDArray[Any],
    places: NDArray[np.int64],
    position: NDArray[np.int64],
    damaged: NDArray[np.int64],
) -> int:
    """Find the frames that lie one after another in a file; returns how many.

    Where no header is plausible, the next plausible one is looked for. It stops when ``headers`` or ``damaged`` is
    full.

    Parameters
    ----------
    places
        First byte of each frame, and the first byte behind it.
    position
        Two numbers: where to go on, and how many rows of ``damaged`` were filled.
    damaged
        First byte of each damaged stretch, the first byte behind it, and the fault at its beginning.
    """
    n, n_damaged, at = 0, 0, begin
    while n < len(headers) and n_damaged < len(damaged) and at < end:
        fault = _fault_in_file(memory, at, end, max_bytes)
        if fault == _NONE:
            size = claimed_bytes(memory, at)
            fill_header(memory, at, headers[n])
            places[n, 0], places[n, 1] = at, at + size
            at += size
            n += 1
            continue
        damaged[n_damaged, 0], damaged[n_damaged, 2] = at, fault
        if fault == _CUT_OFF:
            at = _next_header(memory, at + 1, end, max_bytes)
        elif _claims_a_neighbour(memory, at, end, max_bytes):
            at += claimed_bytes(memory, at)
        else:
            at = _next_header(memory, at + 1, end, max_bytes)
        damaged[n_damaged, 1] = at
        n_damaged += 1
    position[0], position[1] = at, n_damaged
    return n


@njit
def _fault_in_file(memory: Memory, at: int, end: int, max_bytes: int) -> int:
    fault = _judge_at(memory, at, end)
    if fault < 0:
        return _CUT_OFF
    if fault == _NONE:
        if claimed_bytes(memory, at) > max_bytes:
            return _TOO_LONG
        if claimed_bytes(memory, at) > end - at:
            return _CUT_OFF
    return fault


@njit
def _claims_a_neighbour(memory: Memory, at: int, end: int, max_bytes: int) -> bool:
    """Return whether a damaged frame ends, by its own size, at a good one or at the end of the file."""
    size = claimed_bytes(memory, at)
    if not BASE_HEADER_BYTES <= size <= min(max_bytes, end - at):
        return False
    return at + size == end or _judge_at(memory, at + size, end) == _NONE


@njit
def _next_header(memory: Memory, at: int, end: int, max_bytes: int) -> int:
    """Return where the next good frame begins behind which another one or the end is; the padding holds old headers."""
    while at < end:
        if _fault_in_file(memory, at, end, max_bytes) == _NONE and _claims_a_neighbour(memory, at, end, max_bytes):
            return at
        at += 1
    return at
