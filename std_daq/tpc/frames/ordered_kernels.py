"""Partial readouts in order, compiled: each time bucket has an item of the same channels, from the first one on.

A board that leaves out channels, and no samples of the others, sends such frames. That a frame is one is checked for
each item, in vector instructions. Then its channels and their number say where all of its samples belong. All other
frames are for `item_kernels`.
"""

from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from std_daq.native.jit import kernel, njit
from std_daq.tpc.electronics import CHANNELS_PER_BOARD, N_CHANNELS, N_TIME_BUCKETS
from std_daq.tpc.frames.item_kernels import Counts, Samples, Table
from std_daq.tpc.frames.records import CHANNEL_BITS, N_HEAD_COLUMNS, N_KEYS, ItemCount

_WORDS = types.Array(types.uint32, 1, "C", readonly=True)
_TABLE = types.Array(types.int64, 1, "C", readonly=True)
_HEADS = types.Array(types.int16, 2, "C", readonly=True)
_SAMPLES = types.Array(types.int16, 1, "C")
_SCRATCH = types.Array(types.uint64, 1, "C")
_COUNTS = types.Array(types.int64, 1, "C")
_FLAGS = types.Array(types.uint8, 1, "C")

_SAMPLE, _UNMAPPED = int(ItemCount.SAMPLE), int(ItemCount.UNMAPPED)
_N_COLUMNS = N_HEAD_COLUMNS + N_TIME_BUCKETS
_KEY_SHIFT, _BUCKET_SHIFT = np.uint32(23), np.uint32(14)
_CHANNEL_MASK = np.uint32((1 << CHANNEL_BITS) - 1)
_BUCKET_MASK, _SAMPLE_MASK = np.uint32(0x1FF), np.uint32(0xFFF)
_BYTE = np.uint32(8)
_HIGH_BYTES = np.uint32(24)
_HALF, _WORD = np.uint32(16), np.uint64(32)
_HIGH_OF_SAMPLE = np.uint32(0xF00)
# Time buckets that are looked at, or turned, at once: their items lie in the first level of the cache. A power of two.
_AT_ONCE = 32
# Samples that are packed into one word before they are turned.
_PACKED = 4
# Scratch: a row of words for each channel, and the words of the time buckets that are turned at once. A row is a line
# of the cache longer than its samples: with a power of two, all rows would have the same few places in the cache.
_STRIDE = N_TIME_BUCKETS // _PACKED + 8
_BLOCK_AT = CHANNELS_PER_BOARD * _STRIDE
N_SCRATCH = _BLOCK_AT + CHANNELS_PER_BOARD * _AT_ONCE // _PACKED

Words = NDArray[np.uint32]
Scratch = NDArray[np.uint64]


@njit(inline="always")
def _swap(word: Any) -> Any:
    """Return a word in the other byte order."""
    high = word << _HIGH_BYTES | (word & np.uint32(0xFF00)) << _BYTE
    return np.uint32(high | word >> _BYTE & np.uint32(0xFF00) | word >> _HIGH_BYTES)


@njit
def _as_number(word: Any, is_swapped: bool) -> Any:
    return _swap(word) if is_swapped else np.uint32(word)


@kernel(types.int64(_WORDS, types.boolean, _TABLE, _FLAGS))
def mark_ordered(items: Words, is_swapped: bool, ranks: Table, flags: NDArray[np.uint8]) -> int:
    """Set the flag of each channel if a frame is in order; returns its number of channels, or 0 if it is not in order.

    Parameters
    ----------
    is_swapped
        Whether the items are in the other byte order than that of the machine.
    ranks
        The place of the flag for each key.
    """
    n_channels = _channels_of_first_bucket(items, is_swapped)
    if n_channels == 0 or not _is_in_order(items, is_swapped, n_channels):
        return 0
    for i in range(n_channels):
        flags[ranks[_as_number(items[i], is_swapped) >> _KEY_SHIFT]] = 1
    return n_channels


@njit
def _channels_of_first_bucket(items: Words, is_swapped: bool) -> int:
    """Return how many channels the first time bucket has; 0 if they are not those of a frame in order."""
    has_come = np.zeros(N_KEYS, np.uint8)
    n = 0
    while n < len(items):
        word = _as_number(items[n], is_swapped)
        if word >> _BUCKET_SHIFT & _BUCKET_MASK:
            break
        key = word >> _KEY_SHIFT
        if n == CHANNELS_PER_BOARD or has_come[key] or key & _CHANNEL_MASK >= N_CHANNELS:
            return 0
        has_come[key] = 1
        n += 1
    if n == 0 or len(items) % n or len(items) // n > N_TIME_BUCKETS:
        return 0
    return n


@njit
def _is_in_order(items: Words, is_swapped: bool, n_channels: int) -> bool:
    """Return whether all time buckets have the channels of the first one, and no unused bit is set."""
    fixed = _as_number(~_SAMPLE_MASK, is_swapped)
    unused = np.uint32(0)
    for i in range(n_channels):
        unused |= _as_number(items[i], is_swapped)
    if unused & ~_SAMPLE_MASK & ((np.uint32(1) << _BUCKET_SHIFT) - np.uint32(1)):
        return False
    n_at_once = min(_AT_ONCE * n_channels, len(items))
    expected = np.empty(n_at_once, np.uint32)
    for bucket in range(n_at_once // n_channels):
        bits = _bucket_bits(bucket, is_swapped)
        for i in range(n_channels):
            expected[bucket * n_channels + i] = items[i] ^ bits
    for begin in range(0, len(items), n_at_once):
        differing = np.uint32(0)
        bits = _bucket_bits(begin // n_channels, is_swapped)
        looked_at = items[begin : begin + n_at_once]
        for i in range(len(looked_at)):
            differing |= looked_at[i] ^ expected[i] ^ bits
        if differing & fixed:
            return False
    return True


@njit(inline="always")
def _bucket_bits(bucket: int, is_swapped: bool) -> Any:
    return _as_number(np.uint32(bucket) << _BUCKET_SHIFT, is_swapped)


@kernel(types.void(_WORDS, types.boolean, types.int64, _TABLE, _TABLE, _HEADS, _SAMPLES, _COUNTS, _SCRATCH))
def fill_ordered(
    items: Words,
    is_swapped: bool,
    n_channels: int,
    ranks: Table,
    rows: Table,
    heads: NDArray[np.int16],
    samples: Samples,
    counts: Counts,
    scratch: Scratch,
) -> None:
    """Fill the rows of a board with the items of a frame in order; a time bucket that was not sent is 0.

    Parameters
    ----------
    n_channels
        What `mark_ordered` has returned.
    ranks
        Rank of each key.
    rows
        Row of each rank, or -1.
    heads
        The first five columns for each key.
    samples
        The matrix of the event, flat.
    counts
        Counts with the places of `ItemCount`, which are added to.
    scratch
        uint64 (`N_SCRATCH`,)
    """
    n_buckets, n_mapped = len(items) // n_channels, 0
    block = scratch[_BLOCK_AT:]
    for bucket in range(0, n_buckets, _AT_ONCE):
        n = min(_AT_ONCE, n_buckets - bucket)
        n_words = _pack(items[bucket * n_channels : (bucket + n) * n_channels], is_swapped, n_channels, block)
        for i in range(n_channels):
            begin = i * _STRIDE + bucket // _PACKED
            turned = scratch[begin : begin + n_words]
            for k in range(n_words):
                turned[k] = block[k * n_channels + i]
    unpacked = scratch.view(np.int16)
    for i in range(n_channels):
        key = _as_number(items[i], is_swapped) >> _KEY_SHIFT
        row = rows[ranks[key]]
        if row < 0:
            continue
        n_mapped += 1
        begin = row * _N_COLUMNS
        for column in range(N_HEAD_COLUMNS):
            samples[begin + column] = heads[key, column]
        begin += N_HEAD_COLUMNS
        # A row goes to its place as a whole: the ring is not in the cache, and small stores to many rows wait for it.
        there, row_of_samples = samples[begin : begin + n_buckets], unpacked[_PACKED * i * _STRIDE :]
        for k in range(n_buckets):
            there[k] = row_of_samples[k]
        samples[begin + n_buckets : begin + N_TIME_BUCKETS] = 0
    counts[_SAMPLE] += n_mapped * n_buckets
    counts[_UNMAPPED] += (n_channels - n_mapped) * n_buckets


@njit
def _pack(items: Words, is_swapped: bool, n_channels: int, block: Scratch) -> int:
    """Pack the samples of time buckets, four of each channel to a word; returns how many words each channel has."""
    n_buckets = len(items) // n_channels
    n_whole = n_buckets // _PACKED
    for k in range(n_whole):
        begin = _PACKED * k * n_channels
        first = items[begin : begin + n_channels]
        second = items[begin + n_channels : begin + 2 * n_channels]
        third = items[begin + 2 * n_channels : begin + 3 * n_channels]
        fourth = items[begin + 3 * n_channels : begin + 4 * n_channels]
        packed = block[k * n_channels : (k + 1) * n_channels]
        for i in range(n_channels):
            low = _sample(first[i], is_swapped) | _sample(second[i], is_swapped) << _HALF
            high = _sample(third[i], is_swapped) | _sample(fourth[i], is_swapped) << _HALF
            packed[i] = np.uint64(low) | np.uint64(high) << _WORD
    if n_whole * _PACKED == n_buckets:
        return n_whole
    packed = block[n_whole * n_channels : (n_whole + 1) * n_channels]
    packed[:] = 0
    for bucket in range(n_whole * _PACKED, n_buckets):
        shift = np.uint64(16 * (bucket % _PACKED))
        for i in range(n_channels):
            packed[i] |= np.uint64(_sample(items[bucket * n_channels + i], is_swapped)) << shift
    return n_whole + 1


@njit(inline="always")
def _sample(item: Any, is_swapped: bool) -> Any:
    if is_swapped:
        return item >> _HIGH_BYTES | item >> _BYTE & _HIGH_OF_SAMPLE
    return item & _SAMPLE_MASK
